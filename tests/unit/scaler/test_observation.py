"""What the autoscaler sees of a Job: the queue is the truth, presences only say which part of it is in hand."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from factories import JOB, NOON, make_hint, make_presence, make_settings
from jetmill.bus.memory import MemoryClock, MemoryWorld
from jetmill.bus.ports import Bus, Flow
from jetmill_operator.policy.demand import Scaling, Seen
from jetmill_operator.policy.scaling import ScalerState, ScalingReason, decide_replicas
from jetmill_operator.scaler.observation import QueueSeen, build_seen, observe_queue
from support.taker import Taker


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    bus = MemoryWorld("default", clock=MemoryClock(frozen=True, start=NOON)).connect()
    await bus.admin.apply_namespace()
    await bus.admin.apply_job(make_settings(JOB))
    yield bus
    await bus.link.close()


async def put(bus: Bus, count: int, **fields: object) -> None:
    for _ in range(count):
        await bus.queue.publish(make_hint(**fields))


async def test_a_look_finds_the_queue_and_the_workers_that_serve_the_job(bus: Bus) -> None:
    await put(bus, 3)
    await put(bus, 1, band="high")
    await put(bus, 2, due=bus.link.now() + 60_000_000)
    await Taker(bus, want=2).several(2)
    for presence in (
        make_presence("one", busy=1, slots=4, service_seconds=2.0),
        make_presence("two", busy=1, slots=6, service_seconds=4.0, draining=True),
        make_presence("fresh", slots=6),
        make_presence("ends", busy=9, draining=True, stopping=True),
        make_presence("other", jobs=["daily-report"], busy=7),
    ):
        await bus.presence.put(presence, ttl_seconds=30)
    seen = await observe_queue(bus, JOB)
    assert seen.flow == Flow(ready=2, in_flight=2, stored=6, offered=4, delayed=2)
    assert [worker.worker for worker in seen.workers] == ["one", "two", "fresh"]
    assert (seen.busy, seen.slots, seen.service_seconds, seen.fault) == (2, 6, 3.0, "")


async def test_presences_that_were_read_already_are_not_read_again(bus: Bus) -> None:
    await bus.presence.put(make_presence("there"), ttl_seconds=30)
    seen = await observe_queue(bus, JOB, presences=[make_presence("given")])
    assert [worker.worker for worker in seen.workers] == ["given"]


async def test_a_queue_that_is_not_there_says_why_and_changes_nothing(bus: Bus) -> None:
    seen = await observe_queue(bus, "nobody")
    assert seen.flow is None
    assert "nobody" in seen.fault
    look = build_seen(seen, time=5.0, replicas=7, ready=7)
    assert not look.valid
    decision = decide_replicas(Scaling(), ScalerState(), look)
    assert (decision.replicas, decision.reason) == (7, ScalingReason.UNKNOWN)


async def test_while_the_bus_is_away_nothing_is_known(bus: Bus) -> None:
    await bus.link.close()
    seen = await observe_queue(bus, JOB)
    assert seen.flow is None
    assert seen.fault


def look_at(flow: Flow, *busy: int, ready: int | None = None) -> Seen:
    workers = tuple(make_presence(f"w{n}", busy=count) for n, count in enumerate(busy))
    return build_seen(
        QueueSeen(JOB, flow, workers), time=1.0, replicas=len(busy), ready=len(busy) if ready is None else ready
    )


@pytest.mark.parametrize(
    ("seen", "pending", "in_flight"),
    [
        (look_at(Flow(10, 4, 14, 14), 2, 2), 10, 4),
        # delivered, but in the hands of one that has died, or held by one that has no slot
        (look_at(Flow(10, 4, 14, 14), 2), 12, 2),
        (look_at(Flow(0, 1, 1, 1)), 1, 0),
        # a presence of a moment ago: those jobs have ended
        (look_at(Flow(0, 1, 9, 9), 3, 3), 0, 1),
        (look_at(Flow(0, 0, 9, 9), 3), 0, 0),
        # a server that was killed forgot what it had delivered
        (look_at(Flow(4, 0, 4, 4), 3), 1, 3),
        # workers that the cluster calls ready and that nobody could read
        (look_at(Flow(10, 4, 14, 14), ready=2), 10, 4),
    ],
)
def test_what_is_in_the_queue_is_all_there_is(seen: Seen, pending: int, in_flight: int) -> None:
    assert (seen.pending, seen.in_flight) == (pending, in_flight)


async def test_a_job_whose_last_worker_died_wakes_another(bus: Bus) -> None:
    """It was delivered and is in nobody's hand: a scaler that counts what was not delivered would leave it for ever."""
    await put(bus, 1)
    await Taker(bus, want=1).next()
    look = build_seen(await observe_queue(bus, JOB), time=0.0, replicas=0, ready=0)
    decision = decide_replicas(Scaling(), ScalerState(), look)
    assert (decision.replicas, decision.reason) == (1, ScalingReason.WOKEN)


async def test_redeliveries_and_delayed_hints_are_no_arrivals(bus: Bus) -> None:
    states = [ScalerState()]

    async def take_a_look(time: float) -> float:
        look = build_seen(await observe_queue(bus, JOB), time=time, replicas=1, ready=1)
        decision = decide_replicas(Scaling(), states[-1], look)
        states.append(decision.state)
        return decision.figures.arrivals_per_second

    await take_a_look(0.0)
    await put(bus, 10)
    assert await take_a_look(2.0) == 5.0
    taker = Taker(bus, want=40)
    for delivery in await taker.several(10):
        delivery.nak()
    await taker.several(10)
    assert await take_a_look(4.0) == 2.5
    await put(bus, 20, due=bus.link.now() + 60_000_000)
    assert await take_a_look(8.0) == 1.25


def test_a_worker_is_ready_as_soon_as_its_presence_says_so() -> None:
    workers = (make_presence("one"), make_presence("two"), make_presence("leaves", draining=True))
    seen = build_seen(QueueSeen(JOB, Flow(0, 0, 0, 0), workers), time=0.0, replicas=3, ready=0)
    assert seen.ready == 2
    assert build_seen(QueueSeen(JOB, Flow(0, 0, 0, 0), workers), time=0.0, replicas=1, ready=0).ready == 1
