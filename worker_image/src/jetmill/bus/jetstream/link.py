"""SKELETON: signatures are firm, bodies follow."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nats.aio.client import Client

    from jetmill.errors import PermissionDeniedError


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """How to reach NATS, and how patient to be."""

    url: str
    """One address or several, parted by commas."""
    name: str = "jetmill"
    credentials: str | None = None
    """Path of a `.creds` file."""
    nkey_seed: str | None = None
    """Path of an nkey seed file."""
    user: str | None = None
    password: str | None = None
    token: str | None = None
    tls: ssl.SSLContext | None = None
    inbox_prefix: str = "_INBOX"
    connect_timeout_seconds: float | None = 10.0
    """How long `Link.connect` tries; None: for ever."""
    request_timeout_seconds: float = 5.0
    clock_subject: str = "$SYS.REQ.USER.INFO"
    """Whose answer tells the server's time; `$JS.API.STREAM.INFO.<stream>` will do as well."""


class Frame:
    """A message as it came off the wire; headers are parsed only when asked for."""

    __slots__ = ("head", "payload", "reply_raw", "subject_raw")

    subject: str
    reply: str
    payload: bytes
    head: bytes | None
    """The raw header block, `NATS/1.0…`, or None."""

    def header(self, name: str) -> str | None:
        """The first value of a header; names as sent, case counts."""
        raise NotImplementedError

    @property
    def status(self) -> int:
        """The status in the header line (100, 404, 503, …), 0 without one."""
        raise NotImplementedError


class Subscription:
    """Interest in a subject, kept over reconnects until `unsubscribe`."""

    def unsubscribe(self) -> None:
        """Stop; messages on their way are dropped. Idempotent."""
        raise NotImplementedError


class Link:
    """One connection to NATS. Belongs to the event loop that made it."""

    options: LinkOptions
    client: Client
    """nats-py's client on the same connection, for its JetStream management, KV and object store."""

    @classmethod
    async def connect(cls, options: LinkOptions) -> Link:
        """Connect; raises DisconnectedError when `connect_timeout_seconds` pass without success, PermissionDeniedError
        (subject `""`) when the credentials are refused, ConfigError for a credentials file that cannot be read.
        Once connected it reconnects for ever.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Send what is buffered, close; outstanding requests fail with DisconnectedError. Idempotent."""
        raise NotImplementedError

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        raise NotImplementedError

    @property
    def connected_since(self) -> float | None:
        """`time.monotonic()` of the last (re)connect, None while disconnected."""
        raise NotImplementedError

    @property
    def max_payload(self) -> int:
        """Bytes of headers and payload that the server takes in one message."""
        raise NotImplementedError

    def publish(self, subject: str, payload: bytes = b"", *, reply: str = "", headers: bytes | None = None) -> None:
        """Buffer a message; it leaves at the end of this turn of the loop. `headers` come from `wire.build_headers`.

        Raises DisconnectedError while there is no connection: nothing is ever kept for a later one. What was buffered
        when the connection broke is lost. BusError for a message over the server's limit.
        """
        raise NotImplementedError

    def request(
        self, subject: str, payload: bytes = b"", *, headers: bytes | None = None, timeout_seconds: float | None = None
    ) -> asyncio.Future[Frame]:
        """Publish with a reply inbox of its own; the future gives the answer.

        It raises NoAnswerError (time out, connection lost), DisconnectedError (not sent), PermissionDeniedError
        naming the subject, BusError with code 503 (nobody hears the subject, so nothing happened). JetStream errors inside
        the answer are the caller's to read (`wire.raise_for_error`). Cancelling the future forgets the request.
        """
        raise NotImplementedError

    def subscribe(self, subject: str, callback: Callable[[Frame], None], queue: str = "") -> Subscription:
        """Call `callback` for each message, synchronously, in order; it must not block, and what it raises goes to the
        loop's exception handler. May be called while disconnected.
        """
        raise NotImplementedError

    def new_inbox(self) -> str:
        """A subject of our own under the inbox prefix."""
        raise NotImplementedError

    async def room(self) -> None:
        """Wait until the outgoing buffer is under its high-water mark; raises DisconnectedError if the connection is lost."""
        raise NotImplementedError

    async def flush(self) -> None:
        """Wait until the server has taken everything published so far (a PING answered)."""
        raise NotImplementedError

    def on_reconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call after each reconnect, subscriptions already in place; returns the way to stop that."""
        raise NotImplementedError

    def on_disconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call when the connection is lost, after outstanding requests have failed; returns the way to stop that."""
        raise NotImplementedError

    def on_denied(self, callback: Callable[[PermissionDeniedError], None]) -> Callable[[], None]:
        """Call when the server refuses a publish or a subscription; returns the way to stop that."""
        raise NotImplementedError

    def now_us(self) -> int:
        """The server's clock in µs since the epoch, monotonic between two `sync_clock`; our own where it is unknown."""
        raise NotImplementedError

    async def sync_clock(self) -> None:
        """Ask the server for its time again; done once by `connect`, where a refusal is taken quietly."""
        raise NotImplementedError
