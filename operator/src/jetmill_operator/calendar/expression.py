"""Cron expressions: which times of a wall clock fit. croniter reads them and counts their days, a day's times follow
from the fields; what it lets pass, and people do not expect, is refused here, by field and character.

```
 ┌ second (only with six fields)      @yearly @annually  0 0 1 1 *
 │ ┌ minute   0-59                    @monthly           0 0 1 * *
 │ │ ┌ hour   0-23                    @weekly            0 0 * * 0
 │ │ │ ┌ day of month 1-31, ?, L, W   @daily @midnight   0 0 * * *
 │ │ │ │ ┌ month 1-12, JAN-DEC        @hourly            0 * * * *
 │ │ │ │ │ ┌ day of week 0-7, SUN-SAT, ?, #, L
```

Where day of month and day of week are both given, a day that fits either one fits, as with every cron. There is no
time zone here: see `calendar.slot` for that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import product

from croniter import croniter

from jetmill_operator.calendar.errors import ScheduleError

FIELD = "schedule"
LONGEST = 256
NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = ("second", "minute", "hour", "day of month", "month", "day of week")
_BOUNDS = {
    "second": "0 to 59",
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day of month": "1 to 31, L, 15W or ?",
    "month": "1 to 12 or JAN to DEC",
    "day of week": "0 to 7, SUN to SAT, FRI#2, L5 or ?",
}
_CURE = (
    'write five fields (minute hour day month weekday) such as "30 9 * * MON-FRI", six with seconds first, or @daily'
)
_FOLLOWS = re.compile(r"\*(/[0-9]+)?")
_RANDOM = re.compile(r"[hr](\(|/|$)", re.IGNORECASE)
_SEARCH_FROM = datetime(2000, 1, 1)  # noqa: DTZ001 - a wall time has no zone
_DAY = timedelta(days=1)
_KEPT = 1024
"""So many expressions are kept as understood: each pass over a schedule asks anew, and croniter takes a while."""


@dataclass(frozen=True, slots=True)
class Cron:
    """An expression that was understood."""

    text: str
    """As it was given."""
    fields: str
    """Six fields, the seconds first."""
    follows: bool
    """Its hour is `*` or `*/n`: it follows real time through a shift, and fires at every occurrence."""

    def walls(self, after: datetime) -> Iterator[datetime]:
        """The wall times (naive) later than `after`, in order; ends where none follows within 50 years."""
        days = self.fields.split(maxsplit=3)[3]
        day = _find_day(days, after.date() - _DAY)
        if day == after.date():
            yield from (wall for wall in self._list_day(day, after.hour, after.minute) if wall > after)
            day = _find_day(days, day)
        while day is not None:
            yield from self._list_day(day)
            day = _find_day(days, day)

    def _list_day(self, day: date, hour: int = 0, minute: int = 0) -> Iterator[datetime]:
        """The wall times of a day that fits, from an hour and minute on."""
        hours, minutes, seconds = _list_times(self.fields)
        for shown in product(hours, minutes):
            if shown >= (hour, minute):
                yield from (datetime.combine(day, time(*shown, second)) for second in seconds)


@lru_cache(_KEPT)
def parse_cron(text: str) -> Cron:
    """Understand an expression; ScheduleError."""
    if len(text) > LONGEST:
        raise ScheduleError(FIELD, f"{len(text)} characters", cure=f"at most {LONGEST}")
    found = [(match.start() + 1, match.group()) for match in re.finditer(r"\S+", text)]
    if len(found) == 1 and found[0][1].startswith("@"):
        position, name = found[0]
        if name.lower() not in NAMES:
            raise ScheduleError(FIELD, f"{name} is not known", cure=f"use {', '.join(NAMES)}", position=position)
        parts = NAMES[name.lower()].split()
    else:
        if len(found) not in (5, 6):
            raise ScheduleError(FIELD, f"{text!r:.80} has {len(found)} fields", cure=_CURE, position=1)
        _check_fields(found)
        parts = [part for _, part in found]
    if len(parts) == 5:
        parts = ["0", *parts]
    cron = Cron(text, " ".join(parts), _FOLLOWS.fullmatch(parts[2]) is not None)
    if next(cron.walls(_SEARCH_FROM - timedelta(seconds=1)), None) is None:
        cure = "there is no such day: look at day of month and month"
        raise ScheduleError(FIELD, f"{text!r} never fires", cure=cure, position=found[-3][0])
    return cron


@lru_cache(_KEPT)
def _list_times(fields: str) -> tuple[list[int], list[int], list[int]]:
    """The hours, the minutes and the seconds that fit, in order."""
    minutes, hours, _, _, _, seconds, *_ = _build_counter(fields).expanded
    return _list_values(hours, 24), _list_values(minutes, 60), _list_values(seconds, 60)


def _list_values(values: Sequence[int | str], most: int) -> list[int]:
    return list(range(most)) if "*" in values else sorted(int(value) for value in values)


@lru_cache(_KEPT * 8)
def _find_day(days: str, after: date) -> date | None:
    """The next day that fits the last three fields; None: none does within 50 years, or before the year 10000."""
    counter = copy(_build_counter(f"0 0 0 {days}"))
    try:
        counter.set_current(datetime.combine(after, time()))
        found: datetime = counter.get_next()
    except (ValueError, OverflowError):
        return None
    return found.date()


@lru_cache(_KEPT)
def _build_counter(fields: str) -> croniter[datetime]:
    """Give what counts, to be copied: a counter moves."""
    return croniter(fields, _SEARCH_FROM, second_at_beginning=True, ret_type=datetime)


def _check_fields(found: list[tuple[int, str]]) -> None:
    """Try each field alone, so that it can be said which one is wrong."""
    names = _FIELDS[-len(found) :]
    for index, (name, (position, part)) in enumerate(zip(names, found, strict=True)):
        if _RANDOM.match(part):
            what = f"{name}: {part!r:.40} would be chosen at random"
            raise ScheduleError(FIELD, what, cure="name the time, and spread load by jitterSeconds", position=position)
        alone = ["0", *("*" for _ in _FIELDS[1:])]
        alone[len(_FIELDS) - len(found) + index] = part
        if not part.isascii() or not croniter.is_valid(" ".join(alone), second_at_beginning=True):
            what = f"{name}: {part!r:.40} does not fit"
            raise ScheduleError(FIELD, what, cure=f"use {_BOUNDS[name]}, with , - and /", position=position)
