"""Hints: where they lie, how they are taken, how many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from jetmill.protocol.hint import Hint
from jetmill.protocol.record import Band


class Delivery(Protocol):
    """A hint in hand. Everything but the reads is a buffered write that nobody waits for."""

    @property
    def id(self) -> str:
        """The job."""
        ...

    @property
    def job(self) -> str:
        """The Job's name."""
        ...

    @property
    def band(self) -> Band:
        """Where it waited."""
        ...

    @property
    def body(self) -> bytes:
        """The encoded record."""
        ...

    @property
    def seq(self) -> int | None:
        """Jm-Seq."""
        ...

    @property
    def time(self) -> int:
        """µs: when JetStream stored this message; what *due* is judged by."""
        ...

    @property
    def deliveries(self) -> int:
        """How often it was delivered, this time included."""
        ...

    @property
    def token(self) -> str:
        """What `Queue.working` needs to extend the delivery from another connection."""
        ...

    def ack(self) -> None:
        """Done with: the message leaves the queue."""
        ...

    def nak(self, delay_seconds: float = 0.0) -> None:
        """Give it back, to be delivered again after the delay."""
        ...


class Pull(Protocol):
    """Standing demand on one band's consumer; deliveries come by callback, never more than wanted."""

    @property
    def outstanding(self) -> int:
        """Wanted and not yet delivered."""
        ...

    def want(self, count: int) -> None:
        """Ask for `count` more deliveries."""
        ...

    def renew(self) -> None:
        """Ask anew for what is wanted: a queue that was suspended may not have noticed that somebody waits."""
        ...

    def stop(self) -> None:
        """Take nothing more; what is under way goes to another worker."""
        ...


@dataclass(frozen=True, slots=True)
class Depth:
    """What lies in a Job's queue."""

    ready: int
    in_flight: int
    delayed: int


@dataclass(frozen=True, slots=True)
class Flow:
    """What goes through a Job's queue. The counters count every hint that became ready, and more: `stored` delayed ones
    as well, `offered` those that came again. They begin anew with the stream or its consumers.
    """

    ready: int
    in_flight: int
    """Delivered and not acked, whether or not its taker lives."""
    stored: int
    offered: int
    delayed: int = 0
    """Not due yet; read a moment apart from the others, so off by what moved meanwhile."""


class Queue(Protocol):
    """The hints of every Job."""

    def publish(self, hint: Hint) -> asyncio.Future[None]:
        """Put a hint: ready, or (with `due`) delayed, replacing an earlier delayed one. NoAnswerError: put it again."""
        ...

    def pull(self, job: str, band: Band, on_delivery: Callable[[Delivery], None]) -> Pull:
        """Begin to take from a band; nothing comes before `want`. Survives reconnects, and a consumer yet to come."""
        ...

    def working(self, token: str) -> None:
        """Extend a delivery by the lease time."""
        ...

    async def last_seq(self, job: str) -> int:
        """The sequence of the newest message in a Job's queue stream."""
        ...

    async def purge(self, job: str, job_id: str, *, up_to: int) -> None:
        """Remove the job's hints, ready and delayed, whose sequence is below `up_to`."""
        ...

    async def hinted(self, job: str) -> set[str]:
        """The ids that have a hint, ready, in hand or delayed."""
        ...

    async def depth(self, job: str) -> Depth:
        """How much waits; NotFoundError without a queue."""
        ...

    async def flow(self, job: str) -> Flow:
        """How much is ready and in hand, and how much has come; as cheap with a million delayed hints as with none.
        NotFoundError without a queue.
        """
        ...

    async def tails(self) -> dict[str, int]:
        """The sequence of the newest message in each Job's queue: whatever came, or became due, made it grow. A few
        requests, however many queues there are.
        """
        ...
