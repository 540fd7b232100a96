"""`worker.lost`: a worker that was there, did not say goodbye, and is gone.

Who was seen stands in a note, so that a worker is missed even if the dispatcher that saw it is gone too. The event's id
is the worker's, so that it is told once, however many look. A reader that was away itself waits: a worker's presence
may have lapsed only because nobody could write.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from jetmill.bus.ports import Bus
from jetmill.errors import BusError, RefusedError
from jetmill.protocol.event import Event, encode_event
from jetmill.protocol.record import Presence

NOTE = "workers"
LOOK_SECONDS = 5.0
CALM_SECONDS = 60.0
"""For how long the connection has to stand before absence counts; presences last for half of it."""
MAX_TOLD = 100
"""Ids of jobs in an event."""

log = structlog.get_logger("jetmill.dispatcher")


class Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of a worker."""

    jobs: list[str] = []
    running: list[str] = []
    host: str = ""
    pod: str = ""


class WorkerWatch:
    """Publishes `worker.lost` for one namespace until cancelled."""

    def __init__(self, bus: Bus, *, look_seconds: float = LOOK_SECONDS, calm_seconds: float = CALM_SECONDS) -> None:
        self._bus = bus
        self._look_seconds = look_seconds
        self._calm_seconds = calm_seconds

    async def run(self) -> None:
        """Look again and again."""
        while True:
            if self._bus.link.connected_seconds >= self._calm_seconds:
                try:
                    await self.look()
                except BusError as err:
                    log.warning("workers_not_looked_at", namespace=self._bus.subjects.namespace, error=str(err))
            await asyncio.sleep(self._look_seconds)

    async def look(self) -> list[str]:
        """Compare who is there with who was, tell of the lost and note who is there; gives the lost."""
        note = await self._bus.notes.read(NOTE)
        before = {} if note is None else _read(note.data)
        there = {one.worker: _remember(one) for one in await self._bus.presence.all()}
        lost = [
            worker
            for worker in sorted(before.keys() - there.keys())
            if not await self._bus.presence.is_removed(worker) and await self._bus.presence.get(worker) is None
        ]
        for worker in lost:
            await self._tell(worker, before[worker])
        if there != before:
            try:
                await self._bus.notes.write(NOTE, msgspec.json.encode(there), expected=0 if note is None else note.seq)
            except RefusedError:
                log.debug("workers_noted_by_another", namespace=self._bus.subjects.namespace)
        return lost

    async def _tell(self, worker: str, seen: Seen) -> None:
        namespace = self._bus.subjects.namespace
        event = Event(
            id=f"lost-{worker}",
            type="worker.lost",
            source=f"/jetmill/{namespace}",
            subject=worker,
            time=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self._bus.link.now()),
            data={"worker": worker, **msgspec.to_builtins(seen)},
        )
        await self._bus.events.publish(event.type, encode_event(event), event_id=event.id)
        log.warning("worker_lost", namespace=namespace, worker=worker, running=len(seen.running))


def _remember(presence: Presence) -> Seen:
    return Seen(
        jobs=presence.jobs[:MAX_TOLD], running=presence.running[:MAX_TOLD], host=presence.host, pod=presence.pod
    )


def _read(data: bytes) -> dict[str, Seen]:
    try:
        return msgspec.json.decode(data, type=dict[str, Seen])
    except msgspec.MsgspecError:
        return {}
