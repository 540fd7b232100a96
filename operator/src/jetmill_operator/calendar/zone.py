"""Time zones: what a wall clock shows, and which instants show it. Instants are µs since the Unix epoch.

```
 clocks go forward (a gap)              clocks go back (a fold)
 …01:59│03:00…    02:30 shows never     …02:59│02:00…    02:30 shows twice
```
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jetmill_operator.calendar.errors import ScheduleError

FIELD = "timeZone"
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - counts wall times, which have no zone
_AWARE_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Once:
    """One instant shows it."""

    instant: int


@dataclass(frozen=True, slots=True)
class Twice:
    """It shows before the clocks go back, and after."""

    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Never:
    """The clocks skip it."""

    shift: int
    """The instant at which they do."""


def parse_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name; ScheduleError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as err:
        cure = "use a name of the IANA database, such as Europe/Berlin or UTC"
        raise ScheduleError(FIELD, f"{name!r:.80} is no time zone", cure=cure) from err


def to_wall(instant: int, zone: ZoneInfo) -> datetime:
    """What a wall clock shows (naive)."""
    return to_moment(instant, zone).replace(tzinfo=None, fold=0)


def to_instant(moment: datetime) -> int:
    """The instant of an aware time."""
    return (moment - _AWARE_EPOCH) // _MICRO


def to_moment(instant: int, zone: tzinfo = UTC) -> datetime:
    """An instant as an aware time."""
    return (_AWARE_EPOCH + instant * _MICRO).astimezone(zone)


def find_instants(wall: datetime, zone: ZoneInfo) -> Once | Twice | Never:
    """When a wall clock shows `wall` (naive)."""
    shown = (wall - _EPOCH) // _MICRO
    before = _offset(wall.replace(tzinfo=zone, fold=0))
    after = _offset(wall.replace(tzinfo=zone, fold=1))
    if before == after:
        return Once(shown - before)
    if before > after:
        return Twice(shown - before, shown - after)
    return Never(_find_shift(shown - after, shown - before, zone))


def find_fall(instant: int, zone: ZoneInfo) -> int:
    """How far (µs) clocks go back so soon after `instant` that they show again what they show now; 0: they do not."""
    day = instant + 25 * 3_600_000_000
    fall = offset_at(instant, zone) - offset_at(day, zone)
    return fall if fall > 0 and offset_at(instant + fall, zone) != offset_at(instant, zone) else 0


def offset_at(instant: int, zone: ZoneInfo) -> int:
    """How far (µs) the zone is ahead of UTC."""
    return _offset(to_moment(instant, zone))


def _offset(moment: datetime) -> int:
    found = moment.utcoffset()
    assert found is not None
    return found // _MICRO


def _find_shift(low: int, high: int, zone: ZoneInfo) -> int:
    """The first second in (low, high] at which the offset is no longer that at `low`."""
    was = offset_at(low, zone)
    first, last = low // 1_000_000, high // 1_000_000
    while last - first > 1:
        middle = (first + last) // 2
        if offset_at(middle * 1_000_000, zone) == was:
            first = middle
        else:
            last = middle
    return last * 1_000_000
