"""A feed between a source that answers late and those who listen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from jetmill_operator.gateway.stream.feed import Feed
from jetmill_operator.gateway.stream.option import StreamOptions
from jetmill_operator.gateway.stream.outbox import Outbox
from jetmill_operator.gateway.stream.source import Item
from jetmill_operator.gateway.stream.topic import Topic
from support.stream import Tally
from support.wait import eventually, soon


class SlowSource:
    """The port `Source`: the newest sequence is told long after it was looked at."""

    def __init__(self) -> None:
        self.items: asyncio.Queue[Item] = asyncio.Queue()
        self.last = 0
        self.answers = asyncio.Event()
        self.answers.set()

    def put(self, count: int) -> None:
        for _ in range(count):
            self.last += 1
            self.items.put_nowait(Item(self.last, ("namespace",), b'{"seq":%d}' % self.last))

    async def last_seq(self) -> int:
        last = self.last
        await self.answers.wait()
        return last

    async def follow(self, *, start: int) -> AsyncIterator[list[Item]]:
        while True:
            item = await self.items.get()
            if item.seq >= start:
                yield [item]

    async def history(self, topic: Topic | None, *, after: int, until: int) -> AsyncIterator[list[Item]]:
        del topic, after, until
        yield []

    async def floor(self, topic: Topic) -> int:
        del topic
        return 0


async def test_what_comes_while_the_stream_is_looked_at_does_not_make_it_another_stream() -> None:
    source = SlowSource()
    feed = Feed(source, namespace="shop", options=StreamOptions(window_seconds=0.001))
    await feed.start()
    outbox = Outbox(max_bytes=100_000, max_frames=100)
    feed.join("namespace", outbox)
    source.put(5)
    await soon(feed.reached(5))
    source.answers.clear()
    checking = asyncio.create_task(feed.check())
    await asyncio.sleep(0)
    source.put(5)
    await soon(feed.reached(10))
    source.answers.set()
    await soon(checking)
    source.put(5)
    await soon(feed.reached(15))
    tally = Tally()
    while outbox:
        frame = await outbox.take()
        assert frame is not None
        tally.add(frame.text)
    tally.check("namespace", range(1, 16))
    assert not tally.gaps
    await feed.close()


async def test_a_stream_that_went_back_is_a_gap_and_followed_anew() -> None:
    source = SlowSource()
    feed = Feed(source, namespace="shop", options=StreamOptions(window_seconds=0.001))
    await feed.start()
    outbox = Outbox(max_bytes=100_000, max_frames=100)
    feed.join("namespace", outbox)
    source.put(5)
    await soon(feed.reached(5))
    source.last = 2
    await feed.check()
    source.put(2)
    await eventually(lambda: feed.flushed == 7)
    tally = Tally()
    while outbox:
        frame = await outbox.take()
        assert frame is not None
        tally.add(frame.text)
    assert tally.of_type("gap")[0]["reason"] == "reset"
    assert tally.seen["namespace"] == [1, 2, 3, 4, 5, 3, 4]
    await feed.close()


async def test_who_begins_while_another_begins_waits_for_him() -> None:
    source = SlowSource()
    source.answers.clear()
    feed = Feed(source, namespace="shop", options=StreamOptions())
    starting = [asyncio.create_task(feed.start()) for _ in range(5)]
    await asyncio.sleep(0)
    source.put(3)
    source.answers.set()
    await soon(asyncio.gather(*starting))
    await soon(feed.reached(3))
    assert feed.flushed == 3
    await feed.close()
