"""The port `PresenceBoard`: what every adapter promises."""

from __future__ import annotations

import asyncio

import pytest

from conformance.place import Place
from factories import make_presence
from jetmill.bus.ports import Bus
from jetmill.protocol.record import Presence
from support.wait import eventually

pytestmark = pytest.mark.conformance


async def all_are(bus: Bus, *presences: Presence) -> None:
    """Wait until these are all; a list may come from a replica that lags."""

    async def same() -> bool:
        return await bus.presence.all() == list(presences)

    await eventually(same, what=f"{presences}, is {await bus.presence.all()}")


async def test_a_worker_is_there_as_it_said(bus: Bus, place: Place) -> None:
    presence = make_presence(running=["a", "b"], busy=2, service_seconds=0.25, draining=True)
    await bus.presence.put(presence, ttl_seconds=30)
    reader = await place.connect()
    assert await reader.presence.get("worker-1") == presence
    await all_are(reader, presence)


async def test_nobody_is_there_who_never_said_so(bus: Bus) -> None:
    assert await bus.presence.get("worker-1") is None
    assert await bus.presence.all() == []


async def test_a_worker_that_says_nothing_more_is_absent_after_its_time(bus: Bus, place: Place) -> None:
    await bus.presence.put(make_presence("alive"), ttl_seconds=600)
    await bus.presence.put(make_presence("quiet"), ttl_seconds=2)
    assert await bus.presence.get("quiet") is not None
    await place.pass_time(2)

    async def gone() -> bool:
        return await bus.presence.get("quiet") is None

    await eventually(gone)
    await all_are(bus, make_presence("alive"))


async def test_a_worker_that_says_it_again_stays(bus: Bus, place: Place) -> None:
    for busy in range(3):
        await bus.presence.put(make_presence(busy=busy), ttl_seconds=4)
        await place.pass_time(1.5)
    presence = await bus.presence.get("worker-1")
    assert presence is not None
    assert presence.busy == 2


async def test_what_a_worker_said_last_counts(bus: Bus) -> None:
    await bus.presence.put(make_presence(busy=1), ttl_seconds=30)
    await bus.presence.put(make_presence(busy=2), ttl_seconds=30)
    await all_are(bus, make_presence(busy=2))


async def test_a_worker_that_beats_while_all_are_asked_for_is_named_once(bus: Bus, place: Place) -> None:
    reader = await place.connect()
    await bus.presence.put(make_presence(), ttl_seconds=30)
    await all_are(reader, make_presence())

    async def beat() -> None:
        for busy in range(100):
            await bus.presence.put(make_presence(busy=busy), ttl_seconds=30)

    beating = asyncio.ensure_future(beat())
    while not beating.done():
        assert [presence.worker for presence in await reader.presence.all()] == ["worker-1"]
    await beating


async def test_a_worker_that_left_orderly_is_gone_at_once(bus: Bus) -> None:
    await bus.presence.put(make_presence("first"), ttl_seconds=30)
    await bus.presence.put(make_presence("second"), ttl_seconds=30)
    await bus.presence.remove("first")
    assert await bus.presence.get("first") is None
    await all_are(bus, make_presence("second"))


async def test_a_worker_may_leave_twice_and_come_back(bus: Bus) -> None:
    await bus.presence.remove("worker-1")
    await bus.presence.put(make_presence(), ttl_seconds=30)
    await bus.presence.remove("worker-1")
    await bus.presence.remove("worker-1")
    await bus.presence.put(make_presence(busy=3), ttl_seconds=30)
    assert await bus.presence.get("worker-1") == make_presence(busy=3)


async def test_it_is_known_for_a_while_that_a_worker_went_orderly(bus: Bus) -> None:
    await bus.presence.put(make_presence("orderly"), ttl_seconds=30)
    await bus.presence.put(make_presence("alive"), ttl_seconds=30)
    await bus.presence.remove("orderly")
    told = [await bus.presence.is_removed(worker) for worker in ("orderly", "alive", "never")]
    assert told == [True, False, False]
