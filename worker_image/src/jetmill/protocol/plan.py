"""The plan of a schedule: which slots it intends, written before any of them (rule 8).

A plan stands for one generation of the schedule's spec. `slots` are those that this generation intends; `old` those
that records before named and that it does not intend, whose chains may still be `scheduled`: they are to be withdrawn.
A plan is `complete` once every slot that it names was dealt with; only then is its generation observed, and nothing
that it names is planned again, whatever becomes of the slot's chain.

```
 none · earlier generation ─▶ new plan: since = now, old = all that was named ─┐
 the same generation ───────▶ the same, with the slots up to a later time ─────┼─▶ each named slot ─▶ complete
 a later generation ────────▶ whoever reads it is stale: stop                  ┘
```
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from jetmill.protocol.identity import id_from_key
from jetmill.protocol.name import JobId
from jetmill.protocol.record import VERSION, Band, Count, Label, PayloadRef, RawOrNone, Struct

MOST_SLOTS = 2_000
"""A plan names no more; the oldest go first, long after their time."""


class Slot(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """One time of a calendar; written as `[time, due]`."""

    time: int
    """µs: what the calendar says; a slot's id comes from it."""
    due: int
    """µs: when its job is due, `time` and its jitter."""


class Template(Struct, frozen=True, kw_only=True):
    """What a slot's job is made of; the same for all slots of a generation."""

    payload: RawOrNone = None
    payload_ref: PayloadRef | None = None
    band: Band = "normal"
    gate: str | None = None
    start_by_seconds: float | None = None
    """How long after its due time a slot may still be started."""
    max_retries: int | None = None
    timeout_seconds: float | None = None
    labels: dict[str, str] | None = None


class Plan(Struct, frozen=True, kw_only=True, tag_field="v", tag=VERSION):
    """What stands on `jm.<ns>.plan.<uid>`."""

    schedule: Label
    """The ScheduledJob's name."""
    job: Label
    generation: Count
    since: int
    """µs: from when this generation counts; what was due by then is not touched by it."""
    until: int
    """µs: up to here the calendar was looked at; slots after it come with a later record."""
    slots: list[Slot] = msgspec.field(default_factory=list)
    old: list[Slot] = msgspec.field(default_factory=list)
    complete: bool = False
    last: Slot | None = None
    """The newest slot that fell due and was not withdrawn, for people."""
    missed: Count = 0
    """Slots that were not planned in time and are not made up for."""
    keep_succeeded: Count | None = None
    """How many chains of slots that ended well (or were skipped or cancelled) are kept; None: the Job's retention."""
    keep_failed: Count | None = None
    """And of those that failed."""
    succeeded: list[Slot] = msgspec.field(default_factory=list)
    """Slots whose chains are kept because of `keep_succeeded` …"""
    failed: list[Slot] = msgspec.field(default_factory=list)
    """… and of `keep_failed`."""
    template: Template = Template()
    expression: str | None = None
    every: str | None = None
    time_zone: str = "UTC"
    start: int | None = None
    """µs: no slot before …"""
    end: int | None = None
    """… and none after."""
    suspended: bool = False
    """It is a generation without slots: suspended, invalid, or gone."""
    gone: bool = False
    """The schedule is not there any more."""


class StoredPlan(msgspec.Struct, frozen=True):
    """A plan where it lies."""

    uid: str
    seq: int
    time: int
    """µs, the stream's timestamp."""
    plan: Plan


class Span(msgspec.Struct, frozen=True):
    """For which time slots are to be chosen."""

    after: int
    """µs: later than this; the calendar was looked at up to here, or the spec counts from here."""
    now: int
    """µs, by the server's clock."""
    ahead: int = 0
    """Slots after `now` that are planned already."""
    named: tuple[Slot, ...] = ()
    """What an earlier spec named and is not due yet; one whose time has passed stays if the calendar has it."""


class Chosen(msgspec.Struct, frozen=True):
    """Slots that a calendar gives for a while."""

    slots: list[Slot]
    until: int
    """µs: up to here it was looked at."""
    missed: list[int] = []
    """Times (µs) of slots that are not made up for."""


def make_slot_id(uid: str, time: int) -> JobId:
    """The one id of a slot of a schedule."""
    return id_from_key("slot", uid, str(time))


def begin_plan(found: Plan | None, wanted: Plan, chosen: Chosen, *, ended: Collection[int]) -> Plan:
    """The first record of a generation; `wanted` has its `since`, `ended` are times of slots that need no look."""
    found = found or Plan(schedule=wanted.schedule, job=wanted.job, generation=0, since=0, until=0)
    intended = {slot.time for slot in chosen.slots}
    old = [slot for slot in (*found.slots, *found.old) if slot.time not in intended and slot.time not in ended]
    return msgspec.structs.replace(
        wanted,
        until=chosen.until,
        slots=_keep(chosen.slots),
        old=_keep(old),
        complete=False,
        last=found.last,
        missed=found.missed + len(chosen.missed),
        succeeded=found.succeeded,
        failed=found.failed,
    )


def extend_plan(found: Plan, chosen: Chosen, *, ended: Collection[int]) -> Plan:
    """The next record of the same generation; what has `ended` is named no more if the record before is complete."""
    kept = [slot for slot in found.slots if not (found.complete and slot.time in ended)]
    limited = found.keep_succeeded is not None or found.keep_failed is not None
    moved = bool(chosen.slots or chosen.missed) or chosen.until > found.until
    if not moved and not (limited and len(kept) < len(found.slots)):
        return found
    return msgspec.structs.replace(
        found,
        until=max(found.until, chosen.until),
        slots=_keep([*kept, *chosen.slots]),
        old=[] if found.complete else found.old,
        complete=found.complete and not chosen.slots,
        missed=found.missed + len(chosen.missed),
    )


def limit_history(plan: Plan, succeeded: Iterable[Slot], failed: Iterable[Slot]) -> tuple[Plan, list[Slot]]:
    """Note slots that have ended, as far as a limit wants them kept; and give those that are over it."""
    kept_succeeded, over_succeeded = _limit([*plan.succeeded, *succeeded], plan.keep_succeeded)
    kept_failed, over_failed = _limit([*plan.failed, *failed], plan.keep_failed)
    return (
        msgspec.structs.replace(plan, succeeded=kept_succeeded, failed=kept_failed),
        [*over_succeeded, *over_failed],
    )


def _limit(slots: list[Slot], most: int | None) -> tuple[list[Slot], list[Slot]]:
    if most is None:
        return [], []
    ordered = sorted({slot.time: slot for slot in slots}.values())
    over = max(0, len(ordered) - most)
    return ordered[over:], ordered[:over]


def _keep(slots: Iterable[Slot]) -> list[Slot]:
    return sorted({slot.time: slot for slot in slots}.values())[-MOST_SLOTS:]
