"""Which hint a record has, for every state."""

from __future__ import annotations

import msgspec
import pytest

from factories import NOON, make_call, make_entry, make_payload_ref, make_record
from jetmill.protocol.codec import decode_record
from jetmill.protocol.hint import build_hint
from jetmill.protocol.state import FINAL, OPEN, State

DELAYED = (State.SCHEDULED, State.RETRYING)
CLAIMED = (State.RUNNING, State.CANCELLING)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_record_has_no_hint(state: State) -> None:
    assert build_hint(make_entry(state)) is None


@pytest.mark.parametrize("state", sorted(OPEN))
def test_an_open_record_has_the_hint_of_its_job(state: State) -> None:
    entry = make_entry(state, seq=12, band="low")
    hint = build_hint(entry)
    assert hint is not None
    assert (hint.id, hint.job, hint.band) == (entry.id, entry.record.job, "low")
    assert decode_record(hint.body) == entry.record


@pytest.mark.parametrize("state", sorted(OPEN))
def test_only_a_waiting_record_lends_its_sequence_for_a_claim_without_a_read(state: State) -> None:
    hint = build_hint(make_entry(state, seq=12))
    assert hint is not None
    assert hint.seq == (None if state in CLAIMED else 12)


@pytest.mark.parametrize("state", sorted(OPEN))
def test_only_what_waits_for_its_time_is_delayed_even_if_that_has_passed(state: State) -> None:
    hint = build_hint(make_entry(state, due=1 if state in DELAYED else None))
    assert hint is not None
    assert hint.due == (1 if state in DELAYED else None)


@pytest.mark.parametrize("state", sorted(OPEN))
def test_a_gated_job_lends_no_sequence_for_its_worker_asks_the_holder_first(state: State) -> None:
    hint = build_hint(make_entry(state, gate="abc123"))
    assert hint is not None
    assert hint.seq is None
    assert (hint.due is None) == (state not in DELAYED)


def test_the_encoded_record_is_taken_if_there_is_one() -> None:
    hint = build_hint(make_entry(State.QUEUED), body=b'{"v":1,"mine":true}')
    assert hint is not None
    assert hint.body == b'{"v":1,"mine":true}'


def test_payload_and_call_are_put_into_the_body_of_a_record_that_only_points_to_them() -> None:
    call = make_call()
    source = make_record(State.QUEUED, payload=msgspec.Raw(b'{"to":"ada"}'), call=call)
    hint = build_hint(make_entry(State.RETRYING, due=NOON, payload_seq=3), source=source)
    assert hint is not None
    body = decode_record(hint.body)
    assert (bytes(body.payload or b""), body.call, body.payload_seq) == (b'{"to":"ada"}', call, 3)
    assert (body.state, body.due) == (State.RETRYING, NOON)


def test_a_large_payload_is_put_into_the_body_as_a_reference() -> None:
    reference = make_payload_ref()
    hint = build_hint(make_entry(State.RETRYING, payload_seq=3), source=make_record(payload_ref=reference))
    assert hint is not None
    assert decode_record(hint.body).payload_ref == reference


def test_a_record_with_its_own_payload_takes_none_from_elsewhere() -> None:
    entry = make_entry(State.QUEUED, payload=msgspec.Raw(b"1"))
    hint = build_hint(entry, source=make_record(payload=msgspec.Raw(b"2")))
    assert hint is not None
    assert bytes(decode_record(hint.body).payload or b"") == b"1"
