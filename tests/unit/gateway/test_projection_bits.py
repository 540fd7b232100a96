"""Bitmaps and columns against sets and dictionaries."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from jetmill_operator.gateway.projection.bits import PIECE, Bits
from jetmill_operator.gateway.projection.column import BLOCK, Column

numbers = st.integers(0, 3 * PIECE) | st.integers(PIECE - 3, PIECE + 3)
sets = st.sets(numbers, max_size=60)


@given(sets, sets)
def test_bitmaps_are_sets(one: set[int], other: set[int]) -> None:
    left, right = Bits.of(one), Bits.of(other)
    assert list(left) == sorted(one)
    assert list(left & right) == sorted(one & other)
    assert list(left | right) == sorted(one | other)
    assert list(left - right) == sorted(one - other)
    assert len(left) == len(one)
    assert bool(left & right) == bool(one & other)
    assert all(number in left for number in one)
    assert left.first(5) == sorted(one)[:5]
    assert left.last(5) == sorted(one, reverse=True)[:5]


@given(sets, sets)
def test_what_is_added_and_removed_again_leaves_no_piece(one: set[int], other: set[int]) -> None:
    bits = Bits.of(one)
    bits.add(other)
    assert list(bits) == sorted(one | other)
    bits.remove(one | other)
    assert not bits.pieces


@given(numbers, numbers)
def test_a_range_is_what_lies_in_it(start: int, stop: int) -> None:
    assert list(Bits.between(start, stop)) == list(range(start, stop))


@given(
    st.dictionaries(st.integers(0, 4 * BLOCK), st.integers(1, 10_000), max_size=80),
    st.integers(1, 7),
    st.integers(1, 10_000),
    st.booleans(),
)
def test_a_column_picks_as_sorting_all_would(values: dict[int, int], limit: int, beyond: int, largest: bool) -> None:
    unique = {number: value * 10_000 + number for number, value in values.items()}
    column = Column()
    column.put(sorted(unique.items()))
    members = {number for number in unique if number % 2}
    mark = beyond * 10_000
    wanted = sorted(
        (n for n in members if (unique[n] < mark if largest else unique[n] > mark)),
        key=unique.__getitem__,
        reverse=largest,
    )
    assert column.pick(Bits.of(members), limit, beyond=mark, largest=largest) == wanted[:limit]


@given(st.integers(0, 1_000), st.integers(1, 60), st.booleans(), st.booleans())
def test_a_column_picks_among_many_as_sorting_all_would(seed: int, limit: int, largest: bool, ordered: bool) -> None:
    """Among few it looks at each by itself, among many into the blocks that may hold the extreme ones."""
    chance = random.Random(seed)
    numbers = sorted(chance.sample(range(4 * BLOCK), 1_200))
    values = list(range(1, len(numbers) + 1))
    if not ordered:
        chance.shuffle(values)
    column = Column()
    column.put(zip(numbers, values, strict=True))
    members = [pair for pair in zip(numbers, values, strict=True) if pair[0] % 3]
    wanted = [number for number, _ in sorted(members, key=lambda pair: pair[1], reverse=largest)]
    picked = column.pick(Bits.of(number for number, _ in members), limit, beyond=None, largest=largest)
    assert picked == wanted[:limit]


@given(st.integers(0, PIECE), st.integers(1, 40), st.integers(0, 2 * PIECE))
def test_members_are_listed_whether_they_are_few_or_many(start: int, step: int, stop: int) -> None:
    members = range(start, stop, step)
    assert list(Bits.of(members)) == list(members)


@given(
    st.dictionaries(st.integers(PIECE, PIECE + 3 * BLOCK), st.integers(1, 100), max_size=60),
    st.none() | st.integers(1, 100),
    st.none() | st.integers(1, 100),
)
def test_a_column_finds_a_range_of_values(values: dict[int, int], start: int | None, stop: int | None) -> None:
    column = Column()
    column.put(sorted(values.items()))
    fits = {n for n, value in values.items() if (start or 1) <= value and (stop is None or value < stop)}
    assert set(column.between(start, stop)) & values.keys() == fits
    column.drop_before(PIECE + 1)
    assert set(column.between(start, stop)) & values.keys() == fits


def test_what_lies_before_the_oldest_job_is_let_go() -> None:
    column = Column()
    column.put((number, number + 1) for number in range(0, 3 * PIECE, 64))
    column.drop_before(2 * PIECE + 64)
    assert column.get(2 * PIECE + 64) == 2 * PIECE + 65
    assert column.pick(Bits.of([2 * PIECE + 64]), 1, beyond=None, largest=False) == [2 * PIECE + 64]
