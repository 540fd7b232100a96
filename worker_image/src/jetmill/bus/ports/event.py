"""Events and traces that are kept, and who subscribes to them durably."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from jetmill.bus.ports.queue import Pull
from jetmill.protocol.event import EventPattern


@dataclass(frozen=True, slots=True)
class TraceLine:
    """A progress report or a log line of one job, as JSON bytes."""

    id: str
    kind: str
    """`progress` or `log`."""
    seq: int
    time: int
    data: bytes


@dataclass(frozen=True, slots=True)
class EventMessage:
    """An event where it lies: a CloudEvent as JSON bytes, of which nothing was checked."""

    type: str
    seq: int
    time: int
    data: bytes


class Events(Protocol):
    """Events that applications publish, and what a running job tells: progress and log lines."""

    def publish(self, event_type: str, data: bytes, *, event_id: str) -> asyncio.Future[int]:
        """Put an encoded CloudEvent on the bus; the same `event_id` again (within two minutes) is stored once."""
        ...

    async def last_seq(self) -> int:
        """The sequence of the newest event, 0 before the first."""
        ...

    async def seq_at(self, time: int) -> int:
        """The sequence of the first event that was stored at a time (µs, the server's) or later; that of the next one
        to come, if there is none.
        """
        ...

    def follow(self, *, start: int = 1, pattern: EventPattern | None = None) -> AsyncIterator[list[EventMessage]]:
        """Events in order from sequence `start`, those that are kept still, then live ones as they come; with a pattern
        only those, which the server picks out. Goes on after a reconnect, skipping and repeating nothing.
        """
        ...

    async def read(
        self, *, start: int = 1, pattern: EventPattern | None = None, limit: int = 500
    ) -> list[EventMessage]:
        """Up to `limit` events that are kept, in order from sequence `start`; none: there is nothing more now."""
        ...

    def trace(self, job_id: str, kind: str, data: bytes) -> None:
        """Note a progress report or a log line; may be lost."""
        ...

    def traces(self, job_id: str, *, kind: str, live: bool = False) -> AsyncIterator[list[TraceLine]]:
        """What was noted, oldest first; with `live` it goes on as more comes."""
        ...


class EventDelivery(Protocol):
    """An event in hand, for a subscription. Everything but the reads is a buffered write that nobody waits for."""

    @property
    def seq(self) -> int:
        """The event's sequence; of one that is handed out once more, that of the event it was."""
        ...

    @property
    def time(self) -> int:
        """µs: when it was stored."""
        ...

    @property
    def data(self) -> bytes:
        """The CloudEvent, of which nothing was checked."""
        ...

    @property
    def attempt(self) -> int:
        """How often it was delivered, this time included. A single server that was killed may have forgotten some."""
        ...

    @property
    def token(self) -> str:
        """What `Subscriptions.working` needs."""
        ...

    def ack(self) -> None:
        """Done with."""
        ...

    def nak(self, delay_seconds: float = 0.0) -> None:
        """Give it back, to be delivered again after the delay."""
        ...


@dataclass(frozen=True, slots=True)
class SubscriptionInfo:
    """A durable subscription, and how far it is."""

    name: str
    patterns: tuple[str, ...]
    waiting: int
    """Events that were delivered to nobody yet."""
    in_hand: int
    """Delivered and not acked, those included that wait for their next attempt."""


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """An event that a subscription gave up, where it lies."""

    subscription: str
    seq: int
    """That of the event it was."""
    time: int
    """µs: when it was given up."""
    data: bytes
    """An encoded dead letter."""


class Subscriptions(Protocol):
    """Durable subscriptions: each gets every event of its patterns at least once, whoever takes it, and how far it is
    is kept on the bus. Names are labels of at most 58 characters.
    """

    async def apply(self, name: str, *, patterns: Sequence[EventPattern], start: int = 1) -> None:
        """Make the subscription, beginning with the event of sequence `start`; one that is there keeps how far it is
        and gets these patterns. Idempotent. NotFoundError without a namespace.
        """
        ...

    def pull(self, name: str, on_delivery: Callable[[EventDelivery], None], *, on_missing: Callable[[], None]) -> Pull:
        """Begin to take; nothing comes before `want`. What is not acked within 30 seconds (see `working`) goes to
        another. `on_missing` hears, now and then, that there is no such subscription (any more); the pull goes on by
        itself once there is.
        """
        ...

    def working(self, token: str) -> None:
        """Extend a delivery by 30 seconds."""
        ...

    async def all(self) -> list[SubscriptionInfo]:
        """Every subscription, by name."""
        ...

    async def remove(self, name: str) -> None:
        """Remove a subscription with its dead letters; removing what is not there is no error."""
        ...

    async def bury(self, name: str, seq: int, data: bytes) -> None:
        """Keep a dead letter for as long as events are kept; another one of the same event takes its place."""
        ...

    async def dead(self, name: str | None = None, *, limit: int = 1000) -> list[DeadMessage]:
        """The dead letters of a subscription, or of all, oldest first; in a cluster it may be a little old."""
        ...

    async def resolve(self, name: str, seq: int, *, again: bytes | None) -> None:
        """Take a dead letter away; with `again`, hand that event to the subscription once more first, from attempt 1.
        NotFoundError if there is no such dead letter.
        """
        ...
