"""What an answer means, and when the next attempt is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmill_operator.policy.delivery import (
    JITTER,
    SHORT,
    STANDARD,
    Verdict,
    decide_wait,
    judge,
    list_delays,
    parse_retry_after,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (299, Verdict.DELIVERED),
        (301, Verdict.FAILED),
        (302, Verdict.FAILED),
        (304, Verdict.FAILED),
        (400, Verdict.FAILED),
        (401, Verdict.FAILED),
        (404, Verdict.FAILED),
        (410, Verdict.GONE),
        (429, Verdict.THROTTLED),
        (500, Verdict.FAILED),
        (503, Verdict.FAILED),
        (100, Verdict.FAILED),
    ],
)
def test_only_2xx_is_delivered_and_a_redirect_is_a_failure(status: int, verdict: Verdict) -> None:
    assert judge(status) is verdict


def test_the_standard_schedule_takes_75_hours_and_35_minutes_and_the_short_one_three_retries() -> None:
    assert (len(STANDARD), sum(STANDARD)) == (9, 75 * 3_600 + 35 * 60 + 5)
    assert len(SHORT) == 3


def test_an_explicit_schedule_grows_up_to_its_longest_wait() -> None:
    assert list_delays(5, initial_seconds=2, factor=3, longest_seconds=30) == [2, 6, 18, 30, 30]
    assert list_delays(0, initial_seconds=2, factor=3, longest_seconds=30) == []
    assert list_delays(100, initial_seconds=86_400, factor=100, longest_seconds=604_800)[-1] == 604_800


@given(st.integers(1, 9), st.floats(0, 1, exclude_max=True))
def test_waits_stay_near_the_schedule(attempt: int, draw: float) -> None:
    wait = decide_wait(STANDARD, attempt=attempt, draw=draw, retry_after_seconds=None)
    assert abs(wait - STANDARD[attempt - 1]) <= JITTER * STANDARD[attempt - 1] + 1e-6


def test_what_the_receiver_asks_for_is_never_undercut() -> None:
    assert decide_wait(STANDARD, attempt=1, draw=0.5, retry_after_seconds=120.0) == 120.0
    assert decide_wait(STANDARD, attempt=4, draw=0.5, retry_after_seconds=1.0) == STANDARD[3]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("999999999999999999999", 86_400.0),
        ("Sun, 01 Mar 2026 12:01:00 GMT", 60.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2099 11:00:00 GMT", 86_400.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_never_longer_than_a_day(text: str, seconds: float | None) -> None:
    assert parse_retry_after({"retry-after": text}, now=NOW) == seconds


def test_an_answer_that_asks_for_nothing_asks_for_nothing() -> None:
    assert parse_retry_after({}, now=NOW) is None
