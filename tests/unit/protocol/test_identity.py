"""Ids: valid, sortable by time, the same for the same key."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from jetmill.protocol.identity import id_from_key, make_id
from jetmill.protocol.name import parse_job_id

times = st.integers(0, 2**48 - 1)
bits = st.integers(0, 2**74 - 1)


@given(time_ms=times, random_bits=bits)
def test_an_id_is_a_uuid_of_version_7_that_holds_its_time(time_ms: int, random_bits: int) -> None:
    made = uuid.UUID(make_id(time_ms, random_bits))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == time_ms


@given(time_ms=times, random_bits=bits)
def test_an_id_can_be_a_subject_token(time_ms: int, random_bits: int) -> None:
    made = make_id(time_ms, random_bits)
    assert parse_job_id(made) == made


@given(first=times, second=times, random_bits=st.tuples(bits, bits))
def test_ids_sort_by_the_time_of_their_making(first: int, second: int, random_bits: tuple[int, int]) -> None:
    if first != second:
        assert (make_id(first, random_bits[0]) < make_id(second, random_bits[1])) == (first < second)


@given(time_ms=times, one=bits, other=bits)
def test_every_random_bit_counts(time_ms: int, one: int, other: int) -> None:
    assert (make_id(time_ms, one) == make_id(time_ms, other)) == (one == other)


@given(parts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_a_key_of_any_text_makes_an_id(parts: list[str]) -> None:
    made = id_from_key(*parts)
    assert made == id_from_key(*parts)
    assert uuid.UUID(made).version == 5
    assert parse_job_id(made) == made


def test_the_parts_of_a_key_are_kept_apart() -> None:
    keys = [("a", "bc"), ("ab", "c"), ("abc",), ("a", "b", "c"), ("", "abc"), ("abc", ""), ("1:a", "bc")]
    assert len({id_from_key(*key) for key in keys}) == len(keys)


def test_the_id_of_a_key_never_changes() -> None:
    """It is in ledgers by now."""
    assert id_from_key("order", "42") == "8c67210b-3b5b-5b00-94c5-1bb3a46d9698"
