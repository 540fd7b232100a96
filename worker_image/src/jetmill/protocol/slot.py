"""What becomes of one slot: rule 8 as pure functions.

```
                      due by `since`   intended by the plan         not intended        of a later generation
 none                 leave            scheduled, the first         a tombstone         .
 scheduled, earlier   leave            scheduled, after it          withdrawn           stale
 scheduled, this one  leave            leave                        withdrawn           .
 withdrawn            leave            scheduled, next enqueueing   leave               stale
 any other            leave            leave                        leave               stale
```

A tombstone is `cancelled` (withdrawn) as the first record: it keeps a planner that is late from planning what is not
intended any more. What a person cancelled stays so.
"""

from __future__ import annotations

from dataclasses import dataclass

from jetmill.protocol.plan import Plan, Slot
from jetmill.protocol.record import Call, Entry, Record
from jetmill.protocol.state import Reason, State
from jetmill.protocol.step import build_withdrawal


@dataclass(frozen=True, slots=True)
class Leave:
    """Nothing is to be done."""


@dataclass(frozen=True, slots=True)
class Stale:
    """A later generation has been here: whoever plans by this one has to stop."""


@dataclass(frozen=True, slots=True)
class Write:
    """Append this after what was read."""

    record: Record


Decision = Leave | Stale | Write


def decide_slot(last: Entry | None, slot: Slot, plan: Plan, *, intended: bool, time: int, by: str) -> Decision:
    """Decide by a slot's last record; `time` (µs) and `by` go into what is written."""
    record = None if last is None else last.record
    if record is not None and (record.generation or 0) > plan.generation:
        return Stale()
    waits = record is not None and record.state is State.SCHEDULED
    due = record.due if record is not None and waits else slot.due  # a person may have moved it
    if (due or 0) <= plan.since:
        return Leave()
    if intended:
        return _decide_intended(record, slot, plan, time=time, by=by)
    if last is None:
        return Write(_build(slot, plan, State.CANCELLED, reason=Reason.WITHDRAWN, time=time, by=by))
    if waits:
        return Write(build_withdrawal(last, generation=plan.generation, time=time, by=by))
    return Leave()


def _decide_intended(record: Record | None, slot: Slot, plan: Plan, *, time: int, by: str) -> Decision:
    if record is None:
        return Write(build_slot(slot, plan, time=time, by=by))
    if record.state is State.CANCELLED and record.reason is Reason.WITHDRAWN:
        return Write(build_slot(slot, plan, time=time, by=by, enqueueing=record.enqueueing + 1))
    if record.state is State.SCHEDULED and record.generation != plan.generation:
        return Write(build_slot(slot, plan, time=time, by=by, enqueueing=record.enqueueing, reason=Reason.REPLANNED))
    return Leave()


def build_slot(
    slot: Slot, plan: Plan, *, time: int, by: str, enqueueing: int = 1, reason: Reason | None = None
) -> Record:
    """`scheduled`, with payload and call of its own: what an edit changes counts for all that had not started."""
    return _build(slot, plan, State.SCHEDULED, enqueueing=enqueueing, reason=reason, time=time, by=by)


def build_call(plan: Plan, slot: Slot) -> Call:
    """What a slot's job is called with, besides the payload."""
    template = plan.template
    start_by = None if template.start_by_seconds is None else slot.due + round(template.start_by_seconds * 1e6)
    return Call(
        labels=template.labels,
        max_retries=template.max_retries,
        timeout_seconds=template.timeout_seconds,
        start_by=start_by,
        slot=slot.time,
    )


def _build(
    slot: Slot, plan: Plan, state: State, *, time: int, by: str, enqueueing: int = 1, reason: Reason | None = None
) -> Record:
    template = plan.template
    return Record(
        state=state,
        enqueueing=enqueueing,
        attempt=1,
        job=plan.job,
        band=template.band,
        time=time,
        by=by,
        due=slot.due,
        reason=reason,
        gate=template.gate,
        schedule=plan.schedule,
        generation=plan.generation,
        payload=template.payload,
        payload_ref=template.payload_ref,
        call=build_call(plan, slot),
    )
