"""The outbox: bounded, in order, and honest about what it left out."""

from __future__ import annotations

import asyncio

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from jetmill_operator.gateway.stream.feed import cut_frames
from jetmill_operator.gateway.stream.frame import Frame, Key
from jetmill_operator.gateway.stream.outbox import Gap, Outbox
from jetmill_operator.gateway.stream.source import Item
from support.stream import Tally
from support.virtual import VirtualLoop
from support.wait import eventually, soon

KEY = Key("shop", "namespace")
OTHER = Key("shop", "jobs:mail")


def make_frame(first: int, last: int | None = None, *, key: Key = KEY) -> Frame:
    """Events from `first` to `last`."""
    last = last or first
    items = [Item(seq, (key.topic,), b'{"seq":%d}' % seq) for seq in range(first, last + 1)]
    [frame] = cut_frames(key, items, after=first - 1, seq=last)
    return frame


def make_outbox(*, max_bytes: int = 100_000, max_frames: int = 4) -> Outbox:
    return Outbox(max_bytes=max_bytes, max_frames=max_frames)


async def drain(outbox: Outbox) -> Tally:
    tally = Tally()
    while outbox:
        frame = await outbox.take()
        assert frame is not None
        tally.add(frame.text)
    return tally


async def test_frames_come_in_order() -> None:
    outbox = make_outbox()
    for seq in (1, 2, 3):
        outbox.put(make_frame(seq))
    tally = await drain(outbox)
    tally.check("namespace", [1, 2, 3])
    assert outbox.delivered == 3


async def test_who_waits_is_woken() -> None:
    outbox = make_outbox()
    taking = asyncio.ensure_future(outbox.take())
    await asyncio.sleep(0)
    outbox.put(make_frame(1))
    frame = await soon(taking)
    assert frame is not None
    assert frame.seq == 1


async def test_who_is_too_slow_is_told_what_he_missed() -> None:
    outbox = make_outbox()
    for seq in range(1, 8):
        outbox.put(make_frame(seq))
    tally = await drain(outbox)
    [gap] = tally.of_type("gap")
    assert gap == {
        "type": "gap",
        "namespace": "shop",
        "topic": "namespace",
        "reason": "slow",
        "after": 0,
        "seq": 5,
        "missed": 5,
    }
    tally.check("namespace", range(1, 8))
    assert tally.seen["namespace"] == [6, 7]
    assert outbox.dropped == 5


async def test_a_gap_that_was_not_taken_grows() -> None:
    outbox = make_outbox()
    for seq in range(1, 100):
        outbox.put(make_frame(seq))
    tally = await drain(outbox)
    assert len(tally.of_type("gap")) == 1
    tally.check("namespace", range(1, 100))


async def test_each_topic_has_a_gap_of_its_own_and_answers_are_kept() -> None:
    outbox = make_outbox()
    outbox.put(make_frame(1))
    outbox.put(Frame('{"type":"pong"}', kept=True))
    for seq in range(2, 9):
        outbox.put(make_frame(seq))
        outbox.put(make_frame(seq, key=OTHER))
    tally = await drain(outbox)
    assert [frame["type"] for frame in tally.frames][:2] == ["gap", "pong"]
    tally.check("namespace", range(1, 9))
    tally.check("jobs:mail", range(2, 9))


async def test_bytes_are_bounded_too() -> None:
    outbox = make_outbox(max_bytes=2000, max_frames=1000)
    for start in range(1, 2000, 10):
        outbox.put(make_frame(start, start + 9))
        assert outbox.bytes <= 2000 + 300
    (await drain(outbox)).check("namespace", range(1, 2001))


async def test_a_frame_larger_than_the_bound_is_given_to_who_keeps_up() -> None:
    outbox = make_outbox(max_bytes=10)
    outbox.put(make_frame(1, 50))
    (await drain(outbox)).check("namespace", range(1, 51))
    assert outbox.dropped == 0


async def test_a_newer_table_takes_the_place_of_an_older() -> None:
    outbox = make_outbox()
    for number in range(3):
        outbox.put(Frame(f'{{"type":"snapshot","items":[{number}]}}', key=OTHER, replaces=True))
        outbox.put(make_frame(number + 1))
    tally = await drain(outbox)
    assert [frame["items"] for frame in tally.of_type("snapshot")] == [[2]]
    tally.check("namespace", [1, 2, 3])


async def test_a_table_outlives_a_full_outbox() -> None:
    outbox = make_outbox()
    outbox.put(Frame('{"type":"snapshot","items":[]}', key=OTHER, replaces=True))
    for seq in range(1, 20):
        outbox.put(make_frame(seq))
    tally = await drain(outbox)
    assert len(tally.of_type("snapshot")) == 1


async def test_a_close_forgets_what_waits_and_is_told_to_who_takes() -> None:
    outbox = make_outbox()
    outbox.put(make_frame(1))
    outbox.close(1012, "restart")
    outbox.close(4008, "slow")
    outbox.put(make_frame(2))
    outbox.note_gap(Gap(KEY, after=1, seq=2))
    assert await soon(outbox.take()) is None
    assert (outbox.code, outbox.reason, outbox.bytes, len(outbox)) == (1012, "restart", 0, 0)


async def test_who_waits_for_room_goes_on_when_it_is_there_or_when_it_ends() -> None:
    outbox = make_outbox(max_frames=4)
    for _ in range(2):
        outbox.put(Frame("{}", kept=True))
    waiting = [asyncio.ensure_future(outbox.room()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(one.done() for one in waiting)
    await outbox.take()
    await soon(asyncio.gather(*waiting))
    outbox.put(Frame("{}", kept=True))
    last = asyncio.ensure_future(outbox.room())
    await asyncio.sleep(0)
    assert not last.done()
    outbox.close(1000, "")
    await soon(last)


STEPS = st.lists(st.sampled_from(["put", "other", "answer", "take", "gap", "table"]), max_size=60)


@settings(max_examples=2 * settings().max_examples)
@given(STEPS, st.integers(1, 6))
def test_whatever_happens_nothing_is_lost_without_a_word(steps: list[str], max_frames: int) -> None:
    async def run() -> None:
        outbox, tally = make_outbox(max_frames=max_frames), Tally()
        seqs = {KEY: 0, OTHER: 0}
        for step in steps:
            if step == "take" and outbox:
                frame = await outbox.take()
                assert frame is not None
                tally.add(frame.text)
            elif step in ("put", "other"):
                key = KEY if step == "put" else OTHER
                seqs[key] += 1
                outbox.put(make_frame(seqs[key], key=key))
            elif step == "answer":
                outbox.put(Frame('{"type":"pong"}', kept=True))
            elif step == "table":
                outbox.put(Frame('{"type":"snapshot","items":[]}', key=OTHER, replaces=True))
            elif step == "gap":
                seqs[KEY] += 1
                outbox.note_gap(Gap(KEY, after=seqs[KEY] - 1, seq=seqs[KEY]))
        late = await drain(outbox)
        for told in late.frames:
            tally.add(msgspec.json.encode(told))
        tally.check("namespace", range(1, seqs[KEY] + 1))
        tally.check("jobs:mail", range(1, seqs[OTHER] + 1))
        assert len(tally.of_type("pong")) == steps.count("answer")

    asyncio.run(run())


class Peer:
    """A client that reads while it is open, served as a socket serves it: pushed to, or sent what waits."""

    def __init__(self, outbox: Outbox) -> None:
        self.open = asyncio.Event()
        self.tally = Tally()
        self._outbox = outbox
        outbox.push = self.push

    def push(self, frame: Frame) -> bool:
        if self.open.is_set():
            self.tally.add(frame.text)
        return self.open.is_set()

    async def serve(self) -> None:
        while (frame := await self._outbox.take()) is not None:
            await self.open.wait()
            self.tally.add(frame.text)


@settings(max_examples=5 * settings().max_examples)
@given(st.lists(st.sampled_from(["put", "open", "shut", "turn", "gap"]), max_size=60))
def test_what_is_pushed_never_overtakes_what_waits(steps: list[str]) -> None:
    async def run() -> None:
        outbox = make_outbox()
        peer = Peer(outbox)
        serving = asyncio.create_task(peer.serve())
        seq = 0
        for step in steps:
            match step:
                case "put":
                    seq += 1
                    outbox.put(make_frame(seq))
                case "gap":
                    seq += 1
                    outbox.note_gap(Gap(KEY, after=seq - 1, seq=seq))
                case "open":
                    peer.open.set()
                case "shut":
                    peer.open.clear()
                case _:
                    await asyncio.sleep(0)
        peer.open.set()
        await eventually(lambda: not outbox and peer.tally.cursor.get("namespace", 0) == seq)
        outbox.close(1000, "")
        await soon(serving)
        peer.tally.check("namespace", range(1, seq + 1))
        told = [(frame["after"], frame["seq"]) for frame in peer.tally.frames]
        assert told == sorted(told), "out of order"
        assert outbox.delivered + outbox.dropped == steps.count("put")

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())
