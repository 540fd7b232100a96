"""Who asks: by a bearer token, a session's cookie, or a ticket. The first that is there counts, and has to be good."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from jetmill_operator.gateway.access.cache import AnswerCache
from jetmill_operator.gateway.access.errors import UnauthenticatedError
from jetmill_operator.gateway.access.identity import LOCAL, Identity
from jetmill_operator.gateway.access.ports import Reviewer
from jetmill_operator.gateway.access.session import Session, Sessions

KNOWN_SECONDS = 60.0
UNKNOWN_SECONDS = 5.0
CACHED = 4_096
LONGEST_TOKEN = 16_384
_CURE = "kubectl create token NAME --audience=jetmill, as `Authorization: Bearer …`; or log in"


class Method(StrEnum):
    """How somebody proved who they are."""

    BEARER = "bearer"
    SESSION = "session"
    TICKET = "ticket"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brings; "" is what it does not."""

    bearer: str = ""
    cookie: str = ""
    ticket: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and how that is known."""

    identity: Identity
    method: Method
    session: Session | None = None


class Authenticator:
    """Finds out who asks. Without a reviewer (`auth=none`) it is whoever sits at this machine."""

    def __init__(
        self, reviewer: Reviewer | None, sessions: Sessions, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._reviewer = reviewer
        self.sessions = sessions
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self.cache: AnswerCache[bytes, Identity | None] = AnswerCache(size=CACHED, seconds_of=self._seconds_of)

    async def authenticate(self, given: Credentials, *, admit: Callable[[], None] | None = None) -> Caller:
        """Say who asks; UnauthenticatedError, AccessUnavailableError. See `review` for `admit`."""
        if self._reviewer is None:
            return Caller(LOCAL, Method.NONE)
        if given.bearer:
            return Caller(await self.review(given.bearer, admit=admit), Method.BEARER)
        if given.ticket:
            ticket = self.sessions.redeem_ticket(given.ticket)
            if ticket is None:
                raise UnauthenticatedError("the ticket is not, or no longer, good", cure="ask for another one")
            return Caller(ticket.identity, Method.TICKET)
        if given.cookie:
            session = self.sessions.find(given.cookie)
            if session is None:
                raise UnauthenticatedError("the session has ended", cure="log in again")
            return Caller(session.identity, Method.SESSION, session=session)
        raise UnauthenticatedError("nobody is logged in", cure=_CURE)

    async def review(self, token: str, *, admit: Callable[[], None] | None = None) -> Identity:
        """Say whose token it is; UnauthenticatedError, AccessUnavailableError. `admit` may raise before the API server
        is asked: for tokens that are known already it is not called.
        """
        if self._reviewer is None:
            return LOCAL
        reviewer = self._reviewer
        identity = None
        if len(token) <= LONGEST_TOKEN and token.isascii() and token.isprintable():
            # The token itself is kept nowhere; the key of the process makes its hash worth nothing elsewhere.
            mark = hmac.digest(self._key, token.encode(), hashlib.sha256)

            async def ask() -> Identity | None:
                if admit is not None:
                    admit()
                return await reviewer.review_token(token)

            identity = await self.cache.get(mark, ask)
        if identity is None or identity.has_ended(self._clock()):
            raise UnauthenticatedError("the token is not accepted", cure=_CURE)
        return identity

    def _seconds_of(self, identity: Identity | None) -> float:
        if identity is None:
            return UNKNOWN_SECONDS
        return min(KNOWN_SECONDS, (identity.expires or float("inf")) - self._clock())
