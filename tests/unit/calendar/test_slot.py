"""When a calendar fires: across shifts of the clocks, between its ends, and with jitter."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmill_operator.calendar.errors import ScheduleError
from jetmill_operator.calendar.expression import parse_cron
from jetmill_operator.calendar.slot import LAST, SECOND, Calendar, Every, decide_jitter, parse_every
from jetmill_operator.calendar.zone import parse_zone, to_instant, to_moment


def instant(text: str) -> int:
    return to_instant(datetime.fromisoformat(text))


def fires(text: str, zone: str, after: str, count: int) -> list[str]:
    """The slots as the wall clock shows them, with their offset."""
    calendar = Calendar(parse_cron(text), parse_zone(zone))
    found = islice(calendar.after(instant(after)), count)
    return [to_moment(slot, ZoneInfo(zone)).isoformat(timespec="minutes") for slot in found]


@pytest.mark.field("ScheduledJob.spec.timeZone")
@pytest.mark.parametrize(
    ("text", "zone", "after", "expected"),
    [
        # a fixed hour that the clocks skip: at the shift, once
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        ("*/15 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
        ("0 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00Z", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
        ("30 2 29 3 *", "Europe/Berlin", "2026-01-01T00:00Z", ["2026-03-29T03:00+02:00", "2027-03-29T02:30+02:00"]),
        # a fixed hour that comes twice: at the first pass
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        ("0 3 * * *", "Europe/Berlin", "2026-10-24T12:00Z", ["2026-10-25T03:00+01:00", "2026-10-26T03:00+01:00"]),
        ("0 2 * * *", "Europe/Berlin", "2026-10-25T00:30Z", ["2026-10-26T02:00+01:00"]),
        # an hour of * follows real time
        ("30 * * * *", "Europe/Berlin", "2026-03-29T00:00Z", ["2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00"]),
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-25T00:00Z",
            ["2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00", "2026-10-25T03:30+01:00"],
        ),
        ("0 */2 * * *", "Europe/Berlin", "2026-03-29T00:30Z", ["2026-03-29T04:00+02:00"]),
        ("0 */2 * * *", "Europe/Berlin", "2026-10-24T23:30Z", ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00"]),
        # asked in the middle of the second pass
        ("*/20 * * * *", "Europe/Berlin", "2026-10-25T01:10Z", ["2026-10-25T02:20+01:00", "2026-10-25T02:40+01:00"]),
        # asked in the first pass, late: what shows again is not forgotten
        ("10 * * * *", "Europe/Berlin", "2026-10-25T00:50Z", ["2026-10-25T02:10+01:00", "2026-10-25T03:10+01:00"]),
        # a shift of half an hour, one at midnight, one of a whole day
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00Z", ["2026-10-04T02:30+11:00"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2027-04-03T00:00Z", ["2027-04-04T01:45+11:00"]),
        ("30 0 * * *", "Asia/Beirut", "2026-03-28T00:00Z", ["2026-03-29T01:00+03:00", "2026-03-30T00:30+03:00"]),
        ("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00Z", ["2011-12-31T00:00+14:00", "2012-12-30T12:00+14:00"]),
        # the ends of the world
        ("0 0 * * *", "Pacific/Kiritimati", "2026-01-01T09:00Z", ["2026-01-02T00:00+14:00"]),
        ("0 0 * * *", "Etc/GMT+12", "2026-01-01T09:00Z", ["2026-01-01T00:00-12:00"]),
        ("0 0 29 2 *", "Asia/Kolkata", "2026-01-01T00:00Z", ["2028-02-29T00:00+05:30", "2032-02-29T00:00+05:30"]),
    ],
)
def test_a_calendar_does_what_people_expect_of_cron(text: str, zone: str, after: str, expected: list[str]) -> None:
    assert fires(text, zone, after, len(expected)) == expected


@pytest.mark.field("ScheduledJob.spec.every")
def test_equal_steps_know_no_clock() -> None:
    calendar = Calendar(parse_every("90s"), parse_zone("Europe/Berlin"))
    slots = list(islice(calendar.after(instant("2026-03-29T00:58:00Z")), 100))
    assert {second - first for first, second in pairwise(slots)} == {90 * SECOND}
    assert slots[0] == instant("2026-03-29T00:58:30Z"), "counted from the Unix epoch"


@pytest.mark.field("ScheduledJob.spec.startAt", "ScheduledJob.spec.endAt")
def test_no_slot_lies_outside_its_ends() -> None:
    start, end = instant("2026-01-01T00:00:10Z"), instant("2026-01-01T00:03:10Z")
    steps = Calendar(parse_every("60s", anchor=start), parse_zone("UTC"), start, end)
    assert list(steps.after(0)) == [start, start + 60 * SECOND, start + 120 * SECOND, end], "counted from the start"
    cron = Calendar(parse_cron("* * * * *"), parse_zone("UTC"), start, end)
    assert [to_moment(slot).minute for slot in cron.after(0)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5_400), ("1d", 86_400), ("366d", 366 * 86_400)]
)
def test_a_length_of_time_is_read(text: str, seconds: int) -> None:
    assert parse_every(text) == Every(seconds)


@pytest.mark.parametrize("text", ["", "90", "s", "1.5h", "-5m", "5m ", "0s", "367d", "999999999d"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        parse_every(text)
    assert refused.value.field == "every"


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "/etc/passwd", "Europe", "Europe/Berlin\0"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        parse_zone(name)
    assert refused.value.field == "timeZone"
    assert "is no time zone" in refused.value.what


@pytest.mark.field("ScheduledJob.spec.jitterSeconds")
def test_jitter_is_the_same_whoever_asks_and_spread_evenly() -> None:
    amounts = [decide_jitter("uid-1", slot * SECOND, 60) for slot in range(2_000)]
    assert amounts == [decide_jitter("uid-1", slot * SECOND, 60) for slot in range(2_000)]
    assert all(0 <= amount < 60 * SECOND for amount in amounts)
    quarters = [sum(part * 15 * SECOND <= one < (part + 1) * 15 * SECOND for one in amounts) for part in range(4)]
    assert min(quarters) > 400
    assert amounts != [decide_jitter("uid-2", slot * SECOND, 60) for slot in range(2_000)]
    assert decide_jitter("uid-1", 5, 0) == 0


CRONS = st.sampled_from(
    ["*/7 * * * *", "30 2 * * *", "15,45 1-3 * * *", "0 */3 * * *", "0 0 1 * *", "59 23 * * SUN", "0 0 * * * *"]
)
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Chatham"]
)
TIMES = st.integers(instant("2020-01-01T00:00Z") // SECOND, instant("2040-01-01T00:00Z") // SECOND)


@given(CRONS, ZONES, TIMES, st.integers(1, 6))
def test_slots_are_the_same_wherever_one_begins_to_ask(text: str, zone: str, begin: int, skip: int) -> None:
    """A planner that comes later, and asks from a slot on, is told the same slots."""
    calendar = Calendar(parse_cron(text), parse_zone(zone))
    slots = list(islice(calendar.after(begin * SECOND), 12))
    assert slots == sorted(set(slots))
    assert slots[0] > begin * SECOND
    assert list(islice(calendar.after(slots[skip]), 11 - skip)) == slots[skip + 1 :]
    assert list(islice(calendar.after(slots[skip] - 1), 1)) == [slots[skip]]


def test_a_calendar_ends_before_the_year_9999_does() -> None:
    assert list(Calendar(parse_cron("@yearly"), parse_zone("UTC")).after(LAST)) == []
    assert list(Calendar(parse_every("1d"), parse_zone("UTC")).after(LAST)) == []
    last = list(Calendar(parse_cron("@yearly"), parse_zone("Asia/Tokyo")).after(instant("9996-01-01T00:00Z")))
    assert last[-1] <= LAST
    assert to_moment(instant("2026-01-01T00:00Z")).tzinfo is UTC
