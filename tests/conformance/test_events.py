"""The port `Events`: what every adapter promises of events and of what running jobs tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from conformance.place import Place
from factories import make_job_id
from jetmill.bus.ports import Bus, EventMessage, TraceLine
from support.wait import eventually, soon

pytestmark = pytest.mark.conformance


async def read_lines(bus: Bus, job_id: str, kind: str) -> list[TraceLine]:
    return [line async for lines in bus.events.traces(job_id, kind=kind) for line in lines]


async def wait_for_lines(bus: Bus, job_id: str, kind: str, count: int) -> list[TraceLine]:
    async def there() -> list[TraceLine] | None:
        lines = await read_lines(bus, job_id, kind)
        return lines if len(lines) >= count else None

    found: list[TraceLine] = await eventually(there)
    return found


async def test_events_are_stored_in_order(bus: Bus) -> None:
    first = await bus.events.publish("doc.created", b'{"n":1}', event_id="e1")
    second = await bus.events.publish("doc.changed", b'{"n":2}', event_id="e2")
    assert 1 <= first < second


async def test_the_same_event_again_is_stored_once(bus: Bus, place: Place) -> None:
    other = await place.connect()
    first = await bus.events.publish("doc.created", b"{}", event_id="e1")
    again = await other.events.publish("doc.created", b"{}", event_id="e1")
    another = await bus.events.publish("doc.created", b"{}", event_id="e2")
    assert again == first
    assert another == first + 1


async def test_many_at_once_are_stored_once_each_however_they_are_grouped(bus: Bus, place: Place) -> None:
    """Writers group what piles up; a repeat in a group, or one that another has stored meanwhile, harms no other."""
    other = await place.connect()
    ids = [f"e{number % 400}" for number in range(1200)]
    answers = await asyncio.gather(
        *(one.events.publish("doc.created", b"{}", event_id=event_id) for event_id in ids for one in (bus, other))
    )
    seqs: dict[str, set[int]] = {}
    for event_id, seq in zip([event_id for event_id in ids for _ in range(2)], answers, strict=True):
        seqs.setdefault(event_id, set()).add(seq)
    assert await bus.events.last_seq() == 400
    assert all(len(found) == 1 for found in seqs.values()), "whoever publishes it learns where it lies"


async def test_an_event_is_answered_on_a_later_turn_of_the_loop(bus: Bus) -> None:
    future = bus.events.publish("doc.created", b"{}", event_id="e1")
    assert not future.done()
    await soon(future)


async def follow_events(bus: Bus, count: int, *, start: int = 1) -> list[EventMessage]:
    """The first events from a sequence on, however many lists they come in."""
    found: list[EventMessage] = []
    async with asyncio.timeout(60):
        async with aclosing(aiter_of(bus, start)) as lists:
            async for events in lists:
                found += events
                if len(found) >= count:
                    break
    return found


def aiter_of(bus: Bus, start: int) -> AsyncGenerator[list[EventMessage]]:
    return bus.events.follow(start=start)  # type: ignore[return-value]  # every adapter's is a generator


async def test_events_are_followed_old_ones_first_then_live(bus: Bus, place: Place) -> None:
    other = await place.connect()
    assert await bus.events.last_seq() == 0
    await bus.events.publish("doc.created", b'{"n":1}', event_id="e1")
    seen: list[EventMessage] = []
    async with asyncio.timeout(60):
        async with aclosing(aiter_of(bus, 1)) as lists:
            async for events in lists:
                seen += events
                if len(seen) == 3:
                    break
                number = len(seen) + 1
                await other.events.publish("doc.changed.late", b'{"n":%d}' % number, event_id=f"e{number}")
    assert [(event.type, event.data) for event in seen] == [
        ("doc.created", b'{"n":1}'),
        ("doc.changed.late", b'{"n":2}'),
        ("doc.changed.late", b'{"n":3}'),
    ]
    assert [event.seq for event in seen] == [1, 2, 3]
    assert await bus.events.last_seq() == 3
    assert abs(seen[-1].time - bus.link.now()) < 60_000_000


async def test_events_are_followed_from_where_one_wants(bus: Bus) -> None:
    for number in range(1, 6):
        await bus.events.publish("doc.created", b"%d" % number, event_id=f"e{number}")
    assert [event.seq for event in await follow_events(bus, 2, start=4)] == [4, 5]


async def test_a_follow_of_events_ends_with_its_bus(bus: Bus) -> None:
    lists = aiter_of(bus, 1)
    coming = asyncio.ensure_future(anext(lists))
    await asyncio.sleep(0)
    await bus.link.close()
    with pytest.raises(StopAsyncIteration):
        await soon(coming)


async def test_lines_of_a_job_are_read_oldest_first(bus: Bus, place: Place) -> None:
    job_id = make_job_id()
    before = bus.link.now()
    for number in range(5):
        bus.events.trace(job_id, "log", b'{"n":%d}' % number)
    lines = await wait_for_lines(await place.connect(), job_id, "log", 5)
    assert [line.data for line in lines] == [b'{"n":%d}' % number for number in range(5)]
    assert [line.seq for line in lines] == sorted(line.seq for line in lines)
    assert {(line.id, line.kind) for line in lines} == {(job_id, "log")}
    assert all(before - 1_000_000 <= line.time <= bus.link.now() + 1_000_000 for line in lines)


async def test_kinds_and_jobs_are_apart(bus: Bus) -> None:
    one, two = make_job_id(), make_job_id()
    bus.events.trace(one, "log", b"1")
    bus.events.trace(one, "progress", b"2")
    bus.events.trace(two, "log", b"3")
    assert [line.data for line in await wait_for_lines(bus, two, "log", 1)] == [b"3"]
    # In a cluster each read may come from another replica.
    assert [line.data for line in await wait_for_lines(bus, one, "log", 1)] == [b"1"]
    assert [line.data for line in await wait_for_lines(bus, one, "progress", 1)] == [b"2"]
    assert await read_lines(bus, two, "progress") == []


async def test_lines_are_read_live(bus: Bus) -> None:
    job_id = make_job_id()
    bus.events.trace(job_id, "log", b"0")
    await wait_for_lines(bus, job_id, "log", 1)
    seen: list[bytes] = []
    async with asyncio.timeout(60):
        async for lines in bus.events.traces(job_id, kind="log", live=True):
            seen.extend(line.data for line in lines)
            if len(seen) == 4:
                break
            bus.events.trace(job_id, "log", b"%d" % len(seen))
    assert seen == [b"0", b"1", b"2", b"3"]


async def test_a_job_keeps_its_last_thousand_lines(bus: Bus) -> None:
    job_id = make_job_id()
    for number in range(1010):
        bus.events.trace(job_id, "log", b"%d" % number)

    async def the_last_are_there() -> bool:
        lines = [line.data for line in await read_lines(bus, job_id, "log")]
        return lines == [b"%d" % number for number in range(10, 1010)]

    await eventually(the_last_are_there)
