"""Step builders produce the diagram's arrows and nothing else, and carry over what the next step needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import NOON, make_call, make_entry, make_error
from jetmill.errors import JobStateError
from jetmill.protocol.codec import decode_record, encode
from jetmill.protocol.outcome import Cancelled, Failed, Interrupted, Outcome, Retry, Succeeded
from jetmill.protocol.record import Entry, Record
from jetmill.protocol.state import ALLOWED, CLAIMED, FINAL, OPEN, WAITING, Reason, State
from jetmill.protocol.step import (
    build_cancel,
    build_claim,
    build_conclusion,
    build_discard,
    build_outcome,
    build_poison,
    build_reopen,
    build_reschedule,
    build_skip,
    payload_seq,
)

LATER = NOON + 1_000_000
OUTCOMES: list[Outcome] = [
    Succeeded(b"42"),
    Retry(delay_seconds=2.5, error=make_error()),
    Failed(Reason.EXHAUSTED, make_error()),
    Cancelled(),
    Interrupted(),
]


def finish(outcome: Outcome) -> Callable[[Entry], Record]:
    return lambda entry: build_outcome(entry, outcome, time=LATER, worker="worker-2")


def claim(entry: Entry) -> Record:
    return build_claim(entry, lease="lease-2", worker="worker-2", time=LATER, max_retries=3)


BUILDERS: dict[str, Callable[[Entry], Record]] = {
    "claim": claim,
    **{f"finish {type(outcome).__name__}": finish(outcome) for outcome in OUTCOMES},
    "cancel": lambda entry: build_cancel(entry, time=LATER, by="ada"),
    "skip": lambda entry: build_skip(entry, Reason.OVERLAP, time=LATER, worker="worker-2"),
    "poison": lambda entry: build_poison(entry, time=LATER, worker="worker-2"),
    "conclude": lambda entry: build_conclusion(entry, time=LATER, worker="worker-2"),
    "reschedule": lambda entry: build_reschedule(entry, due=LATER + 1, time=LATER, by="ada"),
    "reopen": lambda entry: build_reopen(entry, time=LATER, by="ada"),
    "discard": lambda entry: build_discard(entry, time=LATER, by="ada"),
}

entries = st.builds(
    make_entry,
    st.sampled_from(State),
    seq=st.integers(1, 10**9),
    enqueueing=st.integers(1, 5),
    attempt=st.integers(1, 10),
    crashes=st.integers(0, 3),
    band=st.sampled_from(["high", "normal", "low"]),
    gate=st.none() | st.just("abc123"),
    schedule=st.none() | st.just("uid-1"),
    generation=st.none() | st.integers(1, 9),
    payload_seq=st.none() | st.integers(1, 10**9),
    payload=st.none() | st.just(msgspec.Raw(b'{"a":1}')),
    reason=st.none() | st.sampled_from(Reason),
)


def follow_up(entry: Entry, builder: str) -> Record | None:
    try:
        return BUILDERS[builder](entry)
    except JobStateError:
        return None


@given(entry=entries, builder=st.sampled_from(sorted(BUILDERS)))
def test_a_builder_makes_an_arrow_of_the_diagram_or_refuses(entry: Entry, builder: str) -> None:
    record = follow_up(entry, builder)
    if record is not None:
        assert record.state in ALLOWED[entry.record.state]


@given(entry=entries, builder=st.sampled_from(sorted(BUILDERS)))
def test_what_the_next_step_needs_is_carried_over(entry: Entry, builder: str) -> None:
    record = follow_up(entry, builder)
    if record is None:
        return
    last = entry.record
    assert (record.job, record.band, record.gate) == (last.job, last.band, last.gate)
    assert (record.schedule, record.generation) == (last.schedule, last.generation)
    assert record.payload_seq == (last.payload_seq or entry.seq)
    assert (record.payload, record.call) == (None, None)
    assert record.time == LATER
    assert record.by in ("ada", "worker:worker-2")
    assert decode_record(encode(record)) == record


@given(entry=entries, builder=st.sampled_from(sorted(BUILDERS)))
def test_lease_and_due_stand_only_where_they_mean_something(entry: Entry, builder: str) -> None:
    record = follow_up(entry, builder)
    if record is not None:
        assert (record.lease is not None) == (record.state in CLAIMED)
        assert (record.due is not None) == (record.state in (State.SCHEDULED, State.RETRYING))


@given(entry=entries, builder=st.sampled_from(sorted(BUILDERS)))
def test_attempts_and_crashes_are_counted_at_a_claim_and_begin_anew_only_with_an_enqueueing(
    entry: Entry, builder: str
) -> None:
    record = follow_up(entry, builder)
    if record is None:
        return
    last = entry.record
    if builder == "reopen":
        assert (record.enqueueing, record.attempt, record.crashes) == (last.enqueueing + 1, 1, 0)
        return
    claimed = builder == "claim"
    assert record.enqueueing == last.enqueueing
    assert record.attempt - last.attempt == (1 if claimed and last.state is State.RETRYING else 0)
    assert record.crashes - last.crashes == (1 if claimed and last.state is State.RUNNING else 0)


def arrows() -> Iterator[tuple[State, str, State]]:
    """The diagram, arrow by arrow."""
    for waiting in (State.QUEUED, State.SCHEDULED, State.RETRYING):
        yield waiting, "claim", State.RUNNING
        yield waiting, "cancel", State.CANCELLED
    yield State.RUNNING, "claim", State.RUNNING
    yield State.RUNNING, "cancel", State.CANCELLING
    yield State.RUNNING, "poison", State.FAILED
    yield State.RUNNING, "finish Succeeded", State.SUCCEEDED
    yield State.RUNNING, "finish Retry", State.RETRYING
    yield State.RUNNING, "finish Failed", State.FAILED
    yield State.RUNNING, "finish Interrupted", State.QUEUED
    yield State.CANCELLING, "finish Succeeded", State.SUCCEEDED
    for outcome in ("Retry", "Failed", "Cancelled", "Interrupted"):
        yield State.CANCELLING, f"finish {outcome}", State.CANCELLED
    yield State.CANCELLING, "conclude", State.CANCELLED
    yield State.QUEUED, "skip", State.SKIPPED
    yield State.SCHEDULED, "skip", State.SKIPPED
    yield State.SCHEDULED, "reschedule", State.SCHEDULED
    for final in (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.SKIPPED):
        yield final, "reopen", State.QUEUED
    yield State.FAILED, "discard", State.DISCARDED


@pytest.mark.parametrize(("state", "builder", "expected"), list(arrows()), ids=str)
def test_an_arrow_of_the_diagram_can_be_built(state: State, builder: str, expected: State) -> None:
    assert BUILDERS[builder](make_entry(state)).state is expected


@pytest.mark.parametrize("builder", sorted(BUILDERS))
def test_nothing_follows_discarded(builder: str) -> None:
    with pytest.raises(JobStateError, match="discarded"):
        BUILDERS[builder](make_entry(State.DISCARDED))


@pytest.mark.parametrize("builder", ["claim", "cancel", "skip", "poison", *(b for b in BUILDERS if "finish" in b)])
def test_a_final_record_is_left_only_by_a_person(builder: str) -> None:
    assert [state for state in FINAL if follow_up(make_entry(state), builder) is not None] == []


@pytest.mark.parametrize("builder", [builder for builder in BUILDERS if "finish" in builder])
def test_only_a_claimed_job_has_an_outcome(builder: str) -> None:
    assert [state for state in set(State) - CLAIMED if follow_up(make_entry(state), builder) is not None] == []


def test_a_cancelled_job_gets_a_new_time_only_if_its_slot_was_withdrawn() -> None:
    with pytest.raises(JobStateError):
        BUILDERS["reschedule"](make_entry(State.CANCELLED))
    assert BUILDERS["reschedule"](make_entry(State.CANCELLED, reason=Reason.WITHDRAWN)).state is State.SCHEDULED


@pytest.mark.parametrize("state", [State.RETRYING, State.RUNNING, State.CANCELLING])
def test_a_job_that_has_begun_is_not_skipped(state: State) -> None:
    with pytest.raises(JobStateError):
        BUILDERS["skip"](make_entry(state))


def test_the_states_are_parted_into_waiting_claimed_and_final() -> None:
    assert set(State) == WAITING | CLAIMED | FINAL
    assert len(WAITING) + len(CLAIMED) + len(FINAL) == len(State)
    assert OPEN == WAITING | CLAIMED
    assert set(ALLOWED) == {None, *State}


@pytest.mark.parametrize("state", State)
def test_a_record_knows_which_part_it_belongs_to(state: State) -> None:
    record = make_entry(state).record
    assert (record.waiting, record.claimed, record.final) == (state in WAITING, state in CLAIMED, state in FINAL)
    assert record.open is not record.final


def test_a_claim_names_its_lease_its_worker_and_the_limit_in_force() -> None:
    record = claim(make_entry(State.QUEUED, attempt=1))
    assert (record.lease, record.worker, record.max_retries, record.by) == ("lease-2", "worker-2", 3, "worker:worker-2")
    assert record.reason is None


def test_a_takeover_says_so() -> None:
    record = claim(make_entry(State.RUNNING, lease="lease-1", worker="worker-1", crashes=1))
    assert (record.reason, record.lease, record.worker, record.crashes) == (Reason.TAKEN_OVER, "lease-2", "worker-2", 2)


def test_cancelling_keeps_the_owners_lease() -> None:
    record = BUILDERS["cancel"](make_entry(State.RUNNING, lease="lease-1", worker="worker-1", max_retries=4))
    assert (record.lease, record.worker, record.max_retries, record.by) == ("lease-1", "worker-1", 4, "ada")


def test_a_retry_is_due_after_its_delay() -> None:
    error = make_error()
    record = finish(Retry(delay_seconds=2.5, error=error, reason=Reason.TIMEOUT))(make_entry(State.RUNNING))
    assert (record.due, record.error, record.reason) == (LATER + 2_500_000, error, Reason.TIMEOUT)


def test_a_success_holds_its_result() -> None:
    assert bytes(finish(Succeeded(b"42"))(make_entry(State.RUNNING)).result or b"") == b"42"
    assert finish(Succeeded())(make_entry(State.RUNNING)).result is None


def test_a_success_counts_although_the_job_is_being_cancelled() -> None:
    record = finish(Succeeded(b"42"))(make_entry(State.CANCELLING))
    assert (record.state, bytes(record.result or b"")) == (State.SUCCEEDED, b"42")


def test_an_interrupted_job_goes_back_at_no_attempt() -> None:
    record = finish(Interrupted())(make_entry(State.RUNNING, attempt=2))
    assert (record.state, record.reason, record.attempt) == (State.QUEUED, Reason.INTERRUPTED, 2)
    assert claim(Entry(id="x", seq=9, time=LATER, record=record)).attempt == 2


def test_poison_says_how_many_workers_died() -> None:
    record = BUILDERS["poison"](make_entry(State.RUNNING, crashes=3))
    assert (record.reason, record.crashes) == (Reason.POISON, 3)
    assert record.error is not None
    assert record.error.message.startswith("4 workers")


def test_a_discarded_job_keeps_why_it_failed() -> None:
    error = make_error()
    record = BUILDERS["discard"](make_entry(State.FAILED, reason=Reason.EXHAUSTED, error=error))
    assert (record.reason, record.error) == (Reason.EXHAUSTED, error)


def test_payload_and_call_are_pointed_to_along_the_whole_chain() -> None:
    entry = make_entry(State.QUEUED, seq=5, payload=msgspec.Raw(b"{}"), call=make_call())
    assert payload_seq(entry) == 5
    chain: list[Any] = ["claim", "finish Retry", "claim", "finish Failed", "reopen", "claim", "finish Succeeded"]
    for number, builder in enumerate(chain, start=6):
        entry = Entry(id=entry.id, seq=number, time=LATER, record=BUILDERS[builder](entry))
        assert payload_seq(entry) == 5
    assert entry.record.state is State.SUCCEEDED
    assert entry.record.enqueueing == 2
