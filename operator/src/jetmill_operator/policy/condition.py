"""The status of a Job, from what was observed: pure, so that every state of the world has its row in a table.

```
 obstacle · foreign stream ─────────────▶ Ready=False, Stalled=True     a person has to act
 NATS away · API away · rolling out ────▶ Ready=False, Reconciling=True it goes on by itself
 workers wanted, a problem seen ────────▶ Ready=False, WorkersAvailable=False
 the queue is there ────────────────────▶ Ready=True    workers run, or would be started (zero is ready)
```

Messages hold no numbers that change from second to second: a status is written only where it differs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jetmill_operator.policy.reason import Reason, Type
from jetmill_operator.policy.worker import Problem, Workers

Json = dict[str, Any]
Truth = Literal["True", "False", "Unknown"]
COUNTERS = (
    *("backlog", "workers", "scaling"),
    *("lastScheduleTime", "lastRun", "nextRuns", "active", "missed"),
    *("attempts", "lastDelivery", "filterErrors"),
)
"""What changes with every job; written at most every so often."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Jobs that are not finished."""

    ready: int
    in_flight: int
    delayed: int


@dataclass(frozen=True, slots=True)
class Scaling:
    """The autoscaler's last decision."""

    desired: int
    reason: str
    """As one word, CamelCase."""
    message: str
    time: str
    """RFC 3339."""
    active: bool = True
    """The queue could be read."""
    limited: Reason | None = None
    """More are needed than there may be: why."""


@dataclass(frozen=True, slots=True)
class View:
    """What was observed of a Job."""

    generation: int
    suspended: bool = False
    min_replicas: int = 0
    rides_on: str | None = None
    """The Job whose workers it uses."""
    queue: Problem | None = None
    """What keeps the queue from being as declared; None: it is."""
    stalled: Problem | None = None
    """What a person has to mend."""
    waiting: Problem | None = None
    """What goes by itself."""
    workers: Workers | None = None
    """None: there is no Deployment."""
    backlog: Backlog | None = None
    scaling: Scaling | None = None
    retry_time: str | None = None
    """RFC 3339: when the next try is, after something failed."""


def build_status(view: View, before: Mapping[str, Any], *, now: str) -> Json:
    """Build the status; a condition whose status is as `before` keeps its transition time. `now` is RFC 3339."""
    conditions = [
        _decide_ready(view),
        *_decide_progress(view),
        _decide_queue(view),
        _decide_workers(view),
        _decide_active(view, before),
        _decide_limited(view, before),
        _decide_suspended(view),
    ]
    status: Json = {
        "observedGeneration": view.generation,
        "conditions": [stamp(one, before, generation=view.generation, now=now) for one in conditions],
    }
    backlog = view.backlog
    if backlog is not None:
        status["backlog"] = {"ready": backlog.ready, "inFlight": backlog.in_flight, "delayed": backlog.delayed}
    elif "backlog" in before:
        status["backlog"] = dict(before["backlog"])  # nobody knows better
    if view.workers is not None:
        status["workers"] = {"ready": view.workers.ready, "desired": view.workers.desired}
    if view.scaling is not None:
        scaling = view.scaling
        status["scaling"] = {
            "desired": scaling.desired,
            "reason": scaling.reason,
            "message": scaling.message,
            "time": scaling.time,
        }
    elif "scaling" in before and view.rides_on is None:
        status["scaling"] = dict(before["scaling"])
    if view.retry_time is not None:
        status["nextRetryTime"] = view.retry_time
    return status


def make_condition(kind: Type, status: Truth, reason: Reason, message: str) -> Json:
    """Make a condition, not stamped yet."""
    return {"type": str(kind), "status": status, "reason": str(reason), "message": message}


def stamp(condition: Json, before: Mapping[str, Any], *, generation: int, now: str) -> Json:
    """Add the generation and the time of the last transition."""
    was = find_condition(before, condition["type"])
    since = was["lastTransitionTime"] if was is not None and was.get("status") == condition["status"] else now
    return {**condition, "observedGeneration": generation, "lastTransitionTime": since}


def find_condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """The condition of a type."""
    return next((one for one in status.get("conditions") or () if one.get("type") == kind), None)


def is_same(before: Mapping[str, Any], after: Mapping[str, Any], *, counters: bool = True) -> bool:
    """Tell whether a status says the same as another, conditions of others aside; without `counters` these are left
    out of the comparison.
    """
    ours = {str(kind) for kind in Type}

    def reduce(status: Mapping[str, Any]) -> Json:
        left_out = () if counters else COUNTERS
        rest = {name: value for name, value in status.items() if name not in ("conditions", *left_out)}
        said = {one["type"]: one for one in status.get("conditions") or () if one.get("type") in ours}
        return {**rest, "conditions": said}

    return reduce(before) == reduce(after)


def _decide_ready(view: View) -> Json:
    problem = view.stalled or view.queue or view.waiting or _find_worker_problem(view)
    if problem is not None:
        return make_condition(Type.READY, "False", problem.reason, problem.message)
    if view.suspended:
        return make_condition(Type.READY, "True", Reason.SUSPENDED, "jobs are accepted and wait until suspend is false")
    workers = view.workers
    if workers is None or workers.desired == 0:
        return make_condition(Type.READY, "True", Reason.SCALED_TO_ZERO, "jobs are accepted; the first starts a worker")
    if workers.ready == 0:
        soon: Truth = "True" if view.min_replicas == 0 else "False"
        return make_condition(Type.READY, soon, Reason.STARTING, "jobs are accepted; workers are starting")
    return make_condition(Type.READY, "True", Reason.SERVING, "jobs are accepted and run")


def _find_worker_problem(view: View) -> Problem | None:
    """A problem of the workers that is the whole Job's: none of them runs, or the newest spec's do not."""
    workers = view.workers
    if workers is None or workers.problem is None or view.suspended:
        return None
    return workers.problem if workers.ready == 0 or workers.rolling else None


def _decide_progress(view: View) -> list[Json]:
    if view.stalled is not None:
        return [make_condition(Type.STALLED, "True", view.stalled.reason, view.stalled.message)]
    waiting = view.queue or view.waiting
    if waiting is None and view.workers is not None and view.workers.rolling:
        waiting = Problem(Reason.ROLLING_OUT, "workers are replaced by those of the newest spec; the old ones drain")
    if waiting is None and view.workers is not None and view.min_replicas > 0 and view.workers.ready == 0:
        waiting = None if view.suspended else Problem(Reason.STARTING, "workers are starting")
    return [] if waiting is None else [make_condition(Type.RECONCILING, "True", waiting.reason, waiting.message)]


def _decide_queue(view: View) -> Json:
    if view.queue is not None:
        known: Truth = "Unknown" if view.queue.reason is Reason.BUS_UNAVAILABLE else "False"
        return make_condition(Type.QUEUE_READY, known, view.queue.reason, view.queue.message)
    return make_condition(Type.QUEUE_READY, "True", Reason.APPLIED, "the queue is as declared")


def _decide_workers(view: View) -> Json:
    workers, kind = view.workers, Type.WORKERS_AVAILABLE
    if workers is None:
        problem = view.stalled or view.waiting or Problem(Reason.STARTING, "there is no Deployment yet")
        return make_condition(kind, "False", problem.reason, problem.message)
    if workers.desired == 0:
        return make_condition(kind, "True", Reason.SCALED_TO_ZERO, "no worker is needed")
    if workers.problem is not None:
        some: Truth = "True" if workers.ready > 0 else "False"
        reason = Reason.DEGRADED if workers.ready > 0 and not workers.rolling else workers.problem.reason
        return make_condition(kind, some, reason, workers.problem.message)
    if workers.ready == 0:
        return make_condition(kind, "False", Reason.STARTING, "workers are starting")
    return make_condition(kind, "True", Reason.SERVING, "workers run")


def _decide_active(view: View, before: Mapping[str, Any]) -> Json:
    kind, scaling = Type.SCALING_ACTIVE, view.scaling
    if view.rides_on is not None:
        return make_condition(kind, "False", Reason.RIDING, f"the workers are those of Job {view.rides_on}")
    if view.suspended:
        return make_condition(kind, "False", Reason.SUSPENDED, "workers leave when they have nothing in hand")
    if scaling is None:
        unknown = make_condition(kind, "Unknown", Reason.NOT_DECIDED, "the autoscaler has not looked yet")
        return _keep(kind, before, (Reason.DECIDED, Reason.METRICS_UNAVAILABLE)) or unknown
    if not scaling.active:
        message = "the queue cannot be read: the number of workers stays as it is"
        return make_condition(kind, "False", Reason.METRICS_UNAVAILABLE, message)
    return make_condition(kind, "True", Reason.DECIDED, "the autoscaler sees the queue")


def _keep(kind: Type, before: Mapping[str, Any], reasons: Collection[Reason]) -> Json | None:
    """What a condition said while nobody knows better, right after a restart; None: it said something else."""
    was = find_condition(before, kind)
    if was is None or was.get("reason") not in reasons:
        return None
    return {name: was[name] for name in ("type", "status", "reason", "message")}


def _decide_limited(view: View, before: Mapping[str, Any]) -> Json:
    if view.scaling is None and view.rides_on is None and not view.suspended:
        kept = _keep(Type.SCALING_LIMITED, before, tuple(Reason))
        if kept is not None:
            return kept
    limited = None if view.scaling is None or view.suspended else view.scaling.limited
    message = {
        None: "as many workers as are needed may be there",
        Reason.MAX_REPLICAS: "more workers are needed than scaling.maxReplicas allows: raise it if the backlog matters",
        Reason.UNSCHEDULABLE: "more workers are needed than the cluster has room for",
        Reason.FOREIGN_SCALER: "somebody else sets the replicas of the Deployment again and again, so the autoscaler "
        "leaves them alone: remove the HorizontalPodAutoscaler or whatever it is, or set minReplicas and maxReplicas",
    }.get(limited, "more workers are needed; they come step by step")
    truth: Truth = "False" if limited is None else "True"
    return make_condition(Type.SCALING_LIMITED, truth, limited or Reason.WITHIN_LIMITS, message)


def _decide_suspended(view: View) -> Json:
    reason = Reason.SUSPENDED if view.suspended else Reason.NOT_SUSPENDED
    message = "jobs are accepted and wait" if view.suspended else "jobs are started"
    return make_condition(Type.SUSPENDED, "True" if view.suspended else "False", reason, message)
