"""Where a feed's events come from: the ledger, the events of applications, the trace of one job.

A source turns what the bus gives into items: a sequence, the topics it belongs to, and its JSON, encoded once for all
who will get it. Payloads and results stay out: who may watch a job may not always see them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec
import structlog

from jetmill.bus.ports import EventMessage, Events, Ledger, TraceLine
from jetmill.client.status import time_of
from jetmill.errors import BusError, CodecError
from jetmill.protocol.record import Band, Entry
from jetmill.protocol.state import Reason, State
from jetmill_operator.gateway.stream.topic import Kind, Topic, find_event_topics, find_record_topics

_ERROR_CHARACTERS = 1_000
_PATIENCE_SECONDS = 5.0
_FLOOR_SECONDS = 10.0
_T = TypeVar("_T")
_encoder = msgspec.json.Encoder()
_value = msgspec.json.Decoder()
log = structlog.get_logger()


class Item(NamedTuple):
    """An event on its way."""

    seq: int
    topics: tuple[str, ...]
    raw: bytes
    """JSON."""


class Source(Protocol):
    """What a feed follows."""

    async def last_seq(self) -> int:
        """The newest sequence."""
        ...

    def follow(self, *, start: int) -> AsyncIterator[list[Item]]:
        """Items from a sequence on, without an end."""
        ...

    def history(self, topic: Topic | None, *, after: int, until: int) -> AsyncIterator[list[Item]]:
        """Items of a topic (None: of all) in (after, until], as far as they are kept."""
        ...

    async def floor(self, topic: Topic) -> int:
        """The sequence up to which history may lack something."""
        ...


class JobError(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong, without its traceback."""

    type: str
    message: str


class JobEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A transition of a job, as streams tell it."""

    seq: int
    id: str
    job: str
    state: State
    reason: Reason | None = None
    enqueueing: int
    attempt: int
    crashes: int = 0
    priority: Band = "normal"
    time: datetime
    by: str | None = None
    """Left out in snapshots of many jobs."""
    worker: str | None = None
    due: datetime | None = None
    schedule: str | None = None
    user: str | None = None
    labels: dict[str, str] | None = None
    error: JobError | None = None


def build_job_event(entry: Entry) -> JobEvent:
    """What a record says to those who watch."""
    record = entry.record
    call = record.call
    error = record.error
    return JobEvent(
        seq=entry.seq,
        id=entry.id,
        job=record.job,
        state=record.state,
        reason=record.reason,
        enqueueing=record.enqueueing,
        attempt=record.attempt,
        crashes=record.crashes,
        priority=record.band,
        time=time_of(entry.time),
        by=record.by,
        worker=record.worker,
        due=None if record.due is None else time_of(record.due),
        schedule=record.schedule,
        user=None if call is None else call.user,
        labels=None if call is None else call.labels,
        error=None if error is None else shorten_error(error.type, error.message),
    )


def shorten_error(error_type: str, message: str) -> JobError:
    """An error as streams tell it. Pure."""
    return JobError(error_type, message[:_ERROR_CHARACTERS])


class LedgerSource:
    """The transitions of all jobs of a namespace."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._floor = (float("-inf"), 0)

    async def last_seq(self) -> int:
        """See Source."""
        return await self._ledger.last_seq()

    async def follow(self, *, start: int) -> AsyncIterator[list[Item]]:
        """See Source; what cannot be decoded is left out, for it will not become better."""
        while True:
            try:
                async with closing(self._ledger.follow(start=start)) as lists:
                    async for entries in lists:
                        yield [_make_item(entry) for entry in entries]
                        start = entries[-1].seq + 1
            except CodecError as error:
                log.warning("record_not_readable", seq=error.seq, error=str(error))
                start = error.seq + 1
            else:
                return

    async def history(self, topic: Topic | None, *, after: int, until: int) -> AsyncIterator[list[Item]]:
        """See Source: one job's chain is read by itself, anything else by going through the ledger."""
        if topic is not None and topic.kind is Kind.JOB:
            chain = await self._ledger.read_chain(topic.name)
            yield [_make_item(entry) for entry in chain if after < entry.seq <= until]
            return
        key = None if topic is None else str(topic)
        while after < until:
            try:
                async with closing(self._ledger.follow(start=after + 1, until=until)) as lists:
                    async for entries in lists:
                        items = [_make_item(entry) for entry in entries]
                        yield [item for item in items if key is None or key in item.topics]
                        after = entries[-1].seq
            except CodecError as error:
                after = error.seq
            else:
                return

    async def floor(self, topic: Topic) -> int:
        """See Source. Chains are purged whole: before the oldest record that there is everything may be gone."""
        if topic.kind is Kind.JOB:
            return 0 if await self._ledger.read(topic.name) is not None else await self.last_seq()
        now = asyncio.get_running_loop().time()
        if now - self._floor[0] > _FLOOR_SECONDS:
            self._floor = (now, await self._find_first() - 1)
        return self._floor[1]

    async def _find_first(self) -> int:
        last = await self._ledger.last_seq()
        try:
            async with closing(self._ledger.follow(start=1, until=last)) as lists:
                async for entries in lists:
                    return entries[0].seq
        except CodecError as error:
            return error.seq
        return last + 1


def _make_item(entry: Entry) -> Item:
    return Item(entry.seq, find_record_topics(entry), _encoder.encode(build_job_event(entry)))


class EventSource:
    """What applications publish."""

    def __init__(self, events: Events) -> None:
        self._events = events

    async def last_seq(self) -> int:
        """See Source."""
        return await self._events.last_seq()

    async def follow(self, *, start: int) -> AsyncIterator[list[Item]]:
        """See Source."""
        async with closing(self._events.follow(start=start)) as lists:
            async for events in lists:
                yield [_make_event_item(event) for event in events]

    async def history(self, topic: Topic | None, *, after: int, until: int) -> AsyncIterator[list[Item]]:
        """See Source; the newest may have grown too old meanwhile, so it waits for none too long."""
        async with closing(self._events.follow(start=after + 1)) as lists:
            while after < until:
                try:
                    async with asyncio.timeout(_PATIENCE_SECONDS):
                        events = await anext(lists)
                except (TimeoutError, StopAsyncIteration):
                    return
                after = events[-1].seq
                items = [_make_event_item(event) for event in events if event.seq <= until]
                yield [item for item in items if topic is None or str(topic) in item.topics]

    async def floor(self, topic: Topic) -> int:
        """See Source: events go by age, the oldest first."""
        del topic
        last = await self._events.last_seq()
        if last == 0:
            return 0
        async with closing(self._events.follow(start=1)) as lists:
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    return (await anext(lists))[0].seq - 1
            except (TimeoutError, StopAsyncIteration):
                return last


def _make_event_item(event: EventMessage) -> Item:
    head = {"seq": event.seq, "time": time_of(event.time), "type": event.type}
    return Item(event.seq, find_event_topics(event.type), _encoder.encode(head | _read("event", event.data)))


class TraceSource:
    """The log lines, or progress reports, of one job; those that are kept come first, so there is no history beside."""

    def __init__(self, events: Events, topic: Topic) -> None:
        self._events = events
        self._job_id = topic.name
        self._kind = str(topic.kind)
        self._topics = (str(topic),)

    async def last_seq(self) -> int:
        """See Source: it begins at the first line."""
        return 0

    async def follow(self, *, start: int) -> AsyncIterator[list[Item]]:
        """See Source."""
        async with closing(self._events.traces(self._job_id, kind=self._kind, live=True)) as lists:
            async for lines in lists:
                fresh = [self._make_item(line) for line in lines if line.seq >= start]
                if fresh:
                    yield fresh

    async def history(self, topic: Topic | None, *, after: int, until: int) -> AsyncIterator[list[Item]]:
        """See Source."""
        del topic
        async for lines in self._events.traces(self._job_id, kind=self._kind):
            yield [self._make_item(line) for line in lines if after < line.seq <= until]

    async def floor(self, topic: Topic) -> int:
        """See Source: a job's first lines give way to later ones, which nobody notes."""
        del topic
        return 0

    def _make_item(self, line: TraceLine) -> Item:
        head = {"seq": line.seq, "time": time_of(line.time)}
        return Item(line.seq, self._topics, _encoder.encode(head | _read(self._kind, line.data)))


def _read(name: str, data: bytes) -> dict[str, Any]:
    """What somebody else wrote, read once: a frame must stay whole whatever it is."""
    try:
        return {name: _value.decode(data)}
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return {name: None, "unreadable": True}


@asynccontextmanager
async def closing(lists: AsyncIterator[_T]) -> AsyncGenerator[AsyncIterator[_T]]:
    """Stop following when the block ends: every adapter's iterator is a generator that can be closed."""
    try:
        yield lists
    finally:
        close = getattr(lists, "aclose", None)
        if close is not None:
            with suppress(BusError):
                await close()
