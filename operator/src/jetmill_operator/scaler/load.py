"""What a Job's workers have to do: its own queue, and those of the Jobs that ride on them, as one.

A rider's workers are the carrier's, so one decision serves all: what waits and what comes is added up, and a job takes
as long as the workers say, whichever Job's it is. What waits for a suspended Job is nobody's work now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from jetmill.bus.ports import Bus, Flow
from jetmill.errors import JetmillError
from jetmill.protocol.record import Presence
from jetmill_operator.scaler.observation import QueueSeen, observe_queue

FRESH_SECONDS = 1.0
"""So old may presences be that another Job's look has read."""


@dataclass(slots=True)
class Meter:
    """How many jobs have come to a Job and its riders, since it was first looked at.

    Riders come and go, and a counter that falls was begun anew: what a Job's counters grew by is added to one total.
    """

    total: int = 0
    counters: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, flows: Mapping[str, Flow]) -> int:
        """Take a look at all of them, and give the total."""
        for job, flow in flows.items():
            now = (flow.stored, flow.offered)
            before = self.counters.get(job, now)
            grown = [new - old for old, new in zip(before, now, strict=True) if new >= old]
            self.total += min(grown, default=0)
        self.counters = {job: (flow.stored, flow.offered) for job, flow in flows.items()}
        return self.total


class PresenceReader:
    """All presences of a namespace, read once for all Jobs that are looked at about now."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._reads: dict[str, tuple[float, asyncio.Task[list[Presence]]]] = {}

    async def read(self, namespace: str, bus: Bus) -> list[Presence]:
        """Read them, or give those that were read within `FRESH_SECONDS`; raises JetmillError."""
        now = self._clock()
        known = self._reads.get(namespace)
        if known is None or now - known[0] > FRESH_SECONDS or _has_failed(known[1]):
            known = self._reads[namespace] = (now, asyncio.create_task(bus.presence.all()))
        return await asyncio.shield(known[1])

    async def close(self) -> None:
        """End what is under way."""
        tasks = [task for _, task in self._reads.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._reads.clear()


@dataclass(frozen=True, slots=True)
class Load:
    """One look at a Job and its riders."""

    queues: tuple[QueueSeen, ...]
    """The Job's own first."""
    presences: tuple[Presence, ...] = ()
    """All of the namespace, those that end too."""

    @property
    def fault(self) -> str:
        """Why it could not be read; empty: it was. A rider that has no queue yet is in nobody's way."""
        own, *riders = self.queues
        return own.fault or next((rider.fault for rider in riders if not rider.missing), "")

    @property
    def missing(self) -> list[str]:
        """The Jobs that have no queue."""
        return [queue.job for queue in self.queues if queue.missing]

    @property
    def flows(self) -> dict[str, Flow]:
        """By Job, those that were read."""
        return {queue.job: queue.flow for queue in self.queues if queue.flow is not None}


async def observe_load(bus: Bus, jobs: Sequence[str], presences: PresenceReader) -> Load:
    """Observe a Job (the first of `jobs`) and its riders. Never raises a JetmillError: what cannot be read is said."""
    namespace = bus.subjects.namespace
    if not bus.link.connected:
        return Load(tuple(QueueSeen(job, fault="NATS cannot be reached") for job in jobs))
    try:
        found = await presences.read(namespace, bus)
    except JetmillError as err:
        return Load(tuple(QueueSeen(job, fault=str(err)) for job in jobs))
    queues = await asyncio.gather(*(observe_queue(bus, job, presences=found) for job in jobs))
    return Load(tuple(queues), tuple(found))


def merge_queues(load: Load, meter: Meter, *, suspended: Sequence[str] = ()) -> QueueSeen:
    """Merge all queues into one, whose counters are the meter's; what waits for `suspended` ones is left out."""
    own = load.queues[0]
    if load.fault:
        return QueueSeen(own.job, fault=load.fault)
    flows = load.flows
    total = meter.add(flows)
    merged = Flow(
        ready=sum(flow.ready for job, flow in flows.items() if job not in suspended),
        in_flight=sum(flow.in_flight for flow in flows.values()),
        stored=total,
        offered=total,
        delayed=sum(flow.delayed for flow in flows.values()),
    )
    return QueueSeen(own.job, merged, own.workers)


def _has_failed(task: asyncio.Task[list[Presence]]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
