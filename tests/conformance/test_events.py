"""The port `Events`: what every adapter promises of events and of what running jobs tell."""

from __future__ import annotations

import asyncio

import pytest

from conformance.place import Place
from factories import make_job_id
from jetmill.bus.ports import Bus, TraceLine
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


async def test_an_event_is_answered_on_a_later_turn_of_the_loop(bus: Bus) -> None:
    future = bus.events.publish("doc.created", b"{}", event_id="e1")
    assert not future.done()
    await soon(future)


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
    await wait_for_lines(bus, two, "log", 1)
    assert [line.data for line in await read_lines(bus, one, "log")] == [b"1"]
    assert [line.data for line in await read_lines(bus, one, "progress")] == [b"2"]
    assert await read_lines(bus, two, "progress") == []


async def test_lines_are_read_live(bus: Bus) -> None:
    job_id = make_job_id()
    bus.events.trace(job_id, "log", b"0")
    await wait_for_lines(bus, job_id, "log", 1)
    seen: list[bytes] = []
    async with asyncio.timeout(30):
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

    async def last_is_there() -> bool:
        lines = await read_lines(bus, job_id, "log")
        return bool(lines) and lines[-1].data == b"1009"

    await eventually(last_is_there)
    lines = await read_lines(bus, job_id, "log")
    assert len(lines) == 1000
    assert lines[0].data == b"10"
