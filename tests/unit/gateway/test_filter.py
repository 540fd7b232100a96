"""From a query's texts to what is asked of the projection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmill.errors import InputError
from jetmill.protocol.state import OPEN, State
from jetmill_operator.gateway.projection import JobRow
from jetmill_operator.gateway.web import filter as filters
from jetmill_operator.gateway.web.filter import MAX_VALUES, micros_of, refusing_parameters, split
from jetmill_operator.gateway.web.problem import ProblemError
from jetmill_operator.gateway.web.row import FIELDS, build_row, narrow_row


def test_values_come_repeated_or_parted_by_commas_and_each_counts_once() -> None:
    assert split(["a,b", "c", "a", ",,"], "job") == ["a", "b", "c"]
    assert split(None, "job") == []


def test_more_values_than_anybody_means_are_refused() -> None:
    with pytest.raises(ProblemError, match="at most"):
        split([",".join(f"j{number}" for number in range(MAX_VALUES + 1))], "job")


def test_open_means_every_state_that_is_not_final() -> None:
    assert filters._states(["open", "failed"]) == OPEN | {State.FAILED}


@given(st.text(max_size=20))
def test_a_state_is_known_or_refused(text: str) -> None:
    try:
        found = filters._states([text])
    except ProblemError:
        found = set()
    assert found <= set(State)
    assert found or text not in State.__members__.values()


@given(st.lists(st.text(max_size=8), max_size=4))
def test_labels_are_pairs_or_refused(texts: list[str]) -> None:
    try:
        found = filters._labels(texts)
    except ProblemError:
        assert not all(text.partition("=")[0] and "=" in text for text in texts) or len(texts) > 1
        return
    assert {f"{key}={value}" for key, value in found.items()} == set(texts)


def test_a_moment_is_the_same_in_every_zone_and_nothing_without_one() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert micros_of(noon, "since") == micros_of(noon.astimezone(timezone(timedelta(hours=5))), "since")
    assert micros_of(None, "since") is None
    with pytest.raises(ProblemError, match="no time zone"):
        micros_of(noon.replace(tzinfo=None), "since")


def test_what_the_projection_refuses_is_a_parameters_fault() -> None:
    with pytest.raises(ProblemError) as caught, refusing_parameters():
        raise InputError("the step has to be whole minutes", field="step")
    assert (caught.value.slug, caught.value.faults[0].parameter) == ("invalid-parameter", "step")


def make_row() -> JobRow:
    return JobRow(
        id="a",
        namespace="shop",
        job="mail",
        state=State.QUEUED,
        reason=None,
        enqueueing=1,
        attempt=1,
        crashes=0,
        band="low",
        user=None,
        labels={},
        schedule=None,
        due=None,
        worker=None,
        created=1_000_000,
        updated=2_000_000,
        started=None,
        ended=None,
        error_type=None,
        error_message=None,
        seq=7,
    )


def test_a_row_has_its_times_in_utc_and_leaves_out_what_is_not_known() -> None:
    assert msgspec.json.decode(msgspec.json.encode(build_row(make_row()))) == {
        "id": "a",
        "namespace": "shop",
        "job": "mail",
        "state": "queued",
        "enqueueing": 1,
        "attempt": 1,
        "crashes": 0,
        "priority": "low",
        "created": "1970-01-01T00:00:01Z",
        "updated": "1970-01-01T00:00:02Z",
        "seq": 7,
    }


@given(st.sets(st.sampled_from(sorted(FIELDS))))
def test_a_narrowed_row_has_what_was_wanted_and_the_id(fields: set[str]) -> None:
    whole = msgspec.to_builtins(build_row(make_row()))
    narrow = msgspec.to_builtins(narrow_row(build_row(make_row()), frozenset(fields)))
    assert narrow == {name: value for name, value in whole.items() if name in fields | {"id"}}
