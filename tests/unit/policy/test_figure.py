"""The numbers of a decision, as a person reads them."""

from __future__ import annotations

from typing import Any

import pytest

from jetmill_operator.policy.figure import Figures, format_rate, format_seconds

ALL: dict[str, Any] = {
    "known": True,
    "pending": 480,
    "arrivals_per_second": 16.0,
    "service_seconds": 2.0,
    "target_drain_seconds": 30.0,
}


@pytest.mark.parametrize(
    ("figures", "sentence"),
    [
        (Figures(12, 20, 20, **ALL), "12 → 20: 480 waiting, 16/s arriving, 2.0 s a job, drain in 30 s"),
        (Figures(20, 20, 20, **ALL), "20: 480 waiting, 16/s arriving, 2.0 s a job, drain in 30 s"),
        (
            Figures(12, 15, 20, **ALL, unschedulable=2),
            "12 → 15: 480 waiting, 16/s arriving, 2.0 s a job, drain in 30 s, 20 needed, no room for 2",
        ),
        (
            Figures(3, 2, 1, known=True, in_flight=5, arrivals_per_second=0.05),
            "3 → 2: 0 waiting, 5 in hand, 3.0/min arriving, 1.0 s a job (assumed), drain in 30 s",
        ),
        (
            Figures(0, 2, 0, known=True, least=2),
            "0 → 2: 0 waiting, 0/s arriving, 1.0 s a job (assumed), drain in 30 s, minReplicas is 2",
        ),
        (Figures(7, 7, 7), "7: the queue could not be read"),
    ],
)
def test_a_decision_is_one_sentence(figures: Figures, sentence: str) -> None:
    assert str(figures) == sentence


@pytest.mark.parametrize(
    ("per_second", "text"),
    [
        (0, "0/s"),
        (0.001, "0.1/min"),
        (0.05, "3.0/min"),
        (0.5, "30/min"),
        (0.96, "1.0/s"),
        (9.44, "9.4/s"),
        (16, "16/s"),
    ],
)
def test_a_rate_has_two_digits_that_matter(per_second: float, text: str) -> None:
    assert format_rate(per_second) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0004, "0.4 ms"), (0.0123, "12 ms"), (0.25, "250 ms"), (0.9999, "1.0 s"), (2.04, "2.0 s"), (600.0, "600 s")],
)
def test_a_time_has_two_digits_that_matter(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
