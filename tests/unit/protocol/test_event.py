"""CloudEvents: what is written is read again, what is none is refused with its reason, patterns mean what they say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import NOON, make_call, make_entry, make_error, make_job_id, make_plan
from jetmill.errors import CodecError, InvalidNameError, InvalidPayloadError, PayloadTooLargeError
from jetmill.protocol.event import MAX_EVENT_BYTES, Event, EventPattern, decode_event, encode_event, parse_pattern
from jetmill.protocol.plan import Slot
from jetmill.protocol.record import Entry
from jetmill.protocol.slot import Write, decide_slot
from jetmill.protocol.state import Reason, State
from jetmill.protocol.step import build_withdrawal
from jetmill.protocol.transition import build_transition_event, is_published

TIME = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)


def make_event(**fields: Any) -> Event:
    values: dict[str, Any] = {"id": "e1", "type": "order.placed", "source": "/shop", "time": TIME, "data": {"n": 1}}
    return Event(**{**values, **fields})


def make_document(**fields: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "e1", "type": "order.placed", "source": "/shop", **fields}


def test_an_event_is_written_as_cloudevents_want_it() -> None:
    event = make_event(subject="7", user="ada", extensions={"traceparent": "00-1-2-01"})
    assert msgspec.json.decode(encode_event(event)) == {
        "specversion": "1.0",
        "id": "e1",
        "type": "order.placed",
        "source": "/shop",
        "subject": "7",
        "time": "2026-11-26T09:30:00Z",
        "datacontenttype": "application/json",
        "user": "ada",
        "traceparent": "00-1-2-01",
        "data": {"n": 1},
    }


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    data=JSON,
    subject=st.none() | st.text(st.characters(categories=("L", "N")), min_size=1, max_size=20),
    extensions=st.dictionaries(st.from_regex(r"x[a-z0-9]{1,18}", fullmatch=True), st.booleans() | st.integers(0, 9)),
)
def test_what_is_written_is_read_again(data: Any, subject: str | None, extensions: dict[str, Any]) -> None:
    event = make_event(data=data, subject=subject, extensions=extensions)
    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "a\nb"}, "id"),
        ({"id": "x" * 257}, "id"),
        ({"type": "Order.Placed"}, "type"),
        ({"type": "order.*"}, "type"),
        ({"type": "order placed"}, "type"),
        ({"source": ""}, "source"),
        ({"source": "a b"}, "source"),
        ({"subject": ""}, "subject"),
        ({"user": "x" * 2000}, "user"),
        ({"time": datetime(2026, 1, 1)}, "time"),  # noqa: DTZ001 - that is what is wrong with it
        ({"extensions": {"Trace": "1"}}, "Trace"),
        ({"extensions": {"data": "1"}}, "data"),
        ({"extensions": {"amount": 1.5}}, "amount"),
        ({"data": float("nan")}, "data"),
        ({"data": "\ud800"}, "data"),
    ],
)
def test_what_can_be_no_event_is_refused_before_it_is_published(fields: dict[str, Any], field: str) -> None:
    with pytest.raises((InvalidNameError, InvalidPayloadError)) as caught:
        encode_event(make_event(**fields))
    assert caught.value.field == field


def test_an_event_that_is_too_large_is_refused_both_ways() -> None:
    with pytest.raises(PayloadTooLargeError, match="262144"):
        encode_event(make_event(data="x" * MAX_EVENT_BYTES))
    with pytest.raises(CodecError, match="262144"):
        decode_event(msgspec.json.encode(make_document(data="x" * MAX_EVENT_BYTES)))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "object"),
        ({"id": "e1"}, "specversion"),
        (make_document(specversion="0.3"), "specversion"),
        ({"specversion": "1.0", "type": "a", "source": "/"}, "id: is missing"),
        (make_document(id=7), "id: not a text"),
        (make_document(time="yesterday"), "time"),
        (make_document(time="2026-01-01T00:00:00"), "time zone"),
        (make_document(data_base64="AAAA"), "data_base64"),
        (make_document(subject=7), "subject"),
        (make_document(type="jm.>"), "event type"),
        (make_document(amount={"a": 1}), "amount"),
    ],
)
def test_what_is_no_cloudevent_is_refused_with_its_reason(document: Any, said: str) -> None:
    with pytest.raises(CodecError, match=said):
        decode_event(msgspec.json.encode(document))


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_codec_error(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_event(data)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("doc.created", ["doc.created"], ["doc.created.late", "doc", "doc.changed"]),
        ("doc.*", ["doc.created", "doc.page.created"], ["doc", "docs.created", "document.created"]),
        ("*", ["doc", "doc.page.created"], []),
    ],
)
def test_a_pattern_takes_what_it_says(pattern: str, yes: list[str], no: list[str]) -> None:
    parsed = parse_pattern(pattern)
    assert all(parsed.matches(name) for name in yes)
    assert not any(parsed.matches(name) for name in no)


@pytest.mark.parametrize("text", ["", ">", "doc.>", "*.created", "doc.*.created", "doc..x", "Doc", "doc.*.*", " "])
def test_a_pattern_is_never_a_subject_of_its_own(text: str) -> None:
    with pytest.raises(InvalidNameError):
        parse_pattern(text)


def test_patterns_know_their_subject() -> None:
    assert [parse_pattern(text).subject for text in ("doc.created", "doc.*", "*")] == ["doc.created", "doc.>", ">"]
    assert parse_pattern("*") == EventPattern("*")


def test_a_record_becomes_an_event_of_its_state() -> None:
    entry = make_entry(
        State.FAILED, seq=7, time=NOON, reason=Reason.EXHAUSTED, error=make_error(message="x" * 5000), worker="w-1"
    )
    event = build_transition_event(entry, make_call(trace="00-1-2-01"), namespace="shop")
    assert (event.id, event.type, event.source, event.subject) == (
        f"{entry.id}-7",
        "job.failed",
        "/jetmill/shop/send-email",
        entry.id,
    )
    assert event.user == "ada"
    assert event.data["labels"] == {"team": "shop"}
    assert event.data["reason"] == "exhausted"
    assert len(event.data["error"]["message"]) == 1000
    assert "traceback" not in event.data["error"]
    assert event.extensions == {"traceparent": "00-1-2-01"}
    assert decode_event(encode_event(event)) == event


def test_payloads_and_results_stay_out() -> None:
    entry = make_entry(State.SUCCEEDED, result=msgspec.Raw(b'{"iban":"DE02"}'), payload=msgspec.Raw(b'{"card":"4111"}'))
    data = encode_event(build_transition_event(entry, None, namespace="shop"))
    assert b"4111" not in data
    assert b"DE02" not in data


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_an_event_type(state: State) -> None:
    event = build_transition_event(make_entry(state), None, namespace="shop")
    assert decode_event(encode_event(event)).type == f"job.{state}"


def test_a_slot_that_its_schedule_withdrew_is_no_cancelled_job() -> None:
    planned = make_entry(State.SCHEDULED, schedule="nightly", generation=1, due=NOON)
    record = build_withdrawal(planned, generation=2, time=NOON, by="operator")
    event = build_transition_event(Entry(planned.id, 2, NOON, record), None, namespace="shop")
    assert (event.type, event.data["state"], event.data["reason"]) == ("job.withdrawn", "cancelled", "withdrawn")
    assert build_transition_event(make_entry(State.CANCELLED), None, namespace="shop").type == "job.cancelled"


def test_of_a_slot_that_was_withdrawn_before_it_was_planned_nothing_is_told() -> None:
    slot = Slot(time=NOON, due=NOON)
    plan = make_plan(since=0)
    planned, tombstone = (
        decide_slot(None, slot, plan, intended=one, time=NOON, by="operator") for one in (True, False)
    )
    assert isinstance(planned, Write)
    assert isinstance(tombstone, Write)
    assert is_published(Entry(make_job_id(), 1, NOON, planned.record))
    assert not is_published(Entry(make_job_id(), 1, NOON, tombstone.record))
    first = Entry(make_job_id(), 1, NOON, planned.record)
    withdrawn = build_withdrawal(first, generation=2, time=NOON, by="operator")
    assert is_published(Entry(first.id, 2, NOON, withdrawn))


def test_deliveries_of_webhooks_make_no_events() -> None:
    assert is_published(make_entry())
    assert not is_published(make_entry(job="wh--hook"))
