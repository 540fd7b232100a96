"""How many workers a Job wants: the first, simple form. Pure.

Up at once, as many as finish the backlog within `targetDrainSeconds` at the pace that was seen; down only when fewer
have been enough for the whole of `cooldownSeconds`. What cannot be seen changes nothing.

```
 0 ──wake, backlog──▶ 1 ──backlog──▶ as many as drain it in time, at most max
 n ──fewer enough for the cooldown──▶ fewer, at least min
```
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from jetmill.bus.ports import Depth
from jetmill_operator.api.job import ScalingSpec


class ScalingReason(StrEnum):
    """Why so many."""

    STEADY = "steady"
    """As many as are wanted are there."""
    BACKLOG = "backlog"
    """More are wanted to drain the queue in time."""
    WOKEN = "woken"
    """Something was enqueued, and there was nobody."""
    LIMITS = "limits"
    """minReplicas or maxReplicas say so."""
    COOLING = "cooling"
    """Fewer would do, but not for long enough yet."""
    IDLE = "idle"
    """Fewer have been enough for the whole cooldown."""
    SUSPENDED = "suspended"
    """The Job is suspended, so nobody is needed."""
    UNKNOWN = "unknown"
    """The queue could not be read: nothing changes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was observed of a Job."""

    workers: int
    """That run or are about to."""
    depth: Depth | None
    """None: could not be read."""
    slots: int
    """Jobs at once in one worker."""
    service_seconds: float
    """How long a job runs, smoothed; 0: not known yet."""
    woken: bool = False
    """Something was enqueued since the last look."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How many workers there should be."""

    replicas: int
    reason: ScalingReason
    fewer_since: float | None = None
    """Since when fewer have been enough; hand it to the next decision."""


def decide_replicas(
    spec: ScalingSpec, seen: Seen, *, now: float, fewer_since: float | None = None, suspended: bool = False
) -> Decision:
    """Decide from the last look; `now` and `fewer_since` are seconds of one monotonic clock."""
    if suspended:
        return Decision(0, ScalingReason.SUSPENDED)
    low, high = spec.min_replicas, spec.max_replicas
    if not low <= seen.workers <= high and (seen.workers > high or seen.depth is None):
        return Decision(min(max(seen.workers, low), high), ScalingReason.LIMITS)
    if seen.depth is None:
        return Decision(seen.workers, ScalingReason.UNKNOWN)
    wanted = min(max(count_wanted(spec, seen), low), high)
    if wanted > seen.workers:
        return Decision(wanted, _explain_more(seen, low))
    if wanted == seen.workers:
        return Decision(wanted, ScalingReason.STEADY)
    since = now if fewer_since is None else fewer_since
    if now - since < spec.cooldown_seconds:
        return Decision(seen.workers, ScalingReason.COOLING, since)
    return Decision(wanted, ScalingReason.IDLE, since)


def count_wanted(spec: ScalingSpec, seen: Seen) -> int:
    """Count the workers that drain the backlog in time, limits aside; more than jobs there are is never useful."""
    assert seen.depth is not None
    backlog = seen.depth.ready + seen.depth.in_flight
    if backlog == 0:
        return 1 if seen.woken and seen.workers == 0 else 0
    in_time = seen.slots * spec.target_drain_seconds / seen.service_seconds if seen.service_seconds > 0 else math.inf
    return min(max(math.ceil(backlog / in_time), 1), backlog)


def _explain_more(seen: Seen, low: int) -> ScalingReason:
    if seen.workers < low:
        return ScalingReason.LIMITS
    return ScalingReason.WOKEN if seen.workers == 0 else ScalingReason.BACKLOG


def decide_pause_seconds(crashes: int) -> float:
    """Decide how long to wait before the next worker, after so many that ended by themselves in a row."""
    return min(30.0, 0.5 * 2.0 ** min(crashes - 1, 10)) if crashes > 0 else 0.0
