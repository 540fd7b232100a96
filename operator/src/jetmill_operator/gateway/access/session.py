"""Sessions of browsers, and tickets for their streams.

Both are sealed texts that hold the identity, not the token: any gateway of the installation reads them, none has to
remember them, and who steals one gains no right in the cluster. What they may is asked anew at each request. A session
ends with the token that it was begun with, at the latest after `session_seconds`; one that was ended is remembered by
the gateway that was told (the cookie is gone from the browser). See ADR 0012.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable

import msgspec

from jetmill_operator.gateway.access.identity import Identity
from jetmill_operator.gateway.access.seal import Seal

TICKET_SECONDS = 30.0
_REMEMBERED = 100_000


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What a cookie holds."""

    id: str
    identity: Identity
    expires: float
    """Unix seconds."""


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """What the query of a stream may hold."""

    id: str
    identity: Identity
    expires: float


class Spent:
    """Ids that count no more, each until it would have ended anyway."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def add(self, name: str, until: float, now: float) -> bool:
        """Spend an id; false if it was spent before."""
        if name in self._until:
            return False
        if len(self._until) >= _REMEMBERED:
            self._until = {one: end for one, end in self._until.items() if end > now}
        self._until[name] = until
        return True

    def __contains__(self, name: str) -> bool:
        return name in self._until


class Sessions:
    """Begins and checks them."""

    def __init__(self, key: bytes, *, session_seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._seal = Seal(key, purpose="session")
        self._tickets = Seal(key, purpose="ticket")
        self._csrf = Seal(key, purpose="csrf")
        self._seconds = session_seconds
        self._clock = clock
        self._spent = Spent()

    def begin(self, identity: Identity) -> tuple[Session, str]:
        """Begin a session: what it is, and the cookie."""
        now = self._clock()
        expires = min(now + self._seconds, identity.expires or float("inf"))
        identity = msgspec.structs.replace(identity, expires=expires)
        session = Session(id=secrets.token_urlsafe(18), identity=identity, expires=expires)
        return session, self._seal.close(session)

    def find(self, cookie: str) -> Session | None:
        """The session of a cookie; None: it is none, or has ended."""
        session = self._seal.open(cookie, Session)
        if session is None or self._clock() >= session.expires or session.id in self._spent:
            return None
        return session

    def end(self, session: Session) -> None:
        """End a session: this gateway takes it no more."""
        self._spent.add(session.id, session.expires, self._clock())

    def csrf_of(self, session: Session) -> str:
        """The text that a page shows to prove that it is ours: made of the session, so that no other's fits."""
        return self._csrf.digest(session.id)

    def check_csrf(self, session: Session, cookie: str, header: str) -> bool:
        """Tell whether both say what belongs to this session."""
        expected = self.csrf_of(session).encode()
        return hmac.compare_digest(expected, cookie.encode()) and hmac.compare_digest(expected, header.encode())

    def issue_ticket(self, identity: Identity) -> tuple[Ticket, str]:
        """Issue a ticket for one stream, to be used within 30 seconds: who it is of, and no right at all."""
        expires = self._clock() + TICKET_SECONDS
        ticket = Ticket(id=secrets.token_urlsafe(18), identity=identity, expires=expires)
        return ticket, self._tickets.close(ticket)

    def redeem_ticket(self, text: str) -> Ticket | None:
        """Take a ticket; None if it is none, has run out, or was taken before."""
        ticket = self._tickets.open(text, Ticket)
        now = self._clock()
        if ticket is None or now >= ticket.expires or ticket.identity.has_ended(now):
            return None
        return ticket if self._spent.add(ticket.id, ticket.expires, now) else None
