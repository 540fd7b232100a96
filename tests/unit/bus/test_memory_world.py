"""A world in memory: who shares it, what outlives whom, and the faults that tests raise."""

from __future__ import annotations

import asyncio
import threading

import pytest

from factories import JOB, NOON, make_data, make_hint, make_holder, make_job_id, make_presence, make_settings
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.memory import MemoryClock, MemoryWorld, find_world, forget_worlds
from jetmill.bus.ports import Bus
from jetmill.errors import BusError, ConfigError, NoAnswerError, RefusedError
from jetmill.protocol.state import State
from support.taker import Taker
from support.wait import eventually, soon


@pytest.fixture
def world() -> MemoryWorld:
    return MemoryWorld(clock=MemoryClock(frozen=True, start=NOON))


@pytest.fixture
async def bus(world: MemoryWorld) -> Bus:
    return await open_bus(world)


async def open_bus(world: MemoryWorld) -> Bus:
    bus = world.connect()
    await bus.admin.apply_namespace()
    await bus.admin.apply_job(make_settings(lease_seconds=30.0))
    return bus


async def test_the_same_url_and_namespace_are_the_same_world() -> None:
    one = await connect(BusOptions(url="memory://shared"))
    two = await connect(BusOptions(url="memory://shared"))
    await one.admin.apply_namespace()
    job_id = make_job_id()
    await one.ledger.append(job_id, make_data(), expected=0)
    assert await two.ledger.read(job_id) is not None
    assert find_world("shared").connect().link.connected


def test_names_namespaces_and_prefixes_are_apart_and_kept_until_they_are_forgotten() -> None:
    world = find_world("a")
    assert find_world("a") is world
    others = [find_world("b"), find_world("a", namespace="x"), find_world("a", prefix="y"), find_world()]
    assert len({id(one) for one in [world, *others]}) == 5
    forget_worlds()
    assert find_world("a") is not world


def test_a_world_outlives_its_event_loops(world: MemoryWorld) -> None:
    """As a server does: what was held when the first program ended comes again when its lease is over."""

    async def first() -> None:
        bus = await open_bus(world)
        await bus.queue.publish(make_hint(id="held"))
        await bus.queue.publish(make_hint(id="later", due=NOON + 5_000_000))
        await Taker(bus, want=1).next()
        bus.queue.pull(JOB, "normal", lambda _: None).want(100)  # its loop ends, so it must take nothing any more
        bus.signals.on_cancel(lambda _: pytest.fail("its loop has ended"))

    async def second() -> None:
        bus = world.connect()
        taker = Taker(bus, want=2)
        bus.signals.cancel("held")
        world.clock.move(5)
        assert (await taker.next()).id == "later"
        world.clock.move(30)
        delivery = await taker.next()
        assert (delivery.id, delivery.deliveries) == ("held", 2)

    asyncio.run(first())
    asyncio.run(second())


def test_two_loops_at_once_are_refused_with_a_cure(world: MemoryWorld) -> None:
    errors: list[ConfigError] = []

    async def elsewhere() -> None:
        try:
            world.connect()
        except ConfigError as err:
            errors.append(err)

    async def here() -> None:
        world.connect()
        thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
        thread.start()
        await asyncio.to_thread(thread.join)

    asyncio.run(here())
    assert "memory://" in errors[0].cure


async def test_a_lost_answer_hides_an_append_that_landed(world: MemoryWorld, bus: Bus) -> None:
    job_id = make_job_id()
    world.faults.drop_answer()
    with pytest.raises(NoAnswerError):
        await bus.ledger.append(job_id, make_data(), expected=0)
    assert await bus.ledger.read(job_id) is not None
    with pytest.raises(RefusedError):
        await bus.ledger.append(job_id, make_data(), expected=0)


async def test_a_lost_request_leaves_nothing(world: MemoryWorld, bus: Bus) -> None:
    job_id = make_job_id()
    world.faults.drop_request()
    with pytest.raises(NoAnswerError):
        await bus.ledger.append(job_id, make_data(), expected=0)
    assert await bus.ledger.read(job_id) is None
    await bus.ledger.append(job_id, make_data(), expected=0)


async def test_a_late_request_lands_later(world: MemoryWorld, bus: Bus) -> None:
    job_id = make_job_id()
    world.faults.delay(5)
    with pytest.raises(NoAnswerError):
        await bus.ledger.append(job_id, make_data(), expected=0)
    assert await bus.ledger.read(job_id) is None
    world.clock.move(5)
    assert await bus.ledger.read(job_id) is not None


async def test_a_late_request_is_refused_if_others_were_faster(world: MemoryWorld, bus: Bus) -> None:
    job_id = make_job_id()
    world.faults.delay(5)
    with pytest.raises(NoAnswerError):
        await bus.ledger.append(job_id, make_data(), expected=0)
    await bus.ledger.append(job_id, make_data(State.SCHEDULED), expected=0)
    world.clock.move(5)
    assert [entry.record.state for entry in await bus.ledger.read_chain(job_id)] == [State.SCHEDULED]


async def test_faults_hit_the_next_writes_of_their_kind_in_order(world: MemoryWorld, bus: Bus) -> None:
    world.faults.drop_request("hint")
    world.faults.drop_answer("holder")
    world.faults.fail(BusError("no", code=10047))
    world.faults.drop_answer()
    with pytest.raises(BusError, match="no"):
        await bus.ledger.append(make_job_id(), make_data(), expected=0)
    with pytest.raises(NoAnswerError):
        await bus.ledger.append(make_job_id(), make_data(), expected=0)
    await bus.ledger.append(make_job_id(), make_data(), expected=0)
    with pytest.raises(NoAnswerError):
        await bus.ledger.append_holder("abc", make_holder(), expected=0)
    assert await bus.ledger.read_holder("abc") is not None
    with pytest.raises(NoAnswerError):
        await bus.queue.publish(make_hint())
    assert await bus.queue.hinted(JOB) == set()


async def test_cleared_faults_hit_nothing(world: MemoryWorld, bus: Bus) -> None:
    world.faults.drop_answer()
    world.faults.full = True
    world.faults.clear()
    await bus.ledger.append(make_job_id(), make_data(), expected=0)


async def test_a_hint_can_be_doubled(world: MemoryWorld, bus: Bus) -> None:
    hint = make_hint()
    await bus.queue.publish(hint)
    taker = Taker(bus, want=2)
    await taker.next()
    assert world.faults.duplicate(JOB, hint.id) == 1
    again = await taker.next()
    assert (again.id, again.body, again.deliveries) == (hint.id, hint.body, 1)


async def test_a_delivery_can_lapse(world: MemoryWorld, bus: Bus) -> None:
    await bus.queue.publish(make_hint(id="one"))
    await bus.queue.publish(make_hint(id="two"))
    taker = Taker(bus, want=4)
    await taker.several(2)
    assert world.faults.lapse(JOB, "two") == 1
    assert (await taker.next()).deliveries == 2
    assert taker.ids == ["one", "two", "two"]
    assert world.faults.lapse(JOB) == 2


async def test_a_presence_can_lapse(world: MemoryWorld, bus: Bus) -> None:
    await bus.presence.put(make_presence(), ttl_seconds=1000)
    world.faults.lapse_presence("worker-1")
    assert await bus.presence.get("worker-1") is None


async def test_a_killed_server_forgets_who_holds_what(world: MemoryWorld, bus: Bus) -> None:
    for name in ("one", "two", "three"):
        await bus.queue.publish(make_hint(id=name))
    taker = Taker(bus, want=2)
    first, second = await taker.several(2)
    second.nak(60)
    world.faults.forget_deliveries()
    first.ack()
    taker.pull.want(3)
    again = await taker.several(3)
    assert [(one.id, one.deliveries) for one in again] == [("one", 1), ("two", 1), ("three", 1)]
    for delivery in again:
        delivery.ack()
    assert (await bus.queue.depth(JOB)).in_flight == 0


async def test_hints_can_be_lost(world: MemoryWorld, bus: Bus) -> None:
    await bus.queue.publish(make_hint(id="one"))
    await bus.queue.publish(make_hint(id="one", due=NOON + 1_000_000))
    await bus.queue.publish(make_hint(id="two"))
    world.faults.lose_hints(JOB, "one")
    world.clock.move(10)
    assert await bus.queue.hinted(JOB) == {"two"}


async def test_a_callback_that_raises_is_reported_and_stops_nobody(bus: Bus) -> None:
    loop = asyncio.get_running_loop()
    reported: list[object] = []
    loop.set_exception_handler(lambda _, context: reported.append(context["exception"]))

    def fail(_: object) -> None:
        raise ValueError("on purpose")

    bus.queue.pull(JOB, "normal", fail).want(1)
    bus.signals.on_cancel(fail)
    taker = Taker(bus, want=1)
    for _ in range(2):
        await bus.queue.publish(make_hint())
    bus.signals.cancel("x")
    await taker.next()
    await eventually(lambda: len(reported) == 2)


async def test_presence_lapses_when_the_clock_passes_its_time(world: MemoryWorld, bus: Bus) -> None:
    await bus.presence.put(make_presence(), ttl_seconds=30)
    world.clock.move(29.9)
    assert await bus.presence.get("worker-1") is not None
    world.clock.move(0.1)
    assert await bus.presence.all() == []


async def test_an_event_is_remembered_for_two_minutes(world: MemoryWorld, bus: Bus) -> None:
    first = await bus.events.publish("doc.created", b"{}", event_id="e")
    world.clock.move(119)
    assert await bus.events.publish("doc.created", b"{}", event_id="e") == first
    world.clock.move(2)
    assert await bus.events.publish("doc.created", b"{}", event_id="e") == first + 1
    assert [event.type for event in world.events.published] == ["doc.created"] * 2


async def test_lines_are_kept_for_a_day(world: MemoryWorld, bus: Bus) -> None:
    bus.events.trace("one", "log", b"old")
    world.clock.move(24 * 3600)
    bus.events.trace("two", "log", b"new")
    kept = [
        [line.data async for lines in bus.events.traces(job, kind="log") for line in lines] for job in ("one", "two")
    ]
    assert kept == [[], [b"new"]]


async def test_a_ledger_that_is_purged_again_and_again_stays_small(world: MemoryWorld, bus: Bus) -> None:
    await bus.ledger.append("keeper", make_data(), expected=0)
    for number in range(12_000):
        world.ledger.append(f"job-{number}", make_data(), 0)
        world.ledger.purge(f"job-{number}", number + 3)
    world.ledger.purge("keeper", 2)
    for number in range(12_000, 24_000):
        world.ledger.append(f"job-{number}", make_data(), 0)
        world.ledger.purge(f"job-{number}", number + 3)
    last = await bus.ledger.append("last", make_data(), expected=0)
    assert last == 24_002
    assert len(world.ledger._log) < 12_000
    found = [entry.id async for entries in bus.ledger.follow(until=last) for entry in entries]
    assert found == ["last"]


async def test_two_thousand_deliveries_that_lapse_together_all_come_again(world: MemoryWorld, bus: Bus) -> None:
    await asyncio.gather(*(bus.queue.publish(make_hint()) for _ in range(2_000)))
    taker = Taker(bus, want=4_000)
    await eventually(lambda: len(taker.taken) == 2_000)
    world.clock.move(30)
    await eventually(lambda: len(taker.taken) == 4_000)
    assert {delivery.deliveries for delivery in taker.taken[2_000:]} == {2}


async def test_closing_a_bus_ends_what_was_begun_over_it(world: MemoryWorld, bus: Bus) -> None:
    leaver = world.connect()

    async def follow() -> None:
        async for _ in leaver.ledger.follow():
            pass

    async def trace() -> None:
        async for _ in leaver.events.traces("one", kind="log", live=True):
            pass

    tasks = [asyncio.create_task(follow()), asyncio.create_task(trace())]
    await leaver.link.room()
    await leaver.link.close()
    await soon(asyncio.gather(*tasks))
