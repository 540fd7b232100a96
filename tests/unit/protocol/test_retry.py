"""The wait before the next attempt stays within its bounds, whatever the numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmill.protocol.retry import RetryPolicy

seconds = st.floats(0, 1e9)
policies = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, 100),
    initial_delay_seconds=seconds,
    factor=st.floats(0, 1e300),
    max_delay_seconds=seconds,
    jitter=st.booleans(),
)
draws = st.floats(0, 1, exclude_max=True)
attempts = st.integers(1, 10**9)


@given(policy=policies, attempt=attempts, draw=draws)
def test_a_delay_is_finite_and_between_zero_and_the_maximum(policy: RetryPolicy, attempt: int, draw: float) -> None:
    delay = policy.delay_seconds(attempt, draw)
    assert math.isfinite(delay)
    assert 0 <= delay <= policy.max_delay_seconds


@given(policy=policies, draw=draws)
def test_the_first_delay_is_at_most_the_initial_one(policy: RetryPolicy, draw: float) -> None:
    assert policy.delay_seconds(1, draw) <= policy.initial_delay_seconds


@given(policy=policies, attempt=st.integers(1, 1000), draw=draws)
def test_delays_never_shrink_from_one_attempt_to_the_next(policy: RetryPolicy, attempt: int, draw: float) -> None:
    earlier, later = policy.delay_seconds(attempt, draw), policy.delay_seconds(attempt + 1, draw)
    assert earlier <= later or math.isclose(earlier, later)


@pytest.mark.field(
    "Job.spec.retry.initialDelaySeconds",
    "Job.spec.retry.factor",
    "Job.spec.retry.maxDelaySeconds",
    "Job.spec.retry.jitter",
)
def test_without_jitter_the_delays_are_exponential_up_to_the_maximum() -> None:
    policy = RetryPolicy(initial_delay_seconds=2, factor=3, max_delay_seconds=50, jitter=False)
    delays = [policy.delay_seconds(attempt, 0.5) for attempt in range(1, 6)]
    assert delays == pytest.approx([2, 6, 18, 50, 50])


def test_with_jitter_a_delay_is_the_drawn_part_of_the_whole() -> None:
    policy = RetryPolicy(initial_delay_seconds=2, factor=3, max_delay_seconds=50)
    assert [policy.delay_seconds(2, draw) for draw in (0.0, 0.25, 0.5)] == pytest.approx([0, 1.5, 3])


def test_no_initial_delay_means_no_delay_ever() -> None:
    policy = RetryPolicy(initial_delay_seconds=0, factor=1e300, jitter=False)
    assert [policy.delay_seconds(attempt, 0.9) for attempt in (1, 2, 1000)] == [0, 0, 0]


@given(policy=policies)
def test_there_are_as_many_attempts_as_retries_and_one(policy: RetryPolicy) -> None:
    attempt = 1
    while policy.allows(attempt):
        attempt += 1
    assert attempt == policy.max_retries + 1
