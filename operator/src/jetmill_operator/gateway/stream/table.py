"""Tables that are looked at now and then, while somebody watches: who works, and what waits.

Each frame is the whole table, so a newer one takes the place of one that waits, and there is never a gap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec
import structlog

from jetmill.bus.ports import Bus, Depth
from jetmill.client.status import time_of
from jetmill.errors import BusError, NotFoundError
from jetmill.protocol.record import JobSettings, Presence
from jetmill_operator.gateway.stream.feed import Subscriber
from jetmill_operator.gateway.stream.frame import Frame, Key, build_table
from jetmill_operator.gateway.stream.option import StreamOptions

_AT_ONCE = 50
_encoder = msgspec.json.Encoder()
log = structlog.get_logger()


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A worker process that lives."""

    worker: str
    jobs: list[str]
    missing: list[str]
    slots: int
    busy: int
    host: str
    pid: int
    pod: str
    version: str
    started: datetime
    draining: bool
    stopping: bool


class QueueRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What waits of one Job, and who works on it."""

    job: str
    ready: int
    in_flight: int
    delayed: int
    workers: int
    slots: int
    busy: int
    suspended: bool


async def read_workers(bus: Bus) -> list[bytes]:
    """The table of workers, by name, encoded."""
    return [_encoder.encode(_make_worker(one)) for one in sorted(await _all(bus), key=lambda one: one.worker)]


async def read_queues(bus: Bus) -> list[bytes]:
    """The table of queues, by Job, encoded."""
    workers = await _all(bus)
    rows: list[bytes] = []
    settings = [one for one in await bus.admin.all_settings() if one.webhook is None]
    for start in range(0, len(settings), _AT_ONCE):
        part = settings[start : start + _AT_ONCE]
        depths = await asyncio.gather(*(_depth(bus, one.job) for one in part))
        rows += [
            _encoder.encode(_make_queue(one, depth, workers)) for one, depth in zip(part, depths, strict=True) if depth
        ]
    return rows


async def _all(bus: Bus) -> list[Presence]:
    try:
        return await bus.presence.all()
    except NotFoundError:
        return []


async def _depth(bus: Bus, job: str) -> Depth | None:
    try:
        return await bus.queue.depth(job)
    except NotFoundError:  # its queue is still to be made, or just went
        return None


def _make_worker(presence: Presence) -> WorkerRow:
    return WorkerRow(
        worker=presence.worker,
        jobs=presence.jobs,
        missing=presence.missing,
        slots=presence.slots,
        busy=presence.busy,
        host=presence.host,
        pid=presence.pid,
        pod=presence.pod,
        version=presence.version,
        started=time_of(presence.started),
        draining=presence.draining,
        stopping=presence.stopping,
    )


def _make_queue(settings: JobSettings, depth: Depth, workers: list[Presence]) -> QueueRow:
    serving = [presence for presence in workers if settings.job in presence.jobs]
    return QueueRow(
        job=settings.job,
        ready=depth.ready,
        in_flight=depth.in_flight,
        delayed=depth.delayed,
        workers=len(serving),
        slots=sum(presence.slots for presence in serving),
        busy=sum(presence.busy for presence in serving),
        suspended=settings.suspend,
    )


class Table:
    """One table and those who watch it."""

    def __init__(self, read: Callable[[], Awaitable[list[bytes]]], key: Key, *, options: StreamOptions) -> None:
        self._read = read
        self._key = key
        self._options = options
        self._rows: list[bytes] | None = None
        self._frame: Frame | None = None
        self._subscribers: dict[Subscriber, None] = {}
        self._task: asyncio.Task[None] | None = None

    def join(self, subscriber: Subscriber) -> None:
        """Give the table now (as soon as it is known), then at each change."""
        self._subscribers[subscriber] = None
        if self._task is None:
            self._rows = None
            self._task = asyncio.create_task(self._look())
        elif self._frame is not None:
            subscriber.put(self._frame)

    def leave(self, subscriber: Subscriber) -> None:
        """Give it no more; without anybody nothing is looked at. Idempotent."""
        self._subscribers.pop(subscriber, None)
        if not self._subscribers and self._task is not None:
            self._task.cancel()
            self._task, self._frame = None, None

    async def close(self) -> None:
        """Stop."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            try:
                self._show(await self._read())
            except BusError as error:  # the next look will tell
                log.info("table_not_read", namespace=self._key.namespace, table=self._key.topic, error=str(error))
            took = loop.time() - begun
            await asyncio.sleep(max(self._options.poll_seconds, took))  # never more than half of the time

    def _show(self, rows: list[bytes]) -> None:
        if rows == self._rows:
            return
        self._rows = rows
        self._frame = build_table(self._key, rows)
        for subscriber in tuple(self._subscribers):
            subscriber.put(self._frame)
