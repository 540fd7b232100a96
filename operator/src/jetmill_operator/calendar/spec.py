"""The calendar of a ScheduledJob's spec."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

from jetmill_operator.api.scheduledjob import ScheduledJobSpec
from jetmill_operator.calendar.errors import ScheduleError
from jetmill_operator.calendar.expression import parse_cron
from jetmill_operator.calendar.slot import Calendar, parse_every
from jetmill_operator.calendar.zone import parse_zone, to_instant


def build_calendar(spec: ScheduledJobSpec) -> Calendar:
    """Understand when a spec fires; ScheduleError."""
    start, end = _read(spec.start_at), _read(spec.end_at)
    zone = parse_zone(spec.time_zone)
    if spec.every is not None:
        return Calendar(parse_every(spec.every, anchor=start or 0), zone, start, end)
    if spec.schedule is None:
        raise ScheduleError("schedule", "neither schedule nor every is there", cure="add one of them")
    return Calendar(parse_cron(spec.schedule), zone, start, end)


def list_next(calendar: Calendar, after: int, count: int) -> list[int]:
    """The next slots (µs)."""
    return list(islice(calendar.after(after), count))


def _read(text: str | None) -> int | None:
    return None if text is None else to_instant(datetime.fromisoformat(text))
