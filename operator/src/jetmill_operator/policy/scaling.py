"""How many workers a Job gets. Pure: a look and the state so far in, a decision with the next state out.

```
 0 ──work──▶ as many as it needs, in one step
 n ──needs more──▶ more, at once (at most twice as many or ten more in 15 s)
 n ──needs fewer──▶ n ──for the whole cooldown──▶ fewer (at most half in 30 s), never fewer than have jobs in hand
 n ──the queue cannot be read──▶ n
```

What is needed is `demand`'s business. The rate of the last minute decides; when the last six seconds alone ask for
twice the workers that are ready, they decide, and for a minute nobody leaves. A scaler that has just begun to look, or
could not for a while, has seen no whole cooldown, so it may add at once but lets nobody go until it has.
The rules and their sources: Kubernetes' HPA (tolerance, rate policies, stabilisation) and Knative's KPA (two windows).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum

from jetmill_operator.policy.demand import (
    ASSUMED_SERVICE_SECONDS,
    STABLE_SECONDS,
    Demand,
    Scaling,
    Seen,
    measure_demand,
)
from jetmill_operator.policy.figure import Figures
from jetmill_operator.policy.window import Arrivals, Peak

TOLERANCE = 0.1
"""A need that differs by no more than this part of the workers changes nothing."""
PANIC_FACTOR = 2
"""So many times the ready workers must be needed by the last seconds to panic."""
CALM_SECONDS = 60.0
"""For so long after a panic nobody leaves (a shorter cooldown is obeyed)."""
UP_SECONDS, UP_FACTOR, UP_COUNT = 15.0, 2, 10
"""In so many seconds the workers at most double, or become so many more, whichever is more."""
DOWN_SECONDS, DOWN_PART = 30.0, 2
"""In so many seconds at most one of so many workers leaves, or one worker."""
SERVICE_SECONDS = 10.0
"""The time constant by which the workers' service time is smoothed: a few odd jobs start no worker."""
GAP_SECONDS = 20.0
"""After so long without a look that found something, the windows begin anew."""


class ScalingReason(StrEnum):
    """Why so many."""

    STEADY = "steady"
    """As many as are needed are there."""
    BACKLOG = "backlog"
    """More are needed to keep up and to drain the queue in time."""
    SURGE = "surge"
    """Far more came in the last seconds than the ready workers can do: they decide, and for a minute nobody leaves."""
    WOKEN = "woken"
    """There is work, and there was nobody."""
    LIMITS = "limits"
    """minReplicas, maxReplicas or the limit on jobs at once say so."""
    PACED = "paced"
    """More (or fewer) are needed, but so many came (or left) in the last seconds that the next must wait."""
    UNSCHEDULABLE = "unschedulable"
    """More are needed, but the cluster has no room for those that were asked for."""
    COOLING = "cooling"
    """Fewer would do, but not for the whole cooldown yet."""
    WARMING = "warming"
    """Fewer would do, but the scaler has not watched for a whole cooldown yet."""
    BUSY = "busy"
    """Fewer would do, but all have jobs in hand."""
    IDLE = "idle"
    """Fewer have been enough for the whole cooldown."""
    SUSPENDED = "suspended"
    """The Job is suspended: workers leave when they have nothing in hand, and none is added."""
    UNKNOWN = "unknown"
    """The queue could not be read: nothing changes."""


@dataclass(frozen=True, slots=True)
class ScalerState:
    """What is kept from one look to the next; a new one is right after a restart."""

    arrivals: Arrivals = field(default_factory=Arrivals)
    service_seconds: float = 0.0
    """What the workers told, smoothed; 0: nothing yet."""
    needs: Peak = field(default_factory=Peak)
    """What was needed, over the cooldown."""
    highest: Peak = field(default_factory=Peak)
    """How many were asked for, over `DOWN_SECONDS`."""
    lowest: Peak = field(default_factory=Peak)
    """How many were asked for, over `UP_SECONDS`, negated."""
    since: float | None = None
    """Since when there was a look at least every `GAP_SECONDS`."""
    last: float | None = None
    """When the last look was that found something."""
    calm_from: float = -math.inf
    """Until then nobody leaves, after a panic."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How many workers there should be, why, and the state for the next look."""

    replicas: int
    reason: ScalingReason
    figures: Figures
    state: ScalerState

    @property
    def limited(self) -> bool:
        """More are needed than there may be (now): the condition ScalingLimited."""
        return self.figures.needed > self.replicas and self.reason is not ScalingReason.SUSPENDED

    def __str__(self) -> str:
        return str(self.figures)


def decide_replicas(spec: Scaling, state: ScalerState, seen: Seen) -> Decision:
    """Decide from a look; the result lies between the limits, but never below the workers that have jobs in hand (of
    those that are there), and is `seen.replicas` where nothing could be read.
    """
    if not seen.valid:
        return _hold_blind(spec, state, seen)
    state = _note(state, seen)
    service = state.service_seconds or ASSUMED_SERVICE_SECONDS
    demand = measure_demand(spec, seen, state.arrivals, service_seconds=service)
    if math.ceil(demand.panic) >= PANIC_FACTOR * max(seen.ready, 1):
        state = replace(state, calm_from=seen.time + min(CALM_SECONDS, spec.cooldown_seconds))
    floor = min(math.ceil(seen.in_flight / spec.concurrency), seen.replicas)
    most = 0.0 if demand.quiet else max(demand.stable, demand.panic)
    need = most if _panics(state, seen) else min(most, demand.stable)
    # Whom the next surge would call back does not leave, so the cooldown goes by the higher of the two.
    kept = _fit(spec, seen, most, floor=floor)
    state = replace(state, needs=state.needs.add(seen.time, kept, seconds=spec.cooldown_seconds))
    wish = _Wish(need, _fit(spec, seen, need, floor=floor), floor, surge=need > demand.stable)
    replicas, reason = _choose(spec, state, seen, wish)
    if seen.ready == 0:
        state = replace(state, highest=Peak(), lowest=Peak())  # the step from zero is no step that others wait for
    figures = _tell(spec, seen, demand, need=need, replicas=replicas, state=state)
    return Decision(replicas, reason, figures, state)


@dataclass(frozen=True, slots=True)
class _Wish:
    need: float
    """Workers that are needed, not rounded, limits aside."""
    fitting: int
    """Within the limits, steadied, at least the floor."""
    floor: int
    """Workers that must stay for what is in hand."""
    surge: bool
    """The last seconds decide."""


def _hold_blind(spec: Scaling, state: ScalerState, seen: Seen) -> Decision:
    """Without a queue to read, only minReplicas is sure."""
    least = 0 if spec.suspend else spec.min_replicas
    reason = ScalingReason.LIMITS if seen.replicas < least else ScalingReason.UNKNOWN
    replicas = max(seen.replicas, least)
    return Decision(replicas, reason, Figures(before=seen.replicas, after=replicas, needed=replicas), state)


def _note(state: ScalerState, seen: Seen) -> ScalerState:
    """Take a look into the windows; after a gap they begin anew, for nobody knows what was needed meanwhile."""
    if state.last is None or seen.time - state.last > GAP_SECONDS:
        fresh = ScalerState(arrivals=state.arrivals, service_seconds=state.service_seconds, since=seen.time)
        state = fresh  # arrivals are counted, so what came meanwhile is known
    return replace(
        state,
        arrivals=state.arrivals.add(seen.time, seen.arrivals, seconds=STABLE_SECONDS),
        service_seconds=_smooth_service(state, seen),
        highest=state.highest.add(seen.time, seen.replicas, seconds=DOWN_SECONDS),
        lowest=state.lowest.add(seen.time, -seen.replicas, seconds=UP_SECONDS),
        last=seen.time,
    )


def _smooth_service(state: ScalerState, seen: Seen) -> float:
    old, new = state.service_seconds, seen.service_seconds
    if new <= 0 or old <= 0 or state.last is None:
        return new if new > 0 else old
    return new + (old - new) * math.exp((state.last - seen.time) / SERVICE_SECONDS)


def _panics(state: ScalerState, seen: Seen) -> bool:
    return seen.time < state.calm_from


def _fit(spec: Scaling, seen: Seen, need: float, *, floor: int) -> int:
    """Round a need, let small differences be, and keep the limits; what is in hand keeps its workers."""
    wanted = math.ceil(need)
    near = abs(need - seen.replicas) <= TOLERANCE * seen.replicas
    if near and spec.min_replicas < wanted < spec.highest:
        wanted = seen.replicas
    return max(min(max(wanted, spec.min_replicas), spec.highest), floor)


def _choose(spec: Scaling, state: ScalerState, seen: Seen, wish: _Wish) -> tuple[int, ScalingReason]:
    if spec.suspend:
        return wish.floor, ScalingReason.SUSPENDED
    if seen.replicas > spec.highest:
        return max(spec.highest, wish.floor), ScalingReason.LIMITS
    if seen.replicas == 0:
        return _leave_zero(spec, seen, wish)
    if wish.fitting > seen.replicas:
        return _add(spec, state, seen, wish)
    if wish.fitting == seen.replicas:
        return seen.replicas, _explain_same(spec, seen, wish)
    return _remove(spec, state, seen)


def _leave_zero(spec: Scaling, seen: Seen, wish: _Wish) -> tuple[int, ScalingReason]:
    if seen.pending > 0:
        return max(wish.fitting, 1), ScalingReason.WOKEN
    return spec.min_replicas, ScalingReason.LIMITS if spec.min_replicas else ScalingReason.STEADY


def _add(spec: Scaling, state: ScalerState, seen: Seen, wish: _Wish) -> tuple[int, ScalingReason]:
    if seen.unschedulable > 0:
        return seen.replicas, ScalingReason.UNSCHEDULABLE
    base = -state.lowest.value
    most = max(base * UP_FACTOR, base + UP_COUNT, seen.replicas, spec.min_replicas)
    replicas = min(wish.fitting, most) if seen.ready else wish.fitting  # still the step from zero
    if replicas == seen.replicas:
        return replicas, ScalingReason.PACED
    if math.ceil(wish.need) < wish.fitting:
        return replicas, ScalingReason.LIMITS
    return replicas, ScalingReason.SURGE if wish.surge else ScalingReason.BACKLOG


def _explain_same(spec: Scaling, seen: Seen, wish: _Wish) -> ScalingReason:
    wanted = math.ceil(wish.need)
    if wanted > spec.highest or wanted < seen.replicas == spec.min_replicas:
        return ScalingReason.LIMITS
    return ScalingReason.BUSY if wanted < seen.replicas == wish.floor else ScalingReason.STEADY


def _remove(spec: Scaling, state: ScalerState, seen: Seen) -> tuple[int, ScalingReason]:
    if state.needs.value >= seen.replicas:
        return seen.replicas, ScalingReason.COOLING
    if _panics(state, seen):
        return seen.replicas, ScalingReason.SURGE
    if state.since is not None and seen.time - state.since < spec.cooldown_seconds:
        return seen.replicas, ScalingReason.WARMING
    base = state.highest.value
    least = base - max(base // DOWN_PART, 1)
    replicas = max(state.needs.value, least)  # what was needed includes, just now, the floor
    if replicas >= seen.replicas:
        return seen.replicas, ScalingReason.PACED
    return replicas, ScalingReason.IDLE


def _tell(spec: Scaling, seen: Seen, demand: Demand, *, need: float, replicas: int, state: ScalerState) -> Figures:
    return Figures(
        before=seen.replicas,
        after=replicas,
        needed=math.ceil(need),
        known=True,
        pending=seen.pending,
        in_flight=seen.in_flight,
        arrivals_per_second=demand.panic_rate if need > demand.stable else demand.stable_rate,
        service_seconds=state.service_seconds,
        target_drain_seconds=spec.target_drain_seconds,
        ready=seen.ready,
        unschedulable=seen.unschedulable,
        least=spec.min_replicas,
    )
