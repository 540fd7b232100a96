"""What a cron expression is, and how one that is none is refused."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

import pytest

from jetmill_operator.calendar.errors import ScheduleError
from jetmill_operator.calendar.expression import parse_cron


def walls(text: str, after: str, count: int = 3) -> list[str]:
    found = islice(parse_cron(text).walls(datetime.fromisoformat(after)), count)
    return [one.isoformat(sep=" ") for one in found]


@pytest.mark.field("ScheduledJob.spec.schedule")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 9 * * MON-FRI", ["2026-01-01 09:30:00", "2026-01-02 09:30:00", "2026-01-05 09:30:00"]),
        ("*/20 8-9 * * *", ["2026-01-01 08:00:00", "2026-01-01 08:20:00", "2026-01-01 08:40:00"]),
        ("*/10 * * * * *", ["2026-01-01 00:00:10", "2026-01-01 00:00:20", "2026-01-01 00:00:30"]),
        ("15 30 9 1 * *", ["2026-01-01 09:30:15", "2026-02-01 09:30:15", "2026-03-01 09:30:15"]),
        ("0 0 1 JAN,jul *", ["2026-07-01 00:00:00", "2027-01-01 00:00:00", "2027-07-01 00:00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00:00", "2032-02-29 00:00:00", "2036-02-29 00:00:00"]),
        ("0 0 L * ?", ["2026-01-31 00:00:00", "2026-02-28 00:00:00", "2026-03-31 00:00:00"]),
        ("0 0 ? * FRI#2", ["2026-01-09 00:00:00", "2026-02-13 00:00:00", "2026-03-13 00:00:00"]),
        ("0 0 * * L5", ["2026-01-30 00:00:00", "2026-02-27 00:00:00", "2026-03-27 00:00:00"]),
        ("0 0 15W * *", ["2026-01-15 00:00:00", "2026-02-16 00:00:00", "2026-03-16 00:00:00"]),
        ("0 0 * * 7", ["2026-01-04 00:00:00", "2026-01-11 00:00:00", "2026-01-18 00:00:00"]),
        ("0 0 13 * FRI", ["2026-01-02 00:00:00", "2026-01-09 00:00:00", "2026-01-13 00:00:00"]),
        ("@hourly", ["2026-01-01 01:00:00", "2026-01-01 02:00:00", "2026-01-01 03:00:00"]),
        ("@daily", ["2026-01-02 00:00:00", "2026-01-03 00:00:00", "2026-01-04 00:00:00"]),
        ("@midnight", ["2026-01-02 00:00:00", "2026-01-03 00:00:00", "2026-01-04 00:00:00"]),
        ("@weekly", ["2026-01-04 00:00:00", "2026-01-11 00:00:00", "2026-01-18 00:00:00"]),
        ("@Monthly", ["2026-02-01 00:00:00", "2026-03-01 00:00:00", "2026-04-01 00:00:00"]),
        ("@yearly", ["2027-01-01 00:00:00", "2028-01-01 00:00:00", "2029-01-01 00:00:00"]),
        ("  0   9  *  *  * ", ["2026-01-01 09:00:00", "2026-01-02 09:00:00", "2026-01-03 09:00:00"]),
    ],
)
def test_an_expression_names_wall_times(text: str, expected: list[str]) -> None:
    assert walls(text, "2026-01-01 00:00:00") == expected


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("61 * * * *", 1, "minute: '61' does not fit; use 0 to 59"),
        ("0 25 * * *", 3, "hour: '25' does not fit; use 0 to 23"),
        ("0  0  32 * *", 7, "day of month: '32' does not fit; use 1 to 31"),
        ("0 0 1 13 *", 7, "month: '13' does not fit; use 1 to 12 or JAN to DEC"),
        ("0 0 * * FRI#9", 9, "day of week: 'FRI#9' does not fit"),
        ("0 0 * * MON,FRI#2", 9, "day of week: 'MON,FRI#2' does not fit"),
        ("60 * * * * *", 1, "second: '60' does not fit"),
        ("*/0 * * * *", 1, "minute: '*/0' does not fit"),
        ("a b c d e", 1, "minute: 'a' does not fit"),
        ("\u0660 0 * * *", 1, "minute: '\u0660' does not fit"),
        ("* * * *", 1, "has 4 fields; write five fields"),
        ("* * * * * * *", 1, "has 7 fields"),
        ("", 1, "has 0 fields"),
        ("@reboot", 1, "@reboot is not known; use @yearly"),
        ("H * * * *", 1, "would be chosen at random; name the time"),
        ("0 R(0-5) * * *", 3, "would be chosen at random"),
        ("0 0 30 2 *", 5, "never fires; there is no such day"),
        ("0 0 0 31 4,6 *", 7, "never fires"),
    ],
)
def test_what_is_no_expression_is_refused_by_field_and_character(text: str, position: int, says: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        parse_cron(text)
    assert refused.value.field == "schedule"
    assert refused.value.position == position
    assert says in str(refused.value)
    assert str(refused.value).startswith(f"schedule at character {position}: ")


def test_a_text_of_many_characters_is_not_even_read() -> None:
    with pytest.raises(ScheduleError, match="at most 256"):
        parse_cron("0," * 200 + "0 * * * *")


@pytest.mark.parametrize(("text", "follows"), [
    ("* * * * *", True), ("0 */2 * * *", True), ("30 0 * * * *", True), ("0 2 * * *", False), ("0 0-23 * * *", False),
    ("0 *,3 * * *", False), ("@hourly", True), ("@daily", False), ("0 0 */3 * * *", True),
])  # fmt: skip
def test_an_hour_of_star_or_star_by_n_follows_real_time(text: str, *, follows: bool) -> None:
    assert parse_cron(text).follows is follows
