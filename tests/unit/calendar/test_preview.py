"""What a preview says, and that docs/schedules.md says what is so."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from jetmill_operator.calendar.expression import parse_cron
from jetmill_operator.calendar.preview import list_occurrences
from jetmill_operator.calendar.slot import Calendar, parse_every
from jetmill_operator.calendar.zone import parse_zone, to_instant, to_moment

GUIDE = (Path(__file__).parents[3] / "docs/schedules.md").read_text()
BERLIN = ZoneInfo("Europe/Berlin")
TABLE = re.findall(r"^\| `([^`]+)` \| ([^|]*\d\d:\d\d[^|]*) \| ([^|]*\d\d:\d\d[^|]*) \|$", GUIDE, re.MULTILINE)
DAYS = (datetime(2027, 3, 28, tzinfo=BERLIN), datetime(2027, 10, 31, tzinfo=BERLIN))


def read_times(cell: str) -> list[tuple[str, str]]:
    """Times with their offsets; one without has that of the next."""
    found = re.findall(r"(?<![+-])\b(\d\d:\d\d)(?: ([+-]\d\d:\d\d))?", cell)
    times, offset = list[tuple[str, str]](), re.findall(r"[+-]\d\d:\d\d", cell)[-1]
    for time, own in reversed(found):
        offset = own or offset
        times.insert(0, (time, offset))
    return times


@pytest.mark.parametrize(("text", "forward", "back"), TABLE)
def test_the_guide_says_what_happens_when_the_clocks_change(text: str, forward: str, back: str) -> None:
    calendar = Calendar(parse_cron(text), BERLIN)
    for day, cell in zip(DAYS, (forward, back), strict=True):
        begin = to_instant(day) - 1
        end = to_instant((day + timedelta(days=1)).replace(fold=0)) - 1
        shown = [to_moment(slot, BERLIN) for slot in calendar.between(begin, end)]
        said = read_times(cell)
        slots = [(f"{one:%H:%M}", f"{one.isoformat()[-6:]}") for one in shown]
        first = slots.index(said[0])
        assert slots[first : first + len(said)] == said, cell
        if "once" in cell or text.split()[1] in ("2", "2,3"):
            assert len(slots) == len(said)


def test_the_guide_has_the_table() -> None:
    assert len(TABLE) == 6


@pytest.mark.parametrize(
    ("text", "zone", "after", "notes"),
    [
        ("30 2 * * *", "Europe/Berlin", "2027-03-27T12:00Z", ["clocks go forward: instead of 02:30:00", ""]),
        ("*/30 2 * * *", "Europe/Berlin", "2027-03-27T12:00Z", ["clocks go forward: instead of 02:00:00, 02:30:00"]),
        ("0 3 * * *", "Europe/Berlin", "2027-03-27T12:00Z", [""]),
        ("30 * * * *", "Europe/Berlin", "2027-03-28T00:00Z", ["", ""]),
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2027-10-30T12:00Z",
            ["clocks go back: the first pass, not again at the second", ""],
        ),
        (
            "30 * * * *",
            "Europe/Berlin",
            "2027-10-31T00:00Z",
            ["clocks go back: the first pass", "clocks go back: the second pass", ""],
        ),
        ("30 2 * * *", "UTC", "2027-03-27T12:00Z", ["", ""]),
    ],
)
def test_a_preview_says_what_a_shift_of_the_clocks_does(text: str, zone: str, after: str, notes: list[str]) -> None:
    calendar = Calendar(parse_cron(text), parse_zone(zone))
    found = list_occurrences(calendar, to_instant(datetime.fromisoformat(after)), len(notes))
    assert [one.note for one in found] == notes
    assert all(to_instant(one.local) == one.instant for one in found)


def test_equal_steps_have_no_notes() -> None:
    calendar = Calendar(parse_every("30m"), BERLIN)
    found = list_occurrences(calendar, to_instant(datetime.fromisoformat("2027-10-31T00:00Z")), 6)
    assert [one.note for one in found] == [""] * 6
