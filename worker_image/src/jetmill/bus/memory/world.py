"""A world: all that a JetStream server would keep for one namespace, in this process.

It outlives the Bus objects that look at it, as a server outlives its connections, and belongs to one event loop at a
time: whoever connects from another one takes it over, once the first has ended. Worlds of `memory://name` are shared by
name, namespace and prefix; a test makes one of its own: `MemoryWorld()`, then `world.connect()`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from jetmill.bus.memory.admin import MemoryAdmin, SettingsStore
from jetmill.bus.memory.band import JobQueue
from jetmill.bus.memory.clock import MemoryClock
from jetmill.bus.memory.event import EventStore, MemoryEvents
from jetmill.bus.memory.fault import Fault, Faults, Write
from jetmill.bus.memory.ledger import LedgerStore, MemoryLedger
from jetmill.bus.memory.link import MemoryLink
from jetmill.bus.memory.message import MemoryMessages, MessageStore
from jetmill.bus.memory.note import MemoryNotes, NoteStore
from jetmill.bus.memory.payload import MemoryPayloads
from jetmill.bus.memory.presence import MemoryPresenceBoard
from jetmill.bus.memory.queue import MemoryPull, MemoryQueue
from jetmill.bus.memory.signal import MemorySignals, SignalStore
from jetmill.bus.memory.subscription import MemorySubscriptions, SubscriptionStore
from jetmill.bus.memory.turn import Bell, Turn
from jetmill.bus.ports import Bus
from jetmill.errors import BusError, ConfigError, NotFoundError
from jetmill.protocol.subject import DEFAULT_PREFIX, Subjects


class MemoryWorld:
    """The state behind `memory://`; `clock`, `faults` and the stores are there for tests."""

    def __init__(
        self, namespace: str = "default", *, prefix: str = DEFAULT_PREFIX, clock: MemoryClock | None = None
    ) -> None:
        self.subjects = Subjects(namespace, prefix=prefix)
        self.clock = clock or MemoryClock()
        self.turn = Turn()
        self.faults = Faults(self)
        self.applied = False
        """`admin.apply_namespace` was called."""
        self.ledger = LedgerStore(self)
        self.settings = SettingsStore(self)
        self.signals = SignalStore(self)
        self.events = EventStore(self)
        self.subscriptions = SubscriptionStore(self)
        self.messages = MessageStore(self)
        self.notes = NoteStore()
        self.queues: dict[str, JobQueue] = {}
        self.settled = Bell(self.turn)
        """Rings when a delivery was acked or given back, and when a delayed hint has become ready."""
        self.pulls: dict[tuple[str, str], deque[MemoryPull]] = {}
        """(Job, band) → the pulls that want something, the next one first."""
        self.presence: dict[str, tuple[int, bytes]] = {}
        """Worker → (µs when it runs out, encoded presence)."""
        self.departed: dict[str, int] = {}
        """Worker that has gone orderly → µs until when that is known."""
        self.payloads: dict[str, bytes] = {}
        self._links: list[MemoryLink] = []

    def connect(self) -> Bus:
        """A Bus on this world for the running event loop; ConfigError while another loop runs it."""
        loop = asyncio.get_running_loop()
        if self.turn.loop is not loop:
            self._move_to(loop)
        link = MemoryLink(self, loop)
        self._links.append(link)
        return Bus(
            subjects=self.subjects,
            ledger=MemoryLedger(self.ledger, link),
            queue=MemoryQueue(link),
            admin=MemoryAdmin(link),
            presence=MemoryPresenceBoard(link),
            payloads=MemoryPayloads(link),
            signals=MemorySignals(link),
            events=MemoryEvents(link),
            subscriptions=MemorySubscriptions(link),
            messages=MemoryMessages(link),
            notes=MemoryNotes(link),
            link=link,
        )

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        old = self.turn.loop
        if old is not None and old.is_running():
            raise ConfigError(
                "this memory bus runs on another event loop",
                cure="connect from that loop, take another memory://name, or use a nats-server",
            )
        for link in list(self._links):
            link.drop()
        self.turn.attach(loop)
        self.clock.attach(loop)
        for queue in self.queues.values():
            queue.reset_turn()
        self.subscriptions.reset_turn()

    def forget(self, link: MemoryLink) -> None:
        """A link has closed."""
        self._links.remove(link)

    def need_namespace(self) -> None:
        """Raise NotFoundError before `apply_namespace`."""
        if not self.applied:
            raise NotFoundError("stream not found", code=10059, cure="admin.apply_namespace() first")

    def demand(self, job: str, band: str) -> deque[MemoryPull]:
        """The pulls that want something of a band."""
        key = (job, band)
        pulls = self.pulls.get(key)
        if pulls is None:
            pulls = self.pulls[key] = deque()
        return pulls

    def queue(self, job: str) -> JobQueue:
        """A Job's queue, or NotFoundError."""
        queue = self.queues.get(job)
        if queue is None:
            raise NotFoundError(f"no queue of Job {job}", code=10059, cure="admin.apply_job() first")
        return queue

    def write(self, future: asyncio.Future[Any], kind: Write, land: Callable[[], Any]) -> asyncio.Future[Any]:
        """Let a write land and answer on the next turn, or let a fault have it."""
        fault = self.faults.take(kind)
        if fault is not None:
            self._write_badly(future, fault, land)
            return future
        try:
            result = land()
        except BusError as err:
            result = err
        self.turn.answer(future, result)
        return future

    def _write_badly(self, future: asyncio.Future[Any], fault: Fault, land: Callable[[], Any]) -> None:
        def try_landing() -> None:
            try:
                land()
            except BusError:
                return  # refused: nobody listens for the answer any more

        if fault.lands and fault.after_seconds > 0:
            self.clock.at(self.clock.now() + round(fault.after_seconds * 1_000_000), try_landing)
        elif fault.lands:
            try_landing()
        self.turn.answer(future, fault.error)
