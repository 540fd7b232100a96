"""Every failure of bytes from outside is one error, CodecError."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import make_call, make_error, make_holder, make_payload_ref, make_presence, make_record, make_settings
from jetmill.errors import CodecError
from jetmill.protocol.codec import (
    MAX_DEPTH,
    MAX_MESSAGE_BYTES,
    decode_holder,
    decode_presence,
    decode_record,
    decode_settings,
    decode_value,
    encode,
    encode_value,
)
from jetmill.protocol.state import Reason, State

DECODERS: list[Callable[[bytes], Any]] = [decode_record, decode_holder, decode_settings, decode_presence]
LIMIT = 1_000_000

numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=10,
)


def queued(**fields: Any) -> bytes:
    """A queued record as JSON, with fields that no encoder of ours would write."""
    shape = {"v": 1, "state": "queued", "enqueueing": 1, "attempt": 1, "job": "a", "time": 1, "by": "x"}
    return json.dumps({**shape, **fields}).encode()


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_messages_come_back_as_they_were_encoded() -> None:
    record = make_record(
        State.RETRYING, reason=Reason.TIMEOUT, call=make_call(), error=make_error(), payload_ref=make_payload_ref()
    )
    assert decode_record(encode(record)) == record
    assert decode_holder(encode(holder := make_holder())) == holder
    assert decode_settings(encode(settings := make_settings(command=["a", "b"], suspend=True))) == settings
    assert decode_presence(encode(presence := make_presence(running=["x"]))) == presence


def test_payload_and_result_are_carried_as_they_are() -> None:
    record = decode_record(encode(make_record(payload=msgspec.Raw(b'{"b":1, "a":2}'), result=msgspec.Raw(b"null"))))
    assert (bytes(record.payload or b""), bytes(record.result or b"")) == (b'{"b":1, "a":2}', b"null")


@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_with_one_error(data: bytes) -> None:
    for decode in DECODERS:
        with pytest.raises(CodecError):
            decode(data)


@given(value=values)
def test_arbitrary_json_is_refused_with_one_error(value: Any) -> None:
    for decode in DECODERS:
        with pytest.raises(CodecError):
            decode(json.dumps(value).encode())


@given(
    field=st.sampled_from(["v", "state", "enqueueing", "attempt", "crashes", "job", "band", "due", "reason", "call"]),
    value=values,
)
def test_a_record_with_any_value_in_any_field_is_read_or_refused_with_one_error(field: str, value: Any) -> None:
    try:
        record = decode_record(queued(**{field: value}))
    except CodecError:
        return
    assert decode_record(encode(record)) == record


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="wrong shape"),
        pytest.param(queued() + b"x", id="more behind"),
        pytest.param(queued(state="parked"), id="unknown state"),
        pytest.param(queued(reason="mood"), id="unknown reason"),
        pytest.param(queued(band="urgent"), id="unknown band"),
        pytest.param(queued(attempt=0), id="attempt below 1"),
        pytest.param(queued(enqueueing=0), id="enqueueing below 1"),
        pytest.param(queued(crashes=-1), id="negative crashes"),
        pytest.param(queued(job="a.*.>"), id="a job that is no name"),
        pytest.param(queued(job="a\n"), id="a job that ends in a line feed"),
        pytest.param(queued(v="1"), id="version as text"),
        pytest.param(queued(v=2), id="unknown version"),
        pytest.param(queued(v=0), id="version zero"),
        pytest.param(queued(by="\ud800"), id="lone surrogate"),
        pytest.param(queued(by="X").replace(b"X", b"\xff"), id="not UTF-8"),
        pytest.param(queued(time="X").replace(b'"X"', b"1e999"), id="1e999"),
        pytest.param(queued(payload="X").replace(b'"X"', b"[1,]"), id="payload not JSON"),
        pytest.param(queued(payload="X").replace(b'"X"', nested(100_000)), id="payload nested deep"),
        pytest.param(queued(extra="X").replace(b'"X"', nested(100_000)), id="unknown field nested deep"),
        pytest.param(b'{"v":2,"x":' + nested(100_000) + b"}", id="unknown version nested deep"),
        pytest.param(queued(by="x" * MAX_MESSAGE_BYTES), id="too big"),
    ],
)
def test_a_bad_record_is_a_codec_error(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_record(data)


def test_size_is_checked_before_anything_is_decoded() -> None:
    with pytest.raises(CodecError, match="bytes"):
        decode_record(b"x" * (MAX_MESSAGE_BYTES + 1))
    with pytest.raises(CodecError, match="bytes"):
        decode_value(b"x" * 11, max_bytes=10)


def test_a_message_that_would_be_too_big_is_not_written() -> None:
    with pytest.raises(CodecError, match="bytes"):
        encode(make_record(by="x" * MAX_MESSAGE_BYTES))


def test_a_message_with_a_lone_surrogate_is_not_written() -> None:
    with pytest.raises(CodecError):
        encode(make_record(by="\ud800"))


@given(value=values)
def test_a_value_comes_back_as_it_was_encoded(value: Any) -> None:
    assert decode_value(encode_value(value), max_bytes=LIMIT) == value


def test_null_in_a_value_is_no_reason_to_refuse_it() -> None:
    value = [None, "null", {"null": None, "": [None, [None]]}]
    assert decode_value(encode_value(value), max_bytes=LIMIT) == value


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"",
            b"{",
            b"1e999",
            b"[-1e999]",
            b"NaN",
            b"Infinity",
            b'"\\ud800"',
            b'{"\\udfff":1}',
            b'"\xff"',
            b"1" * 5000,
        ),
        nested(MAX_DEPTH + 1),
        nested(100_000),
        b'{"a":' * 101 + b"1" + b"}" * 101,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_a_bad_value_is_a_codec_error(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_value(data, max_bytes=LIMIT)


def test_a_value_may_be_nested_as_deep_as_the_limit() -> None:
    value = decode_value(nested(MAX_DEPTH), max_bytes=LIMIT)
    assert decode_value(encode_value(value), max_bytes=LIMIT) == value


def build_nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def build_cycle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@dataclass
class Point:
    x: float


@pytest.mark.parametrize(
    "value",
    [
        *(math.nan, math.inf, -math.inf, [math.nan], (math.nan,), {math.inf}, {"a": {"b": math.nan}}, Point(math.nan)),
        *("\ud800", {"\ud800": 1}, {(1, 2): 3}, object(), {object()}, lambda: 1),
        *(build_nested(MAX_DEPTH + 1), build_nested(100_000), build_cycle()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_has_no_word_for_is_a_codec_error(value: Any) -> None:
    with pytest.raises(CodecError):
        encode_value(value)


def test_a_long_flat_value_is_not_taken_for_a_deep_one() -> None:
    value = [{"n": number, "tags": []} for number in range(1000)]
    assert decode_value(encode_value(value), max_bytes=LIMIT) == value
