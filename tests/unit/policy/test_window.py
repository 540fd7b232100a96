"""Windows: what the last seconds held."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmill_operator.policy.window import Arrivals, Peak

looks = st.lists(st.tuples(st.floats(0.1, 20), st.integers(0, 50)), min_size=1, max_size=40)


def watch(*looks: tuple[float, int], seconds: float = 60.0) -> Arrivals:
    arrivals = Arrivals()
    for time, total in looks:
        arrivals = arrivals.add(time, (total,), seconds=seconds)
    return arrivals


@given(looks=looks, seconds=st.floats(0, 100))
def test_a_peak_is_the_highest_of_its_window(looks: list[tuple[float, int]], seconds: float) -> None:
    peak, seen, time = Peak(), [], 0.0
    for step, value in looks:
        time += step
        seen.append((time, value))
        peak = peak.add(time, value, seconds=seconds)
        assert peak.value == max(value for then, value in seen if time - then < seconds or then == time)


@given(looks=looks)
def test_a_peak_keeps_no_more_points_than_there_are_values(looks: list[tuple[float, int]]) -> None:
    peak, time = Peak(), 0.0
    for step, value in looks:
        time += step
        peak = peak.add(time, value % 3, seconds=1e9)
    assert len(peak.points) <= 3


def test_an_empty_window_has_no_peak() -> None:
    with pytest.raises(ValueError, match="empty"):
        _ = Peak().value


@pytest.mark.parametrize(
    ("arrivals", "rate"),
    [
        (Arrivals(), 0.0),
        (watch((0, 100)), 0.0),  # what was there before the first look did not come now
        (watch((0, 100), (2, 120)), 10.0),
        (watch((0, 0), (50, 100), (60, 100), (62, 106)), 106 / 62),  # the look before the window's begin
        (watch((0, 0), (10, 500), (100, 500), (160, 500)), 0.0),
        (watch((0, 0), (0.001, 50)), 50.0),  # less than a second counts as one
        (watch((0, 0), (300, 600)), 2.0),  # nobody looked for five minutes
    ],
)
def test_a_rate_is_over_its_window(arrivals: Arrivals, rate: float) -> None:
    assert arrivals.rate(since=60.0) == pytest.approx(rate)


def test_a_short_window_sees_what_a_long_one_thins() -> None:
    arrivals = watch(*((float(time), 0 if time < 58 else 60) for time in range(0, 61, 2)))
    assert arrivals.rate(since=6.0) == 10.0
    assert arrivals.rate(since=60.0) == 1.0
    assert arrivals.rate(since=60.0, until=6.0) == 0.0


def test_a_counter_that_begins_anew_counts_nothing_for_that_look() -> None:
    arrivals = watch((0, 1000), (2, 1020), (4, 3), (6, 13))
    assert arrivals.points[-1] == (6, 30)


def test_of_two_counters_the_least_growth_is_believed() -> None:
    arrivals = Arrivals()
    for time, counters in ((0.0, (10, 100)), (2.0, (30, 105)), (4.0, (35, 205)), (6.0, (2, 206))):
        arrivals = arrivals.add(time, counters, seconds=60.0)
    assert [total for _, total in arrivals.points] == [0, 5, 10, 11]
    assert arrivals.latest == 1


def test_looks_in_quick_succession_do_not_make_a_window_long() -> None:
    arrivals = watch(*((time / 100, time) for time in range(1000)), seconds=2.0)
    assert len(arrivals.points) < 20
    assert arrivals.rate(since=2.0) == pytest.approx(100.0, rel=0.1)
