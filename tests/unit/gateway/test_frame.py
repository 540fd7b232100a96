"""Frames: strict on the way in, whole on the way out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from jetmill_operator.gateway.stream.feed import cut_frames
from jetmill_operator.gateway.stream.frame import (
    MAX_ITEMS,
    FrameError,
    Key,
    Ping,
    Subscribe,
    Unsubscribe,
    build_answer,
    build_gap,
    build_messages,
    build_snapshot,
    build_table,
    build_wire,
    decode_client_frame,
)
from jetmill_operator.gateway.stream.source import Item

KEY = Key("shop", "jobs:mail")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ('{"op":"ping"}', Ping()),
        ('{"op":"ping","id":7}', Ping(id=7)),
        ('{"op":"subscribe","topic":"namespace"}', Subscribe(topic="namespace")),
        (
            b'{"op":"subscribe","id":"a","topic":"jobs:mail","namespace":"shop","after":12,"snapshot":true}',
            Subscribe(id="a", topic="jobs:mail", namespace="shop", after=12, snapshot=True),
        ),
        ('{"op":"unsubscribe","topic":"queues"}', Unsubscribe(topic="queues")),
    ],
)
def test_what_a_client_may_say(text: str | bytes, frame: Any) -> None:
    assert decode_client_frame(text) == frame


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"op":"shout"}',
        '{"op":"subscribe"}',
        '{"op":"subscribe","topic":7}',
        '{"op":"subscribe","topic":"a","other":1}',
        '{"op":"subscribe","topic":"a","after":-1}',
        '{"op":"subscribe","topic":"a","after":1e30}',
        '{"op":"subscribe","topic":"a","after":99999999999999999999}',
        '{"op":"subscribe","topic":"%s"}' % ("a" * 600),
        '{"op":"ping","id":{}}',
        '{"op":"ping","id":"%s"}' % ("a" * 65),
        "[" * 10_000,
        " " * 20_000,
        b"\xff\xfe",
        "\ud800",
        '{"op":"ping"',
    ],
)
def test_anything_else_is_one_error(text: str | bytes) -> None:
    with pytest.raises(FrameError):
        decode_client_frame(text)


@given(st.text() | st.binary() | json_values.map(msgspec.json.encode))
def test_no_text_gives_another_error(text: str | bytes) -> None:
    try:
        decode_client_frame(text)
    except FrameError:
        return


@given(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["subscribe", "unsubscribe", "ping"])},
        optional={"topic": json_values, "namespace": json_values, "after": json_values, "id": json_values},
    )
)
def test_nor_does_anything_that_looks_like_a_frame(value: dict[str, Any]) -> None:
    try:
        frame = decode_client_frame(msgspec.json.encode(value))
    except FrameError:
        return
    assert frame.id == value.get("id")


@given(st.lists(json_values, max_size=5), st.text(min_size=1), st.text(min_size=1))
def test_what_is_put_together_is_json_again(values: list[Any], namespace: str, topic: str) -> None:
    key = Key(namespace, topic)
    raws = [msgspec.json.encode(value) for value in values]
    items = [Item(number, (topic,), raw) for number, raw in enumerate(raws, 5)]
    texts = [frame.text for frame in cut_frames(key, items, after=4, seq=30)]
    texts += [build_messages(key, raws, count=len(raws)).text, build_table(key, raws).text]
    texts += [build_snapshot(key, raws, seq=3, total=9).text, build_snapshot(key, raws, seq=None, total=9).text]
    texts += [build_gap(key, after=1, seq=None, missed=2, reason="slow")]
    for text in texts:
        frame = msgspec.json.decode(text)
        assert (frame["namespace"], frame["topic"]) == (namespace, topic)
        if frame["type"] != "gap":
            assert frame["items"] == [msgspec.json.decode(raw) for raw in raws]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_a_text_is_one_frame_of_a_websocket_as_others_read_it(size: int) -> None:
    text = "é" * (size // 2) + "x" * (size % 2)
    reader = StreamReader()
    reader.feed_data(build_wire(text))
    with pytest.raises(StopIteration) as ended:
        next(Frame.parse(reader.read_exact, mask=False))
    frame = ended.value.value
    assert (frame.opcode, frame.fin, frame.data.decode()) == (Opcode.TEXT, True, text)
    assert not reader.buffer


def test_many_events_are_several_frames_that_follow_each_other() -> None:
    items = [Item(seq, (KEY.topic,), b"%d" % seq) for seq in range(11, 11 + 2 * MAX_ITEMS + 1)]
    frames = cut_frames(KEY, items, after=10, seq=5000)
    assert [frame.count for frame in frames] == [MAX_ITEMS, MAX_ITEMS, 1]
    assert [(frame.after, frame.seq) for frame in frames] == [(10, 510), (510, 1010), (1010, 5000)]
    assert cut_frames(KEY, [], after=10, seq=20) == []


def test_an_answer_says_the_operations_id() -> None:
    assert msgspec.json.decode(build_answer("pong", 0).text) == {"type": "pong", "id": 0}
    assert msgspec.json.decode(build_answer("pong").text) == {"type": "pong"}
