"""A Job's load and that of its riders, as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from factories import make_hint, make_presence, make_settings
from jetmill.bus.memory import MemoryWorld
from jetmill.bus.ports import Bus, Flow
from jetmill_operator.scaler.load import FRESH_SECONDS, Load, Meter, PresenceReader, merge_queues, observe_load
from jetmill_operator.scaler.observation import QueueSeen


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    bus = MemoryWorld("default").connect()
    await bus.admin.apply_namespace()
    for job in ("mail", "sms"):
        await bus.admin.apply_job(make_settings(job))
    yield bus
    await bus.link.close()


def reader() -> PresenceReader:
    return PresenceReader(clock=lambda: 0.0)


def test_a_meter_counts_what_came_since_the_first_look_and_no_rider_twice() -> None:
    meter = Meter()
    assert meter.add({"mail": Flow(0, 0, 100, 100)}) == 0
    assert meter.add({"mail": Flow(0, 0, 105, 104)}) == 4, "what both counters count"
    assert meter.add({"mail": Flow(0, 0, 105, 104), "sms": Flow(0, 0, 900, 900)}) == 4, "a rider has joined"
    assert meter.add({"mail": Flow(0, 0, 107, 106), "sms": Flow(0, 0, 903, 903)}) == 9
    assert meter.add({"mail": Flow(0, 0, 3, 3), "sms": Flow(0, 0, 903, 903)}) == 9, "its queue was begun anew"
    assert meter.add({"mail": Flow(0, 0, 4, 4)}) == 10


async def test_what_waits_for_all_of_them_is_added_up(bus: Bus) -> None:
    for job in ("mail", "mail", "sms"):
        await bus.queue.publish(make_hint(job=job))
    await bus.presence.put(make_presence("one", jobs=["mail", "sms"], slots=4, busy=0), ttl_seconds=30)
    load = await observe_load(bus, ["mail", "sms"], reader())
    merged = merge_queues(load, Meter())
    assert merged.flow == Flow(3, 0, 0, 0)
    assert (merged.job, merged.slots) == ("mail", 4)
    assert merge_queues(load, Meter(), suspended=["sms"]).flow == Flow(2, 0, 0, 0)


async def test_a_rider_without_a_queue_is_in_nobodys_way(bus: Bus) -> None:
    load = await observe_load(bus, ["mail", "unborn"], reader())
    assert (load.fault, load.missing) == ("", ["unborn"])
    assert merge_queues(load, Meter()).flow is not None
    own = await observe_load(bus, ["unborn", "mail"], reader())
    assert own.missing == ["unborn"]
    assert merge_queues(own, Meter()).flow is None


def test_a_rider_that_cannot_be_read_makes_all_unknown() -> None:
    load = Load((QueueSeen("mail", Flow(0, 0, 0, 0)), QueueSeen("sms", fault="no answer")))
    assert merge_queues(load, Meter()) == QueueSeen("mail", fault="no answer")


async def test_without_a_connection_nobody_waits_for_answers(bus: Bus) -> None:
    await bus.link.close()
    load = await observe_load(bus, ["mail"], reader())
    assert load.fault == "NATS cannot be reached"


async def test_presences_are_read_once_for_all_jobs_of_a_round(bus: Bus) -> None:
    time = 0.0
    reads = PresenceReader(clock=lambda: time)
    first, second = await asyncio.gather(reads.read("default", bus), reads.read("default", bus))
    assert first is second
    await bus.presence.put(make_presence("late"), ttl_seconds=30)
    assert await reads.read("default", bus) == []
    time = FRESH_SECONDS + 0.1
    assert [one.worker for one in await reads.read("default", bus)] == ["late"]
    await reads.close()
