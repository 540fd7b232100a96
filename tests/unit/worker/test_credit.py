"""Whose turn it is, and how much to ask for."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmill.worker.credit import MAX_CREDIT, START, WEIGHTS, Demand, decide_band, decide_budget, decide_wants


def choose(count: int, ready: tuple[bool, bool, bool]) -> list[int]:
    turns, chosen = START, []
    for _ in range(count):
        band, turns = decide_band(turns, ready)
        chosen.append(band)
    return chosen


def test_ten_choices_among_full_bands_are_six_three_one_and_spread() -> None:
    chosen = choose(10, (True, True, True))
    assert Counter(chosen) == {0: 6, 1: 3, 2: 1}
    assert max(len(run) for run in "".join(map(str, chosen)).replace("1", " ").replace("2", " ").split()) <= 2


@pytest.mark.parametrize(
    ("ready", "shares"),
    [
        ((True, True, True), {0: 600, 1: 300, 2: 100}),
        ((True, False, True), {0: 857, 2: 143}),
        ((False, True, True), {1: 750, 2: 250}),
        ((False, False, True), {2: 1000}),
        ((False, False, False), {-1: 1000}),
    ],
)
def test_a_band_that_has_nothing_leaves_its_part_to_the_others(
    ready: tuple[bool, bool, bool], shares: dict[int, int]
) -> None:
    counts = Counter(choose(1000, ready))
    assert counts.keys() == shares.keys()
    assert all(abs(counts[band] - share) <= 1 for band, share in shares.items())


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=200))
def test_no_band_that_stays_ready_ever_waits_longer_than_its_weight_allows(others: list[tuple[bool, bool]]) -> None:
    """Low is always ready, the others come and go as they like: low gets its turn within two rounds."""
    turns, waited = START, 0
    for high, normal in others:
        band, turns = decide_band(turns, (high, normal, True))
        assert (high, normal, True)[band]
        waited = 0 if band == 2 else waited + 1
        assert waited < 2 * sum(WEIGHTS)


@pytest.mark.parametrize(
    ("free", "rate", "budget"),
    [(50, 0.0, 50), (0, 0.0, 0), (0, 5_000.0, 500), (50, 1.0, 51), (50, 90_000.0, MAX_CREDIT)],
)
def test_the_budget_is_what_can_start_and_what_will_end_in_the_next_100_ms(free: int, rate: float, budget: int) -> None:
    assert decide_budget(free, rate) == budget


@pytest.mark.parametrize(
    ("budget", "demands", "wants"),
    [
        (0, [Demand(6, 0, 0, flowing=False)], [1]),
        (0, [Demand(6, 0, 1, flowing=False)], [0]),
        (0, [Demand(6, 1, 0, flowing=False)], [0]),
        (
            50,
            [Demand(6, 0, 0, flowing=False), Demand(3, 0, 0, flowing=True), Demand(1, 0, 0, flowing=False)],
            [1, 50, 1],
        ),
        (
            100,
            [Demand(6, 0, 0, flowing=True), Demand(3, 0, 0, flowing=True), Demand(1, 0, 0, flowing=True)],
            [60, 30, 10],
        ),
        (100, [Demand(3, 0, 60, flowing=True)], [0]),
        (100, [Demand(3, 30, 10, flowing=True)], [60]),
        (100, [Demand(3, 0, 0, flowing=True, paused=True)], [0]),
    ],
)
def test_sources_that_flow_share_the_budget_and_every_source_may_have_one(
    budget: int, demands: list[Demand], wants: list[int]
) -> None:
    assert decide_wants(budget, demands) == wants
