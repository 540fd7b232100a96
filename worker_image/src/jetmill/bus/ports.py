"""What Jetmill asks of its bus: small ports, two adapters (JetStream, memory), one conformance suite.

Hot-path methods (`append`, `publish`, `ack`, `nak`) do not await: they buffer a write and, where an answer matters,
return an `asyncio.Future`, so that everything that becomes ready in one turn of the loop leaves together. All others
are coroutines. Errors are those of `jetmill.errors`: RefusedError (a compare-and-set lost), NoAnswerError (nobody
knows), PermissionDeniedError, NotFoundError, BusError. One Bus belongs to one event loop.

Sequences count from 1 and grow; times are µs since the Unix epoch by the server's clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from msgspec import UNSET, UnsetType

from jetmill.protocol.event import EventPattern
from jetmill.protocol.hint import Hint
from jetmill.protocol.plan import Plan, StoredPlan
from jetmill.protocol.record import Band, Entry, Holder, JobSettings, Presence
from jetmill.protocol.subject import Subjects


class Ledger(Protocol):
    """The append-only record of each job; the truth."""

    def append(self, job_id: str, data: bytes, *, expected: int) -> asyncio.Future[int]:
        """Append an encoded record if the chain's last sequence is `expected` (0: no chain yet); the future gives its
        sequence, or RefusedError, NoAnswerError (it may yet land), BusError (the stream is full: nothing was stored).
        """
        ...

    async def read(self, job_id: str) -> Entry | None:
        """The last record of a job, read after all writes that were answered before."""
        ...

    async def read_at(self, seq: int) -> Entry | None:
        """The record at a sequence, or None if it was purged."""
        ...

    async def read_chain(self, job_id: str) -> list[Entry]:
        """All the records of a job, oldest first."""
        ...

    async def last_seq(self) -> int:
        """The sequence of the newest message in the ledger, 0 if it is empty."""
        ...

    def follow(
        self, *, start: int = 1, job_id: str | None = None, until: int | None = None
    ) -> AsyncIterator[list[Entry]]:
        """Records in order from sequence `start`, in lists of at most 2,000, then live ones as they come; ends when
        everything up to sequence `until` was given. Goes on after a reconnect, skipping and repeating nothing.
        A message that cannot be decoded raises CodecError with its `seq`, after all that came before it was given.
        """
        ...

    async def purge(self, job_id: str, *, up_to: int) -> None:
        """Remove the records of a job whose sequence is below `up_to`: its last one + 1 for the chain, whole. The bound
        keeps what a person's retry appended meanwhile.
        """
        ...

    def append_holder(self, key_hash: str, holder: Holder, *, expected: int) -> asyncio.Future[int]:
        """Write the holder of a gate by compare-and-set."""
        ...

    async def read_holder(self, key_hash: str) -> tuple[int, Holder] | None:
        """The holder of a gate with its sequence."""
        ...

    def append_plan(self, uid: str, plan: Plan, *, expected: int) -> asyncio.Future[int]:
        """Write the plan of a schedule by compare-and-set; InvalidNameError for a uid that can be none."""
        ...

    async def read_plan(self, uid: str) -> StoredPlan | None:
        """The plan of a schedule, read after all writes that were answered before."""
        ...

    async def plans(self) -> list[StoredPlan]:
        """The plan of every schedule that has one, by its uid; it may be a little old."""
        ...

    async def purge_plan(self, uid: str, *, up_to: int) -> None:
        """Remove the plans of a schedule whose sequence is below `up_to`: its last one's for those before it."""
        ...


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


@dataclass(frozen=True, slots=True)
class Change:
    """Something that an apply would write."""

    name: str
    """`stream jm_shop_q_mail`, `consumer high of jm_shop_q_mail`, `settings of mail`."""
    fields: tuple[str, ...] = ()
    """Those that are to be changed; none: it is to be created."""


class Admin(Protocol):
    """Streams, consumers and settings; only reconcilers write. ObstacleError for a stream that is not ours."""

    async def apply_namespace(self, *, replicas: int = 1) -> None:
        """Create or update the streams and buckets of the namespace; idempotent."""
        ...

    async def apply_job(
        self, settings: JobSettings, *, replicas: int = 1, before: JobSettings | UnsetType | None = UNSET
    ) -> None:
        """Create or update a Job's queue, its three consumers (paused if suspended) and its settings; idempotent.

        `before` is what the caller saw when it decided (None: no settings). RefusedError if others stand there by now,
        before anything is changed, or if somebody else wrote meanwhile: read again, decide again.
        """
        ...

    async def inspect_namespace(self, *, replicas: int = 1) -> list[Change]:
        """What `apply_namespace` would write now; empty: nothing."""
        ...

    async def inspect_job(self, settings: JobSettings, *, replicas: int = 1) -> list[Change]:
        """What `apply_job` would write now; empty: nothing."""
        ...

    async def remove_job(self, job: str, *, uid: str | None = None) -> None:
        """Remove a Job's settings and its queue stream, hints included; the ledger stays.

        With `uid`, RefusedError if by now the settings are of another object of that name; those of nobody go.
        """
        ...

    async def settings(self, job: str) -> JobSettings | None:
        """The settings of a Job, read now."""
        ...

    async def all_settings(self) -> list[JobSettings]:
        """The settings of every Job, by name."""
        ...

    async def watch_settings(self, on_change: Callable[[str, JobSettings | None], None]) -> Callable[[], None]:
        """Call `on_change(job, settings)` for every Job before it returns, then at each change (None: removed);
        returns the way to stop.
        """
        ...


class PresenceBoard(Protocol):
    """Which workers live."""

    async def put(self, presence: Presence, *, ttl_seconds: float) -> None:
        """Say that the worker lives, for `ttl_seconds` from now."""
        ...

    async def remove(self, worker: str) -> None:
        """The worker has gone, orderly."""
        ...

    async def is_removed(self, worker: str) -> bool:
        """Tell whether it has gone orderly, within the last minute."""
        ...

    async def get(self, worker: str) -> Presence | None:
        """The presence of a worker, read from the leader; None: absent."""
        ...

    async def all(self) -> list[Presence]:
        """Every worker that lives."""
        ...


class Payloads(Protocol):
    """Payloads and results too large for a record."""

    async def put(self, name: str, data: bytes) -> None:
        """Store under a name; the same name again replaces."""
        ...

    async def get(self, name: str) -> bytes:
        """Fetch; NotFoundError."""
        ...

    async def remove(self, name: str) -> None:
        """Remove; removing what is not there is no error."""
        ...


class Signals(Protocol):
    """What may be lost: pushes that spare a wait."""

    def cancel(self, job_id: str) -> None:
        """Tell whoever runs the job to stop."""
        ...

    def on_cancel(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call back with each id that is told to stop; returns the way to stop listening."""
        ...

    def wake(self, job: str) -> None:
        """Say that there is work for a Job."""
        ...

    def on_wake(self, callback: Callable[[str], None], *, job: str | None = None) -> Callable[[], None]:
        """Call back with the name of each Job that is woken, or of this one alone: each enqueue wakes, and what nobody
        listens to costs nobody anything.
        """
        ...

    def drain(self, worker: str) -> None:
        """Ask a worker to take nothing more for a while. Its presence says when it does so (`draining`) and when it has
        nothing in hand (`busy` 0). InvalidNameError if the id can be no worker's.
        """
        ...

    def undrain(self, worker: str) -> None:
        """Let it take jobs again."""
        ...

    def on_drain(self, worker: str, *, drain: Callable[[], None], undrain: Callable[[], None]) -> Callable[[], None]:
        """Call back when this worker is asked to drain, or to go on; returns the way to stop listening."""
        ...


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


@dataclass(frozen=True, slots=True)
class Message:
    """What was sent to those who listen now: to a topic of the application, or to one user."""

    kind: Literal["topic", "user"]
    name: str
    """Of the topic, or of the user."""
    data: bytes


class Messages(Protocol):
    """Messages to people's screens, through every gateway; nothing is kept for who does not listen."""

    def broadcast(self, topic: str, data: bytes) -> None:
        """Send to all who listen to a topic (one to eight labels joined by dots). DisconnectedError: it was not sent;
        BusError: too large; InvalidNameError.
        """
        ...

    def send_to_user(self, user: str, data: bytes) -> None:
        """Send to one user, wherever he is connected; errors as of `broadcast`."""
        ...

    def on_message(self, callback: Callable[[Message], None]) -> Callable[[], None]:
        """Call back with each message of the namespace; returns the way to stop listening."""
        ...


@dataclass(frozen=True, slots=True)
class Note:
    """A note where it lies."""

    seq: int
    time: int
    """µs: when it was written, by the server's clock."""
    data: bytes


class Notes(Protocol):
    """Small things that processes which need no leader leave for each other: how far one has come, what was seen last.
    Keys are one to eight labels joined by dots (InvalidNameError).
    """

    async def read(self, key: str) -> Note | None:
        """The note, read after all writes that were answered before; None: there is none."""
        ...

    async def write(self, key: str, data: bytes, *, expected: int) -> int:
        """Write if the last note has the sequence `expected` (0: there is none), and give the new one; RefusedError:
        somebody else was first. NoAnswerError: it may have been written, so read before you go on.
        """
        ...

    async def remove(self, key: str) -> None:
        """Remove, whatever it says; removing what is not there is no error."""
        ...


@dataclass(slots=True)
class Bus:
    """All the ports over one connection to one namespace; made by `jetmill.bus.connect`."""

    subjects: Subjects
    ledger: Ledger
    queue: Queue
    admin: Admin
    presence: PresenceBoard
    payloads: Payloads
    signals: Signals
    events: Events
    subscriptions: Subscriptions
    messages: Messages
    notes: Notes
    link: Link


class Link(Protocol):
    """The connection beneath a Bus."""

    threaded: bool
    """Heartbeats need a connection of their own in another thread (false in memory, where all share one loop)."""

    @property
    def connected(self) -> bool:
        """There is a connection now."""
        ...

    @property
    def connected_seconds(self) -> float:
        """For how long, 0.0 without; absence of a worker counts only after one presence TTL."""
        ...

    def now(self) -> int:
        """The server's clock, µs."""
        ...

    async def room(self) -> None:
        """Wait until the write buffer has room; a bulk producer asks now and then."""
        ...

    async def close(self) -> None:
        """Flush what is buffered, then leave; idempotent."""
        ...


class Trunk(Protocol):
    """One connection for many namespaces; made by `jetmill.bus.connect`."""

    @property
    def connected(self) -> bool:
        """There is a connection now."""
        ...

    @property
    def connected_seconds(self) -> float:
        """For how long, 0.0 without."""
        ...

    def open(self, namespace: str) -> Bus:
        """A Bus of one namespace over this connection; to close it leaves the connection to the others. What was begun
        over it (a watch, a subscription, a pull) is stopped by who began it.
        """
        ...

    async def close(self) -> None:
        """Flush what is buffered, then leave: every Bus of this trunk is closed too; idempotent."""
        ...


Connect = Callable[[], Awaitable[Bus]]
