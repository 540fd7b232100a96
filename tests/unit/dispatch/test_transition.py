"""Transitions become events: each one, in order, with one id for ever, whoever else publishes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from factories import JOB, make_call, make_data, make_job_id, make_settings
from jetmill.bus.memory import MemoryWorld
from jetmill.errors import BusError
from jetmill.ledger.reopen import retry
from jetmill.protocol.event import Event, decode_event
from jetmill.protocol.state import State
from jetmill_operator.dispatch.transition import NOTE, TransitionPublisher
from support.bench import RETRY, MemoryBench
from support.wait import eventually


@pytest.fixture
async def bench() -> AsyncIterator[MemoryBench]:
    bench = MemoryBench(MemoryWorld())
    await bench.prepare()
    yield bench
    await bench.bus.link.close()


def read_events(bench: MemoryBench) -> list[Event]:
    return [decode_event(stored.data) for stored in bench.world.events.published]


def make_publisher(bench: MemoryBench, **options: Any) -> TransitionPublisher:
    return TransitionPublisher(bench.world.connect(), **{"save_seconds": 0.01, **options})


@asynccontextmanager
async def running(publisher: TransitionPublisher) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(publisher.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def wait_for_events(bench: MemoryBench, count: int) -> list[Event]:
    await eventually(lambda: len(read_events(bench)) >= count)
    return read_events(bench)


async def read_note(bench: MemoryBench) -> int:
    note = await bench.bus.notes.read(NOTE)
    if note is None or not note.data.startswith(b"{"):
        return 0
    return int(msgspec.json.decode(note.data)["seq"])


async def wait_for_note(bench: MemoryBench, seq: int) -> None:
    async def there() -> bool:
        return await read_note(bench) == seq

    await eventually(there, what=f"the note to say {seq}")


async def test_each_record_becomes_an_event_in_order(bench: MemoryBench) -> None:
    hand = await bench.hand()
    job = await bench.submit(call=make_call())
    async with running(make_publisher(bench)):
        claim = await hand.start()
        await hand.settle(claim, RETRY)
        bench.pass_time(60)
        await hand.settle(await hand.start())
        events = await wait_for_events(bench, 5)
    assert [event.type for event in events] == [
        "job.queued",
        "job.running",
        "job.retrying",
        "job.running",
        "job.succeeded",
    ]
    chain = await bench.bus.ledger.read_chain(job.id)
    assert [event.id for event in events] == [f"{job.id}-{entry.seq}" for entry in chain]
    assert {event.data["labels"]["team"] for event in events} == {"shop"}, "the first record has it, the others do not"


async def test_it_goes_on_behind_what_it_had_published(bench: MemoryBench) -> None:
    await bench.submit()
    async with running(make_publisher(bench)):
        await wait_for_note(bench, 1)
    bench.pass_time(600)  # longer than the server knows an id: what is published again now is stored again
    await bench.submit()
    publisher = make_publisher(bench)
    async with running(publisher):
        await wait_for_events(bench, 2)
    assert publisher.published == 1
    assert len(read_events(bench)) == 2


async def test_what_a_caller_asked_for_is_read_where_it_was_not_seen(bench: MemoryBench) -> None:
    await bench.submit(call=make_call(user="eve"))
    async with running(make_publisher(bench)):
        await wait_for_events(bench, 1)
    hand = await bench.hand()
    await hand.start()
    async with running(make_publisher(bench)):
        events = await wait_for_events(bench, 2)
    assert [event.user for event in events] == ["eve", "eve"]


async def test_what_cannot_be_said_of_a_caller_keeps_nothing_from_being_published(bench: MemoryBench) -> None:
    await bench.submit(call=make_call(user="a\nb"))
    async with running(make_publisher(bench)):
        [event] = await wait_for_events(bench, 1)
    assert event.user is None


async def test_two_publishers_in_step_publish_each_transition_once(bench: MemoryBench) -> None:
    async with running(make_publisher(bench)), running(make_publisher(bench)):
        for _ in range(50):
            await bench.submit()
        await wait_for_events(bench, 50)
    assert len(read_events(bench)) == 50


async def test_one_that_lags_goes_on_behind_the_other(bench: MemoryBench) -> None:
    for _ in range(20):
        await bench.submit()
    async with running(make_publisher(bench)):
        await wait_for_note(bench, 20)
    late = make_publisher(bench)
    async with running(late):
        await bench.submit()
        await wait_for_events(bench, 21)
    assert late.published == 1


async def test_a_record_that_cannot_be_read_stops_no_other(bench: MemoryBench) -> None:
    await bench.bus.ledger.append(make_job_id(), b'{"v":99}', expected=0)
    await bench.submit()
    async with running(make_publisher(bench)):
        [event] = await wait_for_events(bench, 1)
    assert event.type == "job.queued"


async def test_deliveries_of_webhooks_are_passed_over(bench: MemoryBench) -> None:
    await bench.bus.admin.apply_job(make_settings("wh--hook"))
    await bench.bus.ledger.append(make_job_id(), make_data(job="wh--hook"), expected=0)
    await bench.submit()
    async with running(make_publisher(bench)):
        [event] = await wait_for_events(bench, 1)
    assert event.data["job"] == JOB


async def test_after_a_ledger_that_began_anew_it_begins_anew(bench: MemoryBench) -> None:
    await bench.bus.notes.write(NOTE, b'{"seq":1000}', expected=0)
    await bench.submit()
    async with running(make_publisher(bench)):
        await wait_for_events(bench, 1)
        await wait_for_note(bench, 1)


async def test_a_note_that_nobody_can_read_means_all_that_stands(bench: MemoryBench) -> None:
    await bench.bus.notes.write(NOTE, b"?", expected=0)
    await bench.submit()
    async with running(make_publisher(bench)):
        await wait_for_events(bench, 1)
        await wait_for_note(bench, 1)


async def test_a_reopened_job_is_queued_again_by_an_event_of_its_own(bench: MemoryBench) -> None:
    hand = await bench.hand()
    job = await bench.submit()
    await hand.settle(await hand.start())
    await retry(bench.bus, job.id, by="ada")
    async with running(make_publisher(bench)):
        events = await wait_for_events(bench, 4)
    assert events[-1].type == "job.queued"
    assert events[-1].data["reason"] == "reopened"
    assert len({event.id for event in events}) == 4


async def test_it_ends_where_the_bus_is_closed(bench: MemoryBench) -> None:
    bus = bench.world.connect()
    async with running(TransitionPublisher(bus)) as task:
        await asyncio.sleep(0)
        await bus.link.close()
        with pytest.raises(BusError):
            await asyncio.wait_for(task, 10)


@pytest.mark.parametrize("state", [State.SKIPPED, State.CANCELLED, State.SCHEDULED])
async def test_states_that_only_some_reach_are_told_too(bench: MemoryBench, state: State) -> None:
    await bench.bus.ledger.append(make_job_id(), make_data(state), expected=0)
    async with running(make_publisher(bench)):
        [event] = await wait_for_events(bench, 1)
    assert event.type == f"job.{state}"
