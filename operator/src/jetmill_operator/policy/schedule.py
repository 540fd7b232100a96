"""The status of a ScheduledJob, from what was observed. Pure.

```
 invalid, or a Job of that name is not there ──▶ Ready=False, Stalled=True       a person has to act
 NATS away, the newest spec not planned yet ───▶ Ready=False, Reconciling=True   it goes on by itself
 the next slots are planned ───────────────────▶ Ready=True: Scheduled, Suspended or Ended
```

Ready says that the schedule is obeyed, not that its jobs succeed: how the last one ended stands in `lastRun`.
`observedGeneration` is that of the plan that is in force: once it is the object's, no slot of an older spec starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jetmill.protocol.plan import Plan, make_slot_id
from jetmill.protocol.record import Entry
from jetmill_operator.policy.condition import Json, make_condition, stamp
from jetmill_operator.policy.reason import Reason, Type
from jetmill_operator.policy.worker import Problem

SHOWN = 5
"""So many of the next runs."""
KEPT = ("lastScheduleTime", "lastRun", "nextRuns", "active", "missed")


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """What was observed of a ScheduledJob."""

    uid: str
    generation: int
    suspended: bool = False
    stalled: Problem | None = None
    """What a person has to mend."""
    waiting: Problem | None = None
    """What goes by itself."""
    plan: Plan | None = None
    """What is in force; None: it could not be read."""
    seen: Mapping[int, Entry] = field(default_factory=dict)
    """The slots that were due and may be shown, by time."""
    next_runs: Sequence[int] = ()
    """µs."""
    retry_time: str | None = None
    """RFC 3339."""


def build_schedule_status(view: ScheduleView, before: Mapping[str, Any], *, now: str) -> Json:
    """Build the status; a condition whose status is as `before` keeps its transition time. `now` is RFC 3339."""
    conditions = [_decide_ready(view), *_decide_progress(view), _decide_suspended(view)]
    status: Json = {"conditions": [stamp(one, before, generation=view.generation, now=now) for one in conditions]}
    if view.plan is None:  # nobody knows better
        kept = {name: before[name] for name in ("observedGeneration", *KEPT) if name in before}
        status = {"observedGeneration": -1, **status, **kept}
    else:
        status |= {"observedGeneration": view.generation, **_describe(view, view.plan)}
    if view.retry_time is not None:
        status["nextRetryTime"] = view.retry_time
    return status


def _describe(view: ScheduleView, plan: Plan) -> Json:
    found: Json = {
        "nextRuns": [_format(time) for time in view.next_runs[:SHOWN]],
        "active": sum(entry.record.open for entry in view.seen.values()),
        "missed": plan.missed,
    }
    newest = max(view.seen, default=0)
    if plan.last is not None:
        newest = max(newest, plan.last.time)
    if newest:
        found["lastScheduleTime"] = _format(newest)
    entry = view.seen.get(newest)
    if entry is not None:
        record = entry.record
        run: Json = {
            "id": make_slot_id(view.uid, newest),
            "scheduleTime": _format(newest),
            "state": str(record.state),
        }
        found["lastRun"] = run if record.reason is None else {**run, "reason": str(record.reason)}
    return found


def _decide_ready(view: ScheduleView) -> Json:
    problem = view.stalled or view.waiting
    if problem is not None:
        return make_condition(Type.READY, "False", problem.reason, problem.message)
    if view.suspended:
        message = "nothing is enqueued until suspend is false"
        return make_condition(Type.READY, "True", Reason.SUSPENDED, message)
    if not view.next_runs:
        return make_condition(Type.READY, "True", Reason.ENDED, "no slot follows")
    return make_condition(Type.READY, "True", Reason.SCHEDULED, "the next slots are planned")


def _decide_progress(view: ScheduleView) -> list[Json]:
    if view.stalled is not None:
        return [make_condition(Type.STALLED, "True", view.stalled.reason, view.stalled.message)]
    if view.waiting is not None:
        return [make_condition(Type.RECONCILING, "True", view.waiting.reason, view.waiting.message)]
    return []


def _decide_suspended(view: ScheduleView) -> Json:
    reason = Reason.SUSPENDED if view.suspended else Reason.NOT_SUSPENDED
    message = "what was planned is withdrawn" if view.suspended else "slots are planned"
    return make_condition(Type.SUSPENDED, "True" if view.suspended else "False", reason, message)


def _format(time: int) -> str:
    return datetime.fromtimestamp(time // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
