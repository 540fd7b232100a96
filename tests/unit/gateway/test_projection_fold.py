"""What records make of a row, and of the statistics."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import NOON, make_call, make_entry, make_error
from jetmill.protocol.record import Entry
from jetmill.protocol.state import Reason, State
from jetmill_operator.gateway.projection.fold import Row, apply_entry, begin_row, begins_anew, error_facet
from jetmill_operator.gateway.projection.histogram import Tally, bucket_of, find_percentile

SECOND = 1_000_000


def fold(*entries: Entry) -> tuple[Row, Tally]:
    row, tally = begin_row(entries[0], number=0), Tally(wait={}, run={})
    for entry in entries:
        apply_entry(row, entry, tally)
    return row, tally


def link(state: State, seconds: float = 0, **fields) -> Entry:
    fields = {"payload_seq": None if state in (State.QUEUED, State.SCHEDULED) else 1, **fields}
    return make_entry(state, id="j", time=NOON + round(seconds * SECOND), seq=1 + round(seconds), **fields)


def test_a_job_that_went_well() -> None:
    row, tally = fold(
        link(State.QUEUED, call=make_call()), link(State.RUNNING, 2), link(State.SUCCEEDED, 5, worker="worker-1")
    )
    assert (row.state, row.user, row.labels) == ("succeeded", "ada", '{"team":"shop"}')
    assert (row.created, row.started, row.ended) == (NOON, NOON + 2 * SECOND, NOON + 5 * SECOND)
    assert (row.updated, row.seq, row.born, row.worker) == (NOON + 5 * SECOND, 6, 1, "worker-1")
    assert (tally.enqueued, tally.started, tally.succeeded) == (1, 1, 1)
    assert tally.wait == {bucket_of(2 * SECOND): 1}
    assert tally.run == {bucket_of(3 * SECOND): 1}


def test_a_wait_counts_from_when_the_job_was_due() -> None:
    _, tally = fold(link(State.SCHEDULED, due=NOON + 60 * SECOND), link(State.RUNNING, 61))
    assert tally.wait == {bucket_of(SECOND): 1}


def test_every_attempt_counts_as_a_run_and_the_last_error_stays() -> None:
    row, tally = fold(
        link(State.QUEUED),
        link(State.RUNNING, 1),
        link(State.RETRYING, 2, due=NOON + 5 * SECOND, error=make_error(message="first")),
        link(State.RUNNING, 6, attempt=2),
        link(State.SUCCEEDED, 9, attempt=2),
    )
    assert (tally.retried, tally.started, tally.succeeded) == (1, 2, 1)
    assert tally.run == {bucket_of(SECOND): 1, bucket_of(3 * SECOND): 1}
    assert (row.error_message, row.attempt, row.due) == ("first", 2, None)


def test_a_takeover_is_a_run_that_ended_and_one_that_began_without_a_wait() -> None:
    _, tally = fold(link(State.QUEUED), link(State.RUNNING, 1), link(State.RUNNING, 5, crashes=1))
    assert (tally.started, sum(tally.wait.values())) == (2, 1)
    assert tally.run == {bucket_of(4 * SECOND): 1}


def test_a_cancellation_under_way_is_no_end() -> None:
    row, tally = fold(link(State.QUEUED), link(State.RUNNING, 1), link(State.CANCELLING, 2), link(State.CANCELLED, 4))
    assert tally.run == {bucket_of(3 * SECOND): 1}
    assert (tally.cancelled, row.ended) == (1, NOON + 4 * SECOND)


def test_another_enqueueing_begins_with_a_clean_row() -> None:
    row, tally = fold(
        link(State.QUEUED, call=make_call(user="ada")),
        link(State.RUNNING, 1),
        link(State.FAILED, 2, error=make_error()),
        link(State.QUEUED, 9, enqueueing=2, reason=Reason.REOPENED, call=make_call(user="bob")),
    )
    assert (row.user, row.error_type, row.started, row.ended, row.worker) == ("bob", None, None, None, None)
    assert (row.created, row.ready, tally.enqueued) == (NOON, NOON + 9 * SECOND, 2)


def test_only_the_first_record_of_a_chain_begins_another_job() -> None:
    row, _ = fold(link(State.QUEUED), link(State.RUNNING, 1), link(State.SUCCEEDED, 2))
    assert begins_anew(row, link(State.QUEUED, 5).record)
    assert not begins_anew(row, link(State.QUEUED, 5, enqueueing=2).record)
    assert not begins_anew(row, link(State.QUEUED, 5, payload_seq=1).record)  # interrupted
    withdrawn, _ = fold(link(State.SCHEDULED), link(State.CANCELLED, 1, reason=Reason.WITHDRAWN))
    assert not begins_anew(withdrawn, link(State.SCHEDULED, 2).record)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("order 17 has no items", "order 4_711 has no items"),
        ("no 550e8400-e29b-41d4-a716-446655440000", "no 123e4567-e89b-12d3-a456-426614174000"),
        ("at 0xdeadbeef", "at 0x1"),
        ("took 1.5 s\nand more", "took 20 s\nand less"),
        ("digest d41d8cd98f00b204e980 differs", "digest 0cc175b9c0f1b6a831c3 differs"),
    ],
)
def test_errors_that_differ_by_numbers_and_ids_alone_are_one_group(one: str, other: str) -> None:
    other = other.replace("_", "")
    assert error_facet("E", one) == error_facet("E", other)


def test_errors_of_another_type_or_text_are_another_group() -> None:
    assert len({error_facet("E", "no a"), error_facet("F", "no a"), error_facet("E", "no b")}) == 3


@given(st.lists(st.integers(1_000, 10**12), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_off_by_at_most_a_tenth(durations: list[int], share: float) -> None:
    counts: dict[int, int] = {}
    for duration in durations:
        counts[bucket_of(duration)] = counts.get(bucket_of(duration), 0) + 1
    exact = sorted(durations)[math.ceil(share * len(durations) - 1e-9) - 1] / 1e6
    found = find_percentile(counts, share)
    assert found is not None
    assert abs(found - exact) <= 0.1 * exact


def test_nothing_has_no_percentile() -> None:
    assert find_percentile({}, 0.5) is None
