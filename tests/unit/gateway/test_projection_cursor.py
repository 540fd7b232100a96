"""Cursors: opaque, good for one list only, and never anything but BadCursorError."""

from __future__ import annotations

import base64
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmill.protocol.state import State
from jetmill_operator.gateway.projection.cursor import BadCursorError, build_cursor, parse_cursor
from jetmill_operator.gateway.projection.filter import JobFilter

ALL = JobFilter(namespace="shop")
FAILED = JobFilter(namespace="shop", state=frozenset({State.FAILED}))


@given(st.integers(1, 2**63 - 1))
def test_a_cursor_comes_back_as_it_was(seq: int) -> None:
    assert parse_cursor(build_cursor(ALL, "-created", seq), wanted=ALL, sort="-created") == seq


def test_a_cursor_does_not_depend_on_the_order_of_alternatives() -> None:
    one = JobFilter(namespace="shop", job=("a", "b"), state=frozenset({State.FAILED, State.QUEUED, State.RUNNING}))
    other = JobFilter(namespace="shop", job=("b", "a"), state=frozenset({State.RUNNING, State.QUEUED, State.FAILED}))
    assert parse_cursor(build_cursor(one, "updated", 7), wanted=other, sort="updated") == 7


@pytest.mark.parametrize(
    ("wanted", "sort"),
    [(FAILED, "-created"), (JobFilter(namespace="other"), "-created"), (ALL, "created"), (ALL, "-updated")],
)
def test_a_cursor_of_another_list_is_refused(wanted: JobFilter, sort) -> None:
    with pytest.raises(BadCursorError, match=r"belongs to"):
        parse_cursor(build_cursor(ALL, "-created", 7), wanted=wanted, sort=sort)


@given(st.text(max_size=200))
def test_no_text_is_anything_but_refused(text: str) -> None:
    with pytest.raises(BadCursorError):
        parse_cursor(text, wanted=ALL, sort="-created")


@given(st.binary(max_size=90))
def test_no_bytes_are_anything_but_refused(data: bytes) -> None:
    with pytest.raises(BadCursorError):
        parse_cursor(base64.urlsafe_b64encode(data).decode().rstrip("="), wanted=ALL, sort="-created")


@given(st.recursive(st.none() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(), st.lists, max_leaves=8))
def test_no_message_of_another_shape_is_anything_but_refused(value: object) -> None:
    with pytest.raises(BadCursorError):
        parse_cursor(base64.urlsafe_b64encode(msgspec.msgpack.encode(value)).decode(), wanted=ALL, sort="-created")


@given(st.integers(0, 1_000), st.characters())
def test_a_cursor_with_one_character_changed_is_refused_or_another_cursor(place: int, character: str) -> None:
    """It is not signed: who forges one reads the list from elsewhere, which anybody may."""
    text = build_cursor(ALL, "-created", 123_456)
    place %= len(text)
    changed = text[:place] + character + text[place + 1 :]
    with suppress(BadCursorError):
        assert 0 < parse_cursor(changed, wanted=ALL, sort="-created") < 2**63
