"""SKELETON: signatures are firm, bodies follow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jetmill.bus.jetstream.link import Link
    from jetmill.errors import BusError


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How a pull stands."""

    expires_seconds: float = 30.0
    heartbeat_seconds: float = 5.0
    backoff_seconds: float = 0.1
    backoff_max_seconds: float = 5.0


class Delivery:
    """One message of a consumer, in hand until it is acked, naked or termed, or `ack_wait` passes.

    `ack`, `nak`, `term`, `working` are buffered writes that nobody waits for; lost while disconnected.
    """

    __slots__ = ()

    subject: str
    payload: bytes
    reply: str
    """The `$JS.ACK.…` subject; extends the delivery from another connection too (`publish(reply, b"+WPI")`)."""
    head: bytes | None
    stream_seq: int
    consumer_seq: int
    num_delivered: int
    timestamp_us: int
    """When the stream stored it, by the server's clock."""
    num_pending: int

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        raise NotImplementedError

    def ack(self) -> None:
        """Done with."""
        raise NotImplementedError

    def ack_sync(self) -> asyncio.Future[None]:
        """Ack and learn that the server took it; NoAnswerError, PermissionDeniedError."""
        raise NotImplementedError

    def nak(self, delay_seconds: float | None = None) -> None:
        """Give back, to be delivered again at once or after a delay."""
        raise NotImplementedError

    def term(self, reason: str = "") -> None:
        """Never deliver again."""
        raise NotImplementedError

    def working(self) -> None:
        """Extend by `ack_wait`."""
        raise NotImplementedError


class Pull:
    """Standing demand on a durable consumer."""

    def __init__(
        self,
        link: Link,
        stream: str,
        consumer: str,
        on_delivery: Callable[[Delivery], None],
        *,
        on_error: Callable[[BusError], None] | None = None,
        options: PullOptions | None = None,
    ) -> None:
        """Take nothing before `want`. `on_error` hears of a missing consumer (NotFoundError), a denial
        (PermissionDeniedError) and other refusals; the pull goes on trying with backoff all the same.
        """
        raise NotImplementedError

    def want(self, count: int) -> None:
        """Ask for `count` more deliveries; asks of one turn of the loop leave together."""
        raise NotImplementedError

    @property
    def outstanding(self) -> int:
        """Wanted and not yet delivered."""
        raise NotImplementedError

    def stop(self) -> None:
        """Take nothing more: what the server has not sent goes to another waiter, what is on the wire is naked. Idempotent."""
        raise NotImplementedError
