"""Which slots are chosen: far enough ahead, and what becomes of those that were missed."""

from __future__ import annotations

from datetime import datetime

import pytest

from factories import make_plan
from jetmill.protocol.plan import Slot, Span
from jetmill_operator.calendar.expression import parse_cron
from jetmill_operator.calendar.slot import LAST, SECOND, Calendar, parse_every
from jetmill_operator.calendar.zone import parse_zone, to_instant, to_moment
from jetmill_operator.policy.planning import (
    LEAST_AHEAD,
    LEAST_SLOTS,
    MOST_AHEAD,
    MOST_COUNTED,
    Rules,
    choose_slots,
    decide_look,
    is_enough,
)

UTC = parse_zone("UTC")
NOON = to_instant(datetime.fromisoformat("2026-03-02T12:00:00Z"))
MINUTE = 60 * SECOND


def every(text: str, *, end: int | None = None) -> Calendar:
    return Calendar(parse_every(text), UTC, None, end)


def times(slots: list[Slot]) -> list[str]:
    return [f"{to_moment(slot.time):%H:%M}" for slot in slots]


@pytest.mark.parametrize(
    ("step", "last", "count"),
    [("1s", "12:20", 1_200), ("1m", "12:20", 20), ("10m", "12:40", 4), ("1h", "16:00", 4), ("1d", "00:00", 4)],
)
def test_enough_is_planned_ahead_at_first(step: str, last: str, count: int) -> None:
    chosen = choose_slots(every(step), Rules("uid"), Span(NOON, NOON))
    assert len(chosen.slots) == count
    assert times(chosen.slots)[-1] == last
    assert chosen.until >= max(chosen.slots[-1].time, NOON + MOST_AHEAD)
    assert chosen.missed == []


def test_nothing_is_chosen_while_enough_is_planned() -> None:
    span = Span(NOON + 16 * MINUTE, NOON, ahead=16)
    chosen = choose_slots(every("1m"), Rules("uid"), span)
    assert (chosen.slots, chosen.until) == ([], NOON + 16 * MINUTE)
    more = choose_slots(every("1m"), Rules("uid"), Span(NOON + 14 * MINUTE, NOON, ahead=14))
    assert times(more.slots) == ["12:15", "12:16", "12:17", "12:18", "12:19", "12:20"]


def test_a_calendar_that_ends_is_looked_at_no_more() -> None:
    chosen = choose_slots(every("10m", end=NOON + 25 * MINUTE), Rules("uid"), Span(NOON, NOON))
    assert (times(chosen.slots), chosen.until) == (["12:10", "12:20"], LAST)
    plan = make_plan(slots=chosen.slots, until=chosen.until)
    assert decide_look(plan, NOON) is None
    assert is_enough(0, LAST, NOON)


@pytest.mark.parametrize(
    ("policy", "most", "kept", "missed"),
    [
        ("None", 10, [], ["11:10", "11:20", "11:30", "11:40", "11:50"]),
        ("Last", 10, ["11:50"], ["11:10", "11:20", "11:30", "11:40"]),
        ("All", 3, ["11:30", "11:40", "11:50"], ["11:10", "11:20"]),
        ("All", 10, ["11:10", "11:20", "11:30", "11:40", "11:50"], []),
    ],
)
def test_what_was_missed_is_made_up_for_by_policy(policy, most, kept, missed) -> None:
    """It is 11:55, and the calendar was looked at up to 11:00."""
    now = NOON - 5 * MINUTE
    chosen = choose_slots(every("10m"), Rules("uid", catch_up=policy, most=most), Span(NOON - 60 * MINUTE, now))
    late = [slot for slot in chosen.slots if slot.time <= now]
    assert times(late) == kept
    assert [f"{to_moment(time):%H:%M}" for time in chosen.missed] == missed
    assert chosen.until > now


def test_what_is_a_little_late_is_no_miss() -> None:
    """A schedule that was just created plans its first seconds, whatever the policy says."""
    chosen = choose_slots(every("10s"), Rules("uid", catch_up="None"), Span(NOON, NOON + 25 * SECOND))
    assert chosen.slots[0].time == NOON + 10 * SECOND
    assert chosen.missed == []


def test_what_may_not_be_started_any_more_is_missed() -> None:
    rules = Rules("uid", catch_up="All", deadline_seconds=900)
    chosen = choose_slots(every("10m"), rules, Span(NOON - 60 * MINUTE, NOON - MINUTE))
    assert times([slot for slot in chosen.slots if slot.time < NOON]) == ["11:50"]
    assert len(chosen.missed) == 4


@pytest.mark.parametrize("calendar", [every("1s"), Calendar(parse_cron("* * * * * *"), UTC)])
def test_an_outage_of_a_year_costs_no_more_than_one_of_some_hours(calendar: Calendar) -> None:
    """The newest are found all the same; of the others so many are counted."""
    span = Span(NOON - 366 * 86_400 * SECOND, NOON)
    chosen = choose_slots(calendar, Rules("uid", catch_up="All", most=5), span)
    assert len(chosen.missed) >= MOST_COUNTED
    late = [slot.time for slot in chosen.slots if slot.time <= NOON]
    assert late == [NOON - second * SECOND for second in range(len(late) - 1, -1, -1)]
    assert len(late) == 5 + 30


def test_a_slot_whose_jitter_is_not_over_survives_an_edit_that_keeps_its_time() -> None:
    named = (Slot(NOON - MINUTE, NOON + MINUTE), Slot(NOON - 90 * SECOND, NOON + MINUTE))
    chosen = choose_slots(every("1m"), Rules("uid"), Span(NOON, NOON, named=named))
    assert chosen.slots[0] == Slot(NOON - MINUTE, NOON + 1), "it is in the new calendar: due at once, by the new jitter"
    assert chosen.slots[1].time == NOON + MINUTE, "the other is not"


def test_the_next_look_is_when_less_than_enough_is_ahead() -> None:
    slots = [NOON + minute * MINUTE for minute in range(1, 21)]
    plan = make_plan(slots=slots, until=slots[-1])
    assert decide_look(plan, NOON) == slots[-1] - LEAST_AHEAD
    sparse = [NOON + hour * 60 * MINUTE for hour in range(1, 5)]
    assert decide_look(make_plan(slots=sparse, until=sparse[-1]), NOON) == sparse[-LEAST_SLOTS]
    assert decide_look(make_plan(slots=[], until=NOON), NOON) == NOON
