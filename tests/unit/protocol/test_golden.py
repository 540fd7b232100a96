"""What was written by another version is read, or refused, as promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jetmill.errors import CodecError
from jetmill.protocol.codec import (
    decode_holder,
    decode_plan,
    decode_presence,
    decode_record,
    decode_settings,
    decode_value,
    encode,
)
from jetmill.protocol.record import Holder
from jetmill.protocol.state import Reason, State

GOLDEN = Path(__file__).parents[2] / "golden"
DECODERS = {
    "record": decode_record,
    "holder": decode_holder,
    "settings": decode_settings,
    "presence": decode_presence,
    "plan": decode_plan,
}


def read(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes().strip()


def decode(name: str) -> Any:
    kind = next(part for part in name.split("-") if part in DECODERS)
    return DECODERS[kind](read(name))


OURS = sorted(path.stem for path in GOLDEN.glob("*.json") if not path.stem.startswith(("newer-", "unknown-version-")))
NEWER = sorted(path.stem for path in GOLDEN.glob("newer-*.json"))


def test_there_are_golden_messages_of_every_kind() -> None:
    assert {name.split("-")[0] for name in OURS} == set(DECODERS)
    assert {name.split("-")[1] for name in NEWER} == set(DECODERS)


@pytest.mark.parametrize("name", OURS)
def test_a_message_is_written_again_as_it_was_read(name: str) -> None:
    assert json.loads(encode(decode(name))) == json.loads(read(name))


@pytest.mark.parametrize("name", NEWER)
def test_an_older_worker_reads_a_newer_message_and_ignores_what_it_does_not_know(name: str) -> None:
    known = json.loads(encode(decode(name)))
    golden = json.loads(read(name))
    assert set(known) < set(golden)
    assert all(golden[field] == value for field, value in known.items() if field != "call")


def test_an_unknown_version_is_refused_by_name_whatever_its_shape() -> None:
    with pytest.raises(CodecError, match="version 2"):
        decode_record(read("unknown-version-record"))


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_every_decoder_refuses_an_unknown_version_of_a_known_shape(name: str) -> None:
    known = next(golden for golden in OURS if golden.startswith(name))
    later = read(known).replace(b'"v":1', b'"v":7')
    with pytest.raises(CodecError, match="version 7") as refused:
        DECODERS[name](later)
    assert "upgrade" in refused.value.cure


def test_a_queued_record_holds_what_its_caller_asked_for() -> None:
    record = decode("record-queued")
    assert (record.state, record.band, record.enqueueing, record.attempt) == (State.QUEUED, "high", 1, 1)
    assert decode_value(record.payload, max_bytes=1000) == {"to": "ada@example.org", "n": [1, 2.5, None, "é"]}
    assert record.call.max_retries == 5
    assert record.call.labels == {"team": "shop"}
    assert not record.call.is_empty()


def test_a_running_record_holds_what_the_next_step_needs() -> None:
    record = decode("record-running")
    assert (record.lease, record.worker, record.crashes, record.reason) == ("l-1", "w-1", 1, Reason.TAKEN_OVER)
    assert record.payload is None
    assert record.payload_seq == 17


def test_what_is_not_set_is_not_written_but_the_version_always_is() -> None:
    smallest = encode(Holder(id="a", enqueueing=1))
    assert smallest == b'{"v":1,"id":"a","enqueueing":1}'


def test_a_message_without_a_version_is_of_the_first() -> None:
    assert decode_holder(b'{"id":"a","enqueueing":1}') == Holder(id="a", enqueueing=1)


def test_a_payload_is_kept_byte_by_byte() -> None:
    payload = decode("record-queued").payload
    assert isinstance(payload, msgspec.Raw)
    assert bytes(payload) in read("record-queued")


def test_a_worker_says_in_which_pod_it_runs_and_a_job_who_declares_and_who_carries_it() -> None:
    assert decode("presence-pod").pod == "send-email-worker-7d4"
    assert (decode("presence").pod, decode("settings").uid, decode("settings").carrier) == ("", "", None)
    rider = decode("settings-rider")
    assert (rider.uid[:8], rider.carrier) == ("6f1c1c0a", "send-email")


def test_settings_say_which_events_enqueue_a_job() -> None:
    data, whole = decode("settings-triggers").triggers
    assert (data.event, data.expression, data.payload) == ("order.placed", "event.data.amount > 100", "data")
    assert (whole.event, whole.expression, whole.payload) == ("doc.*", None, "event")
    assert decode("settings").triggers == []


def test_a_plan_says_what_is_intended_and_what_is_to_be_withdrawn() -> None:
    plan = decode("plan")
    assert [(slot.time, slot.due - slot.time) for slot in plan.slots] == [
        (1780000060000000, 1_500_000),
        (1780000120000000, 0),
    ]
    assert [slot.time for slot in plan.old] == [1780000090000000]
    assert (plan.generation, plan.complete, plan.missed) == (3, True, 2)
    assert bytes(plan.template.payload) == b'{"region":"eu"}'
