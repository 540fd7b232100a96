"""The `Link` beneath every Bus."""

from __future__ import annotations

import asyncio
import time

import pytest

from conformance.place import Place
from factories import JOB, make_data, make_hint, make_job_id, make_settings
from jetmill.bus.ports import Bus
from jetmill.errors import BusError, DisconnectedError
from support.wait import eventually

pytestmark = pytest.mark.conformance


async def test_a_new_bus_is_connected_and_knows_for_how_long(bus: Bus, place: Place) -> None:
    assert bus.link.connected
    before = bus.link.connected_seconds
    await place.pass_time(0.05)
    assert bus.link.connected_seconds > before >= 0.0


async def test_the_link_tells_the_servers_time(bus: Bus) -> None:
    assert abs(bus.link.now() - time.time_ns() // 1000) < 60_000_000


async def test_there_is_room_for_a_bulk_producer(bus: Bus) -> None:
    futures = []
    for number in range(3000):
        futures.append(bus.ledger.append(make_job_id(), make_data(), expected=0))
        if number % 500 == 0:
            await bus.link.room()
    assert len(set(await asyncio.gather(*futures))) == 3000


async def test_a_closed_bus_writes_nothing_more(bus: Bus, place: Place) -> None:
    leaver = await place.connect()
    await leaver.link.close()
    await leaver.link.close()
    assert not leaver.link.connected
    assert leaver.link.connected_seconds == 0.0
    job_id = make_job_id()
    with pytest.raises(DisconnectedError):
        await leaver.ledger.append(job_id, make_data(), expected=0)
    with pytest.raises(BusError):
        await leaver.ledger.read(job_id)
    with pytest.raises(DisconnectedError):
        await leaver.link.flush()
    assert await bus.ledger.read(job_id) is None


async def test_closing_one_bus_leaves_the_others(bus: Bus, place: Place) -> None:
    leaver = await place.connect()
    await leaver.link.close()
    assert bus.link.connected
    await bus.ledger.append(make_job_id(), make_data(), expected=0)


async def test_what_was_buffered_before_closing_is_written(bus: Bus, place: Place) -> None:
    leaver, job_id = await place.connect(), make_job_id()
    await bus.admin.apply_job(make_settings())
    append = leaver.ledger.append(job_id, make_data(), expected=0)
    hint = leaver.queue.publish(make_hint(id=job_id))
    await leaver.link.close()
    await asyncio.gather(append, hint, return_exceptions=True)

    async def both_are_there() -> bool:
        return await bus.ledger.read(job_id) is not None and await bus.queue.hinted(JOB) == {job_id}

    await eventually(both_are_there)
