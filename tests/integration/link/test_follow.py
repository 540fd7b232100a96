"""A stream is read in order, without a gap and without a repeat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any

import pytest

from jetmill.bus.jetstream.append import Appender
from jetmill.bus.jetstream.follow import Follow
from jetmill.bus.jetstream.link import Link
from jetmill.bus.jetstream.read import StoredMessage
from jetmill.errors import BusError, NotFoundError
from support.nats import NatsCluster, NatsServer
from support.wait import eventually, soon

pytestmark = pytest.mark.integration


async def fill(link: Link, name: str, count: int, *, start: int = 0) -> None:
    appender = Appender(link)
    await soon(
        asyncio.gather(*(appender.append(f"{name}.{n % 2}.{n}", b"%d" % n) for n in range(start, start + count)))
    )


async def read_until(lists: AsyncIterator[list[StoredMessage]], seq: int) -> list[StoredMessage]:
    messages: list[StoredMessage] = []
    while not messages or messages[-1].seq < seq:
        messages += await soon(anext(lists))
    return messages


async def longer_than(got: Collection[Any], goal: int) -> None:
    await eventually(lambda: len(got) > goal, seconds=180)


async def test_old_messages_come_first_and_live_ones_follow(link: Link, stream: Any) -> None:
    await fill(link, stream.name, 5000)
    follow = Follow(link, stream.name, [f"{stream.name}.>"], chunk=700)
    lists = aiter(follow)
    old = await read_until(lists, 5000)
    assert [message.seq for message in old] == list(range(1, 5001))
    assert old[17].payload == b"17"
    assert old[17].subject == f"{stream.name}.1.17"
    assert follow.caught_up
    await fill(link, stream.name, 3, start=5000)
    live = await read_until(lists, 5003)
    assert [message.seq for message in live] == [5001, 5002, 5003]
    assert follow.last_seq == 5003
    await follow.close()
    assert [chunk async for chunk in lists] == []


async def test_lists_are_never_longer_than_asked(link: Link, stream: Any) -> None:
    await fill(link, stream.name, 1000)
    follow = Follow(link, stream.name, [f"{stream.name}.>"], chunk=64)
    sizes = []
    async for messages in follow:
        sizes.append(len(messages))
        assert len(follow._messages) <= 2 * 64
        if follow.last_seq == 1000:
            break
    assert max(sizes) <= 64
    assert sum(sizes) == 1000
    await follow.close()


async def test_a_reader_who_pauses_is_not_sent_more_than_two_lists(link: Link, stream: Any) -> None:
    follow = Follow(link, stream.name, [f"{stream.name}.>"], chunk=50)
    lists = aiter(follow)
    await fill(link, stream.name, 1)
    first = await soon(anext(lists))
    await fill(link, stream.name, 999, start=1)
    await link.flush()
    assert len(follow._messages) <= 100
    rest = await read_until(lists, 1000)
    assert [message.seq for message in first + rest] == list(range(1, 1001))
    await follow.close()


async def test_it_begins_where_told_and_sees_only_its_filters(link: Link, stream: Any) -> None:
    await fill(link, stream.name, 100)
    one = Follow(link, stream.name, [f"{stream.name}.1.*"], start_seq=51)
    two = Follow(link, stream.name, [f"{stream.name}.0.10", f"{stream.name}.1.*"], start_seq=1)
    assert [message.seq for message in await read_until(aiter(one), 100)] == list(range(52, 101, 2))
    got = [message.seq for message in await read_until(aiter(two), 100)]
    assert got == sorted([11, *range(2, 101, 2)])
    await one.close()
    await two.close()


async def test_an_empty_stream_is_caught_up_at_once(link: Link, stream: Any) -> None:
    follow = Follow(link, stream.name, [f"{stream.name}.>"])
    assert await soon(follow.ready())
    assert follow.caught_up
    assert follow.last_seq == 0
    await follow.close()


async def test_following_what_is_not_there_is_an_error(link: Link) -> None:
    with pytest.raises(NotFoundError):
        await soon(anext(aiter(Follow(link, "nosuch", [">"]))))


async def test_the_consumer_is_removed_at_the_end(link: Link, stream: Any) -> None:
    await fill(link, stream.name, 10)
    follow = Follow(link, stream.name, [f"{stream.name}.>"])
    await soon(anext(aiter(follow)))
    await follow.close()
    await follow.close()

    async def is_alone() -> bool:
        return bool((await stream.ask(f"STREAM.INFO.{stream.name}", {}))["state"]["consumer_count"] == 0)

    await eventually(is_alone)


async def test_a_consumer_that_goes_is_replaced_without_gap_or_repeat(link: Link, stream: Any) -> None:
    follow = Follow(link, stream.name, [f"{stream.name}.>"], chunk=100)
    lists = aiter(follow)
    got: list[int] = []
    for round_ in range(4):
        await fill(link, stream.name, 300, start=300 * round_)
        got += [message.seq for message in await read_until(lists, 300 * (round_ + 1) - 50)]
        names = (await stream.ask(f"CONSUMER.NAMES.{stream.name}", {}))["consumers"]
        for name in names:
            await stream.ask(f"CONSUMER.DELETE.{stream.name}.{name}", {})
    await fill(link, stream.name, 10, start=1200)
    got += [message.seq for message in await read_until(lists, 1210)]
    assert got == list(range(1, 1211))
    await follow.close()


async def test_a_lost_message_is_noticed_and_read_again(link: Link, stream: Any) -> None:
    """A delivery is dropped on its way here: the next one shows the gap."""
    follow = Follow(link, stream.name, [f"{stream.name}.>"])
    lists = aiter(follow)
    await fill(link, stream.name, 1)
    got = [message.seq for message in await soon(anext(lists))]
    take = follow._take
    dropped: list[Any] = []

    def drop_one(delivery: Any) -> None:
        if dropped or delivery.stream_seq != 3:
            take(delivery)
        else:
            dropped.append(delivery)

    assert follow._pull is not None
    follow._pull._on_delivery = drop_one
    await fill(link, stream.name, 5, start=1)
    got += [message.seq for message in await read_until(lists, 6)]
    assert dropped
    assert got == [1, 2, 3, 4, 5, 6]
    await follow.close()


async def test_it_goes_on_after_the_server_was_killed_in_the_middle(own_stream: Any, own_server: NatsServer) -> None:
    link: Link = own_stream.link
    appender = Appender(link)
    total = 6000
    got: list[int] = []
    follow = Follow(link, "s", ["s.>"], chunk=200)

    async def write_all() -> None:
        number = 0
        while number < total:
            try:
                await soon(asyncio.gather(*(appender.append(f"s.{number + n}", b"x") for n in range(20))))
                number += 20
            except BusError:
                await eventually(lambda: link.connected)

    async def read_all() -> None:
        async for messages in follow:
            got.extend(message.seq for message in messages)

    reading = asyncio.create_task(read_all())
    writing = asyncio.create_task(write_all())
    for goal in (1000, 3000):
        await longer_than(got, goal)
        own_server.kill()
        await eventually(lambda: not link.connected)
        await asyncio.to_thread(own_server.restart)
    await asyncio.wait_for(writing, 240)
    last = await soon(appender.append("s.end", b"x"))
    await eventually(lambda: got[-1] >= last)
    await follow.close()
    await soon(reading)
    assert got == list(range(1, last + 1))


@pytest.mark.slow
async def test_it_goes_on_when_the_leader_of_three_is_killed(tmp_path: Any, connect: Any) -> None:
    with NatsCluster.start(tmp_path) as cluster:
        link: Link = await connect(cluster, request_timeout_seconds=1.0)
        js = link.client.jetstream()
        await js.add_stream(name="s", subjects=["s.>"], num_replicas=3, allow_direct=True)
        appender = Appender(link)
        follow = Follow(link, "s", ["s.>"], chunk=100)
        lists = aiter(follow)
        await fill(link, "s", 500)
        got = [message.seq for message in await read_until(lists, 500)]
        cluster.stream_leader("s").kill()

        async def append_again() -> int:
            try:
                return await appender.append("s.after", b"x")
            except BusError:
                return 0

        last = await eventually(append_again, seconds=120)
        while got[-1] < last:
            got += [message.seq for message in await asyncio.wait_for(anext(lists), 60)]
        assert got == list(range(1, got[-1] + 1))
        await follow.close()
