"""A schedule as it is in force, read from its plan: for the command line, the gateway and whoever else shows it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from jetmill.bus.ports import Bus
from jetmill.errors import InputError
from jetmill.protocol.plan import Plan, StoredPlan, make_slot_id
from jetmill_operator.calendar.errors import ScheduleError
from jetmill_operator.calendar.expression import parse_cron
from jetmill_operator.calendar.slot import Calendar, parse_every
from jetmill_operator.calendar.zone import parse_zone, to_moment


class ScheduleView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One schedule."""

    name: str
    job: str
    schedule: str | None = None
    every: str | None = None
    time_zone: str = "UTC"
    generation: int = 0
    suspended: bool = False
    next: datetime | None = None
    last: datetime | None = None
    last_id: str | None = None
    last_state: str | None = None
    missed: int = 0


async def read_view(bus: Bus, stored: StoredPlan) -> ScheduleView:
    """Read how its newest job does; raises BusError."""
    plan, now = stored.plan, bus.link.now()
    due = [slot.time for slot in (*plan.slots, *([] if plan.last is None else [plan.last])) if slot.due <= now]
    ahead = [slot.time for slot in plan.slots if slot.due > now]
    last = max(due, default=None)
    last_id = None if last is None else make_slot_id(stored.uid, last)
    entry = None if last_id is None else await bus.ledger.read(last_id)
    return ScheduleView(
        name=plan.schedule,
        job=plan.job,
        schedule=plan.expression,
        every=plan.every,
        time_zone=plan.time_zone,
        generation=plan.generation,
        suspended=plan.suspended,
        next=to_moment(min(ahead)) if ahead else None,
        last=None if last is None else to_moment(last),
        last_id=last_id,
        last_state=None if entry is None else str(entry.record.state),
        missed=plan.missed,
    )


def read_calendar(
    expression: str | None, every: str | None, zone: str, *, start: int | None = None, end: int | None = None
) -> Calendar:
    """Understand a calendar; InputError names the field and the character."""
    try:
        rule = parse_every(every, anchor=start or 0) if every is not None else parse_cron(expression or "")
        return Calendar(rule, parse_zone(zone), start, end)
    except ScheduleError as err:
        where = "" if err.position is None else f" at character {err.position}"
        raise InputError(f"{err.field}{where}: {err.what}", field=err.field, cure=err.cure) from err


def calendar_of(plan: Plan) -> Calendar:
    """The calendar that a plan goes by; InputError if it has none."""
    return read_calendar(plan.expression, plan.every, plan.time_zone, start=plan.start, end=plan.end)
