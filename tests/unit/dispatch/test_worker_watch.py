"""A worker that vanishes is told of once; one that leaves is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from factories import make_presence
from jetmill.bus.memory import MemoryClock, MemoryWorld
from jetmill.bus.ports import Bus
from jetmill.protocol.event import Event, decode_event
from jetmill_operator.dispatch.worker import NOTE, WorkerWatch
from support.wait import eventually


@pytest.fixture
def world() -> MemoryWorld:
    return MemoryWorld(clock=MemoryClock(frozen=True))


@pytest.fixture
async def bus(world: MemoryWorld) -> AsyncIterator[Bus]:
    bus = world.connect()
    await bus.admin.apply_namespace()
    yield bus
    await bus.link.close()


def read_events(world: MemoryWorld) -> list[Event]:
    return [decode_event(stored.data) for stored in world.events.published]


async def test_a_worker_that_vanishes_is_told_of_with_what_it_had(world: MemoryWorld, bus: Bus) -> None:
    watch = WorkerWatch(bus)
    await bus.presence.put(make_presence("w-1", running=["j1"], pod="w-1-abc"), ttl_seconds=30)
    assert await watch.look() == []
    world.clock.move(31)
    assert await watch.look() == ["w-1"]
    [event] = read_events(world)
    assert (event.type, event.id, event.subject) == ("worker.lost", "lost-w-1", "w-1")
    assert event.data["running"] == ["j1"]
    assert event.data["pod"] == "w-1-abc"
    assert await watch.look() == [], "once"


async def test_a_worker_that_leaves_is_not_lost(world: MemoryWorld, bus: Bus) -> None:
    watch = WorkerWatch(bus)
    await bus.presence.put(make_presence("w-1"), ttl_seconds=30)
    await watch.look()
    await bus.presence.remove("w-1")
    assert await watch.look() == []
    world.clock.move(120)
    assert await watch.look() == []
    assert read_events(world) == []


async def test_a_worker_is_missed_by_a_dispatcher_that_never_saw_it(world: MemoryWorld, bus: Bus) -> None:
    await bus.presence.put(make_presence("w-1"), ttl_seconds=30)
    await WorkerWatch(bus).look()
    world.clock.move(31)
    assert await WorkerWatch(world.connect()).look() == ["w-1"]


async def test_two_that_look_at_once_tell_it_once(world: MemoryWorld, bus: Bus) -> None:
    await bus.presence.put(make_presence("w-1"), ttl_seconds=30)
    await WorkerWatch(bus).look()
    world.clock.move(31)
    await asyncio.gather(WorkerWatch(bus).look(), WorkerWatch(world.connect()).look())
    assert len(read_events(world)) == 1


async def test_one_that_was_away_itself_waits_before_it_judges(world: MemoryWorld, bus: Bus) -> None:
    await bus.presence.put(make_presence("w-1"), ttl_seconds=30)
    await WorkerWatch(bus).look()
    world.clock.move(31)
    late = world.connect()
    watching = asyncio.create_task(WorkerWatch(late, look_seconds=0.001, calm_seconds=60).run())
    for _ in range(20):
        await asyncio.sleep(0)
    assert read_events(world) == []
    world.clock.move(60)
    await eventually(lambda: read_events(world))
    watching.cancel()


async def test_a_note_that_nobody_can_read_is_written_anew(world: MemoryWorld, bus: Bus) -> None:
    await bus.notes.write(NOTE, b"?", expected=0)
    await bus.presence.put(make_presence("w-1"), ttl_seconds=30)
    assert await WorkerWatch(bus).look() == []
    world.clock.move(31)
    assert await WorkerWatch(bus).look() == ["w-1"]
