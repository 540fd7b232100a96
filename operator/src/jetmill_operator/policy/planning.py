"""Which slots of a calendar are planned, and what becomes of those that were missed. Pure.

```
        looked at before                          now                        planned ahead
 ──────────────────────────────┤ missed: catch-up │ the next, at least 3 and 15 minutes ├──────
                             until                                                    until, next time
```

Planned ahead is what fires whether or not an operator runs. A slot is missed if nobody planned it in time: every
operator was down for longer than that, or the Job was not there. What is a few seconds late is not missed: a schedule
that was just created plans its first seconds, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jetmill.protocol.plan import Chosen, Plan, Slot, Span
from jetmill_operator.calendar.slot import LAST, SECOND, Calendar, decide_jitter

LEAST_AHEAD = 900 * SECOND
"""µs: less than this planned ahead, and the plan is extended …"""
MOST_AHEAD = 1_200 * SECOND
"""… to this."""
LEAST_SLOTS = 3
MOST_SLOTS = 4
"""And so many slots at least."""
GRACE = 30 * SECOND
"""µs: a slot that is late by no more is planned whatever `catchUp` says."""
MOST_COUNTED = 10_000
"""Missed slots are counted up to here; what is made up for is right beyond it, too."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What besides the calendar decides about slots."""

    uid: str
    """Of the ScheduledJob."""
    jitter_seconds: float = 0.0
    catch_up: Literal["None", "Last", "All"] = "Last"
    most: int = 10
    """How many are made up for at most, with All."""
    deadline_seconds: float | None = None
    """How long after it was due a slot may be started."""

    def make_slot(self, time: int) -> Slot:
        """A slot of the calendar, due with its jitter."""
        return Slot(time, time + decide_jitter(self.uid, time, self.jitter_seconds))


def choose_slots(calendar: Calendar, rules: Rules, span: Span) -> Chosen:
    """Choose what is planned from `span.after` on."""
    kept = [_keep(slot, rules, span.after) for slot in span.named if _has(calendar, slot, span.after)]
    late, missed = _choose_late(calendar, rules, span)
    if not late and not missed and is_enough(span.ahead, span.after, span.now):
        return Chosen(kept, span.after)
    ahead, until = _choose_ahead(calendar, rules, span)
    return Chosen(sorted({*kept, *late, *ahead}), until, missed)


def is_enough(ahead: int, until: int, now: int) -> bool:
    """Tell whether so many slots, up to `until`, are planned far enough ahead."""
    return until >= LAST or (ahead >= LEAST_SLOTS and until - now >= LEAST_AHEAD)


def decide_look(plan: Plan, now: int) -> int | None:
    """When (µs) the plan has to be extended; None: never, for nothing follows."""
    if plan.until >= LAST:
        return None
    ahead = [slot.time for slot in plan.slots if slot.time > now]
    fewer = ahead[-LEAST_SLOTS] if len(ahead) >= LEAST_SLOTS else now
    return max(now, min(fewer, plan.until - LEAST_AHEAD))


def _has(calendar: Calendar, slot: Slot, after: int) -> bool:
    """A slot of the plan before, not due yet, whose time has passed, and that the calendar has as well."""
    return slot.time <= after < slot.due and next(calendar.after(slot.time - 1), None) == slot.time


def _keep(slot: Slot, rules: Rules, after: int) -> Slot:
    return Slot(slot.time, max(rules.make_slot(slot.time).due, after + 1))


def _choose_late(calendar: Calendar, rules: Rules, span: Span) -> tuple[list[Slot], list[int]]:
    """Those whose time has passed: what is made up for, and what is not."""
    most = {"None": 0, "Last": 1, "All": rules.most}[rules.catch_up]
    newest: deque[Slot] = deque(maxlen=max(most, 1))
    recent: list[Slot] = []
    missed: list[int] = []
    for time in _list_late(calendar, span, keep=most):
        slot = rules.make_slot(time)
        startable = rules.deadline_seconds is None or slot.due + rules.deadline_seconds * SECOND > span.now
        if time > span.now - GRACE:
            recent.append(slot)
        elif not most or not startable:
            missed.append(time)
        else:
            if len(newest) == most:
                missed.append(newest[0].time)
            newest.append(slot)
    late = [*newest, *recent]
    return late, sorted(missed)


def _list_late(calendar: Calendar, span: Span, *, keep: int) -> Sequence[int]:
    """The slots up to now; of very many the first ones, to be counted, and the last ones, to be made up for."""
    found: list[int] = []
    for time in calendar.between(span.after, span.now):
        found.append(time)
        if len(found) > MOST_COUNTED:
            break
    else:
        return found
    seconds = 60
    while True:
        begin = max(found[-1], span.now - seconds * SECOND)
        last = list(calendar.between(begin, span.now))
        if len(last) > keep or begin == found[-1]:
            return [*found, *last]
        seconds *= 4


def _choose_ahead(calendar: Calendar, rules: Rules, span: Span) -> tuple[list[Slot], int]:
    """Those to come, and up to where that is all."""
    begin, slots = max(span.after, span.now), list[Slot]()
    for time in calendar.after(begin):
        if time > span.now + MOST_AHEAD and span.ahead + len(slots) >= MOST_SLOTS:
            return slots, max(begin, span.now + MOST_AHEAD, slots[-1].time if slots else 0)
        slots.append(rules.make_slot(time))
    return slots, LAST
