"""Forty expressions in twelve zones, two days around every shift of the clocks of ten years, against an oracle.

The oracle knows neither croniter nor zoneinfo: it reads the fields itself, walks the days, and asks dateutil's zones.
"""

from __future__ import annotations

import calendar as gregorian
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from dateutil import tz as dateutil_tz

from jetmill_operator.calendar.expression import parse_cron
from jetmill_operator.calendar.slot import Calendar
from jetmill_operator.calendar.zone import parse_zone, to_instant, to_moment

FIRST, LAST = 2026, 2035
DAYS = 2
ZONES = (
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Havana",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Asia/Beirut",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Pacific/Kiritimati",
    "Etc/GMT+12",
)
EXPRESSIONS = (
    *("30 2 * * *", "0 2 * * *", "0 3 * * *", "59 1 * * *", "30 1 * * *", "0 0 * * *", "30 0 * * *", "59 23 * * *"),
    *("*/15 2 * * *", "*/20 1-3 * * *", "10,50 0,2 * * *", "0 0-23 * * *", "5 0-6/2 * * *", "0 2,3 * * *"),
    *("0 * * * *", "30 * * * *", "*/20 * * * *", "7-11 * * * *", "0 */2 * * *", "30 */2 * * *", "15 */3 * * *"),
    *("45 */5 * * *", "30 2 * * SUN", "30 2 * * MON-FRI", "0 1 * * 6,7", "30 2 29 3 *", "30 2 25-31 10 *"),
    *("0 0 1 * *", "30 1 L * *", "30 2 ? * SUN#1", "30 2 * * SUN#2", "0 3 * * L0", "15 2 31 * FRI", "@hourly"),
    *("@daily", "@weekly", "@monthly", "20 30 2 * * *", "0,30 15 2 * * *", "10 5 * * * *"),
)
NAMES = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


# The oracle


def read_numbers(text: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high
        elif "-" in span:
            first, last = map(int, span.split("-"))
        else:
            first, last = int(span), int(span) if not step else high
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)


def fits_day(text: str, day: date) -> bool:
    last = gregorian.monthrange(day.year, day.month)[1]
    return day.day == last if text == "L" else day.day in read_numbers(text, 1, 31)


def fits_weekday(text: str, day: date) -> bool:
    number = (day.weekday() + 1) % 7
    for index, name in enumerate(WEEKDAYS):
        text = text.replace(name, str(index))
    if "#" in text:
        weekday, _, nth = text.partition("#")
        return number == int(weekday) and (day.day - 1) // 7 + 1 == int(nth)
    if text.startswith("L"):
        return number == int(text[1:]) and day.day + 7 > gregorian.monthrange(day.year, day.month)[1]
    return number in {one % 7 for one in read_numbers(text, 0, 7)}


def fits_date(fields: list[str], day: date) -> bool:
    _, _, _, of_month, month, of_week = fields
    if day.month not in read_numbers(month, 1, 12):
        return False
    free_month, free_week = of_month in ("*", "?"), of_week in ("*", "?")
    if free_month or free_week:
        return (free_month or fits_day(of_month, day)) and (free_week or fits_weekday(of_week, day))
    return fits_day(of_month, day) or fits_weekday(of_week, day)


def list_walls(text: str, first: date, last: date) -> Iterator[datetime]:
    fields = NAMES.get(text, text).split()
    fields = ["0", *fields] if len(fields) == 5 else fields
    seconds, minutes, hours = (
        sorted(read_numbers(field, 0, high)) for field, high in zip(fields, (59, 59, 23), strict=False)
    )
    day = first
    while day <= last:
        if fits_date(fields, day):
            for hour in hours:
                for minute in minutes:
                    for second in seconds:
                        yield datetime(day.year, day.month, day.day, hour, minute, second)  # noqa: DTZ001
        day += timedelta(days=1)


def follows(text: str) -> bool:
    fields = NAMES.get(text, text).split()
    hour = fields[-4]
    return hour == "*" or (hour.startswith("*/") and hour[2:].isdigit())


def expect(text: str, zone: str, begin: datetime, end: datetime) -> list[datetime]:
    """The slots in (begin, end], in UTC."""
    there = dateutil_tz.gettz(zone)
    found: set[datetime] = set()
    for wall in list_walls(text, (begin - timedelta(days=2)).date(), (end + timedelta(days=2)).date()):
        first = wall.replace(tzinfo=there)
        if not dateutil_tz.datetime_exists(first):
            if not follows(text):
                found.add(find_shift(first).astimezone(UTC))
            continue
        found.add(first.astimezone(UTC))
        if follows(text) and dateutil_tz.datetime_ambiguous(first):
            found.add(dateutil_tz.enfold(first, fold=1).astimezone(UTC))
    return sorted(one for one in found if begin < one <= end)


def find_shift(skipped: datetime) -> datetime:
    """The first time that exists after one that the clocks skip."""
    while not dateutil_tz.datetime_exists(skipped):
        skipped += timedelta(seconds=60 - skipped.second)
    return skipped


# The shifts


@cache
def list_shifts(zone: str) -> list[datetime]:
    """Every shift of the zone in those years, in UTC, to the minute."""
    there = dateutil_tz.gettz(zone)
    found = []
    hour = datetime(FIRST, 1, 1, tzinfo=UTC)
    before = hour.astimezone(there).utcoffset()
    while hour.year <= LAST:
        hour += timedelta(hours=1)
        after = hour.astimezone(there).utcoffset()
        if after != before:
            found.append(hour)
        before = after
    return found


@pytest.mark.parametrize("zone", ZONES)
def test_slots_around_every_shift_are_those_of_the_oracle(zone: str) -> None:
    places = list_shifts(zone) or [datetime(year, 3, 1, tzinfo=UTC) for year in range(FIRST, LAST + 1)]
    compared = 0
    for text in EXPRESSIONS:
        calendar = Calendar(parse_cron(text), parse_zone(zone))
        for place in places:
            begin, end = place - timedelta(days=DAYS), place + timedelta(days=DAYS)
            slots = [to_moment(slot) for slot in calendar.between(to_instant(begin), to_instant(end))]
            assert slots == expect(text, zone, begin, end), (text, place)
            compared += len(slots)
    assert compared > 10_000


def test_the_table_is_as_large_as_was_promised_and_the_zones_do_shift() -> None:
    assert (len(set(EXPRESSIONS)), len(set(ZONES))) == (40, 12)
    shifts = {zone: len(list_shifts(zone)) for zone in ZONES}
    assert {zone for zone, count in shifts.items() if count == 0} == {"Pacific/Kiritimati", "Etc/GMT+12"}
    assert min(filter(None, shifts.values())) >= 18
    offsets = {ZoneInfo(zone).utcoffset(datetime(2026, 1, 1)) for zone in ZONES}  # noqa: DTZ001
    assert {timedelta(hours=14), timedelta(hours=-12)} <= offsets


def test_a_day_that_a_zone_leaves_out_fires_once_at_its_end() -> None:
    """Samoa had no 30 December 2011."""
    calendar = Calendar(parse_cron("0 */6 30 12 *"), parse_zone("Pacific/Apia"))
    fixed = Calendar(parse_cron("0 0,6,12,18 30 12 *"), parse_zone("Pacific/Apia"))
    begin, end = to_instant(datetime(2011, 12, 1, tzinfo=UTC)), to_instant(datetime(2012, 2, 1, tzinfo=UTC))
    assert list(calendar.between(begin, end)) == []
    assert [to_moment(slot) for slot in fixed.between(begin, end)] == [datetime(2011, 12, 30, 10, tzinfo=UTC)]


def test_there_are_as_many_slots_of_a_fixed_hour_as_days() -> None:
    """None is lost and none comes twice, whatever the clocks do."""
    for zone in ZONES:
        hour = 0 if zone in ("America/Havana", "Asia/Beirut", "America/Santiago", "Africa/Cairo") else 2
        calendar = Calendar(parse_cron(f"30 {hour} * * *"), parse_zone(zone))
        there = ZoneInfo(zone)
        begin = to_instant(datetime(FIRST, 1, 1, tzinfo=there)) - 1
        end = to_instant(datetime(LAST + 1, 1, 1, tzinfo=there)) - 1
        days = (date(LAST + 1, 1, 1) - date(FIRST, 1, 1)).days
        assert sum(1 for _ in calendar.between(begin, end)) == days, zone
