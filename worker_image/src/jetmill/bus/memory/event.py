"""Events and traces in memory, within the same limits as on a server: a job keeps its last 1,000 lines of a kind, for a
day; the last 10,000 events are kept, and an event id is remembered for two minutes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from jetmill.bus.memory.link import MemoryLink
from jetmill.bus.memory.turn import Bell
from jetmill.bus.ports import EventMessage, TraceLine
from jetmill.errors import BusError
from jetmill.protocol.event import EventPattern
from jetmill.protocol.name import parse_event_type

if TYPE_CHECKING:
    from jetmill.bus.memory.world import MemoryWorld

MAX_LINES = 1000
MAX_EVENTS = 10_000
LINE_AGE = 24 * 3600 * 1_000_000
SAME_EVENT = 120 * 1_000_000


class StoredEvent(NamedTuple):
    """An event as it was published."""

    seq: int
    time: int
    type: str
    id: str
    data: bytes


class EventStore:
    """What the streams of events and traces hold."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world
        self.published: deque[StoredEvent] = deque(maxlen=MAX_EVENTS)
        """The latest events, oldest first; for tests."""
        self._seq = 0
        self._recent: dict[str, tuple[int, int]] = {}
        self._ages: deque[tuple[int, str]] = deque()
        self._line_seq = 0
        self._lines: dict[tuple[str, str], deque[TraceLine]] = {}
        self._line_ages: deque[tuple[int, tuple[str, str]]] = deque()
        self.bell = Bell(world.turn)
        self.published_bell = Bell(world.turn)

    def publish(self, event_type: str, data: bytes, event_id: str) -> int:
        """Store an event once."""
        if not self._world.applied:
            raise BusError("no stream takes events", code=503, cure="admin.apply_namespace() first")
        now = self._world.clock.now()
        while self._ages and self._ages[0][0] <= now - SAME_EVENT:
            del self._recent[self._ages.popleft()[1]]
        if event_id in self._recent:
            return self._recent[event_id][1]
        self._seq += 1
        self._recent[event_id] = (now, self._seq)
        self._ages.append((now, event_id))
        self.published.append(StoredEvent(self._seq, now, event_type, event_id, data))
        self.published_bell.ring()
        self._world.subscriptions.wake()
        return self._seq

    @property
    def last_seq(self) -> int:
        """The newest event's sequence."""
        return self._seq

    def seq_at(self, time: int) -> int:
        """The sequence of the first event at a time or later, or of the next to come."""
        return next((event.seq for event in self.published if event.time >= time), self._seq + 1)

    def after(self, seq: int) -> list[EventMessage]:
        """The events that are kept after a sequence."""
        missing = self._seq - seq
        if missing <= 0:
            return []
        found = islice(self.published, max(0, len(self.published) - missing), None)
        return [EventMessage(event.type, event.seq, event.time, event.data) for event in found]

    def note(self, job_id: str, kind: str, data: bytes) -> None:
        """Store a line."""
        now, key = self._world.clock.now(), (job_id, kind)
        self._line_seq += 1
        lines = self._lines.get(key)
        if lines is None:
            lines = self._lines[key] = deque(maxlen=MAX_LINES)
            self._line_ages.append((now, key))
        lines.append(TraceLine(id=job_id, kind=kind, seq=self._line_seq, time=now, data=data))
        self._forget_old(now)
        self.bell.ring()

    def _forget_old(self, now: int) -> None:
        while self._line_ages and self._line_ages[0][0] <= now - LINE_AGE:
            key = self._line_ages.popleft()[1]
            lines = self._lines[key]
            while lines and lines[0].time <= now - LINE_AGE:
                lines.popleft()
            if lines:
                self._line_ages.append((now, key))
            else:
                del self._lines[key]

    def lines(self, job_id: str, kind: str, after: int) -> list[TraceLine]:
        """The lines of a job after a sequence."""
        old = self._world.clock.now() - LINE_AGE
        return [line for line in self._lines.get((job_id, kind), ()) if line.seq > after and line.time > old]


class MemoryEvents:
    """The port `Events`."""

    def __init__(self, link: MemoryLink) -> None:
        self._link = link
        self._store = link.world.events

    def publish(self, event_type: str, data: bytes, *, event_id: str) -> asyncio.Future[int]:
        """See the port."""
        if self._link.closed:
            return self._link.refuse()
        parse_event_type(event_type)
        future = self._link.future()
        try:
            self._link.world.turn.answer(future, self._store.publish(event_type, data, event_id))
        except BusError as err:
            self._link.world.turn.answer(future, err)
        return future

    async def last_seq(self) -> int:
        """See the port."""
        self._link.check()
        self._link.world.need_namespace()
        await self._link.turn()
        return self._store.last_seq

    async def seq_at(self, time: int) -> int:
        """See the port."""
        self._link.check()
        self._link.world.need_namespace()
        await self._link.turn()
        return self._store.seq_at(time)

    async def follow(self, *, start: int = 1, pattern: EventPattern | None = None) -> AsyncIterator[list[EventMessage]]:
        """See the port."""
        self._link.check()
        self._link.world.need_namespace()
        last = max(1, start) - 1
        stop_ringing = self._link.on_close(self._store.published_bell.ring)
        try:
            while not self._link.closed:
                events = self._store.after(last)
                if not events:
                    await self._store.published_bell.wait()
                    continue
                last = events[-1].seq
                await self._link.turn()
                wanted = [event for event in events if pattern is None or pattern.matches(event.type)]
                if wanted:
                    yield wanted
        finally:
            stop_ringing()

    async def read(
        self, *, start: int = 1, pattern: EventPattern | None = None, limit: int = 500
    ) -> list[EventMessage]:
        """See the port."""
        self._link.check()
        self._link.world.need_namespace()
        await self._link.turn()
        events = self._store.after(max(1, start) - 1)
        return [event for event in events if pattern is None or pattern.matches(event.type)][:limit]

    def trace(self, job_id: str, kind: str, data: bytes) -> None:
        """See the port."""
        if self._link.connected and self._link.world.applied:
            self._store.note(job_id, kind, data)

    async def traces(self, job_id: str, *, kind: str, live: bool = False) -> AsyncIterator[list[TraceLine]]:
        """See the port."""
        self._link.check()
        self._link.world.need_namespace()
        last = 0
        stop_ringing = self._link.on_close(self._store.bell.ring)
        try:
            while not self._link.closed:
                lines = self._store.lines(job_id, kind, last)
                if lines:
                    last = lines[-1].seq
                    await self._link.turn()
                    yield lines
                elif live:
                    await self._store.bell.wait()
                else:
                    return
        finally:
            stop_ringing()
