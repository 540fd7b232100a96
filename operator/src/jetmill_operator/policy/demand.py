"""How many workers the work needs, limits aside: the model. Pure.

A worker has `concurrency` slots; a job takes one for `service_seconds`. Little's law says how many slots a flow keeps
busy (rate x service time); the backlog needs as many more as finish it within `target_drain_seconds`, but never more
than one for each job. Slots are planned to be busy for `TARGET_UTILIZATION` of the time, for what comes is uneven.

```
slots = max(rate x service, jobs in hand that outlast the drain) / utilization
      + min(waiting x service / (drain x utilization), waiting)
      at most: one for each job that is there, and for those that come while a worker starts
```
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jetmill_operator.api.job import JobSpec
from jetmill_operator.policy.window import Arrivals

DEFAULT_CONCURRENCY = 50
"""Jobs at once in a worker that was told nothing and has not said it yet."""
ASSUMED_SERVICE_SECONDS = 1.0
"""How long a job is taken to run before any worker has told."""
TARGET_UTILIZATION = 0.8
"""The part of the time in which a slot is planned to be busy."""
STABLE_SECONDS = 60.0
"""The window of the rate that is believed."""
PANIC_SECONDS = 6.0
"""The window of the rate that is believed when it says that far more is needed."""
LEAD_SECONDS = 5.0
"""What comes within this time may be met by workers that start now; what comes later is seen when it comes."""
SHORTEST_SERVICE_SECONDS = 0.001
"""Shorter jobs are counted as this long."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """What a Job says about its workers."""

    min_replicas: int = 0
    max_replicas: int = 10
    target_drain_seconds: float = 30.0
    cooldown_seconds: float = 60.0
    concurrency: int = DEFAULT_CONCURRENCY
    """Jobs at once in one worker, at least 1."""
    max_in_flight: int | None = None
    """Jobs that may run at once in all workers together; workers beyond that would be idle. None: no limit."""
    suspend: bool = False

    @property
    def highest(self) -> int:
        """The most workers that are of use, never below `min_replicas`."""
        if self.max_in_flight is None:
            return self.max_replicas
        return max(self.min_replicas, min(self.max_replicas, math.ceil(self.max_in_flight / self.concurrency)))


def build_scaling(spec: JobSpec, *, slots: int = 0) -> Scaling:
    """Build it from a Job's spec; `slots`: jobs at once as its workers say, which counts where the spec is silent."""
    scaling = spec.scaling
    return Scaling(
        min_replicas=scaling.min_replicas,
        max_replicas=scaling.max_replicas,
        target_drain_seconds=scaling.target_drain_seconds,
        cooldown_seconds=scaling.cooldown_seconds,
        concurrency=spec.worker.concurrency or slots or DEFAULT_CONCURRENCY,
        suspend=spec.suspend,
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at a Job found."""

    time: float
    """When, in seconds of a monotonic clock."""
    replicas: int
    """Workers that were asked for: `spec.replicas` of the Deployment."""
    ready: int = 0
    """Workers that can take jobs."""
    unschedulable: int = 0
    """Pods that the cluster has had no room for, for a while."""
    valid: bool = True
    """False: the queue could not be read; all that follows means nothing."""
    pending: int = 0
    """Jobs that wait and are due; those whose worker has gone are among them."""
    in_flight: int = 0
    """Jobs that a worker has in hand."""
    arrivals: tuple[int, ...] = ()
    """Counters that only grow; each counts every arrival (see `window.Arrivals`)."""
    service_seconds: float = 0.0
    """How long a job runs, smoothed; 0: nobody knows yet."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What is needed, as two windows see it."""

    stable: float
    """Workers, by the rate of the last minute; not rounded."""
    panic: float
    """Workers, by the rate of the last seconds; not rounded."""
    stable_rate: float
    """Arrivals per second."""
    panic_rate: float
    """Arrivals per second."""
    quiet: bool
    """Nothing waits, nothing runs, and nothing came since the last look."""


def measure_demand(spec: Scaling, seen: Seen, arrivals: Arrivals, *, service_seconds: float) -> Demand:
    """Measure what is needed now; `arrivals` holds this look, `service_seconds` is above 0."""
    stable_rate, panic_rate = arrivals.rate(since=STABLE_SECONDS), arrivals.rate(since=PANIC_SECONDS)
    # A flow is what came lately and came before; a burst that came once is not expected to come again.
    flow = min(panic_rate, arrivals.rate(since=STABLE_SECONDS, until=PANIC_SECONDS))
    most = seen.pending + seen.in_flight + math.floor(flow * LEAD_SECONDS)
    return Demand(
        stable=min(_count_slots(spec, seen, stable_rate, service_seconds), most) / spec.concurrency,
        panic=min(_count_slots(spec, seen, panic_rate, service_seconds), most) / spec.concurrency,
        stable_rate=stable_rate,
        panic_rate=panic_rate,
        quiet=not (seen.pending or seen.in_flight or arrivals.latest),
    )


def _count_slots(spec: Scaling, seen: Seen, rate: float, service_seconds: float) -> float:
    service = max(service_seconds, SHORTEST_SERVICE_SECONDS)
    drain = spec.target_drain_seconds
    lasting = seen.in_flight * math.exp(-drain / service)  # a long job keeps its slot from the backlog
    flow = max(rate * service, lasting) / TARGET_UTILIZATION
    backlog = min(seen.pending * service / (drain * TARGET_UTILIZATION), seen.pending)
    return flow + backlog
