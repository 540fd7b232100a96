"""A worker that is asked to take nothing more for a while: what it gives back, what it says, and that it goes on."""

from __future__ import annotations

import asyncio
import time

from jetmill.bus.memory import MemoryWorld
from jetmill.bus.ports import Delivery
from jetmill.protocol.record import JobSettings, Presence
from jetmill.worker import Worker
from jetmill.worker.context import JobContext
from jetmill.worker.intake import Intake
from jetmill.worker.rest import REST_SECONDS, Rest
from support.rig import Rig
from support.virtual import VirtualLoop
from support.wait import eventually, soon


class Field:
    """An intake whose jobs never end by themselves."""

    def __init__(self, rig: Rig, *, slots: int) -> None:
        self.begun: list[Delivery] = []
        self.intake = Intake(rig.bus.queue, slots=slots, start=self.begun.append)

    def end_all(self) -> None:
        for delivery in self.begun:
            self.intake.freed(delivery)
            delivery.ack()
            self.intake.settled(delivery)
        self.begun.clear()


async def fill(rig: Rig, count: int, *, job: str = "work") -> None:
    await rig.bus.admin.apply_job(JobSettings(job=job))
    for n in range(count):
        await rig.client.enqueue(job, {"n": n})


async def depth_is(rig: Rig, ready: int, in_flight: int) -> None:
    async def same() -> bool:
        depth = await rig.bus.queue.depth("work")
        return (depth.ready + depth.in_flight, depth.in_flight) == (ready + in_flight, in_flight)

    await eventually(same)


async def test_resting_gives_back_what_waits_and_keeps_what_was_begun(rig: Rig) -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    await fill(rig, 20)
    field, other = Field(rig, slots=2), Field(rig, slots=50)
    field.intake.serve("work", limit=2)
    await eventually(lambda: len(field.begun) == 2)
    field.intake.rest()
    field.intake.rest()
    assert (field.intake.held, field.intake.begun) == (0, 2)
    other.intake.serve("work", limit=50)
    await eventually(lambda: len(other.begun) == 18)
    field.end_all()
    await fill(rig, 1)
    await eventually(lambda: len(other.begun) == 19)
    assert (field.begun, field.intake.begun, faults) == ([], 0, [])
    field.intake.stop()
    other.intake.stop()


async def test_going_on_takes_jobs_again_those_served_since_too(rig: Rig) -> None:
    await fill(rig, 0)
    await fill(rig, 0, job="late")
    field = Field(rig, slots=4)
    field.intake.serve("work", limit=4)
    field.intake.rest()
    field.intake.serve("late", limit=4)
    await fill(rig, 1)
    await fill(rig, 1, job="late")
    field.intake.resume()
    await eventually(lambda: {delivery.job for delivery in field.begun} == {"work", "late"})
    field.intake.resume()
    field.intake.stop()
    field.intake.resume()
    field.end_all()
    await fill(rig, 1)
    await depth_is(rig, ready=1, in_flight=0)


async def test_who_hears_nothing_more_goes_on_by_itself(rig: Rig) -> None:
    await fill(rig, 1)
    field, changes = Field(rig, slots=1), asyncio.Queue[bool]()
    rest = Rest(field.intake, on_change=lambda: changes.put_nowait(rest.on), seconds=0.05)
    rest.begin()
    assert await soon(changes.get()) is True
    field.intake.serve("work", limit=1)
    assert await soon(changes.get()) is False
    await eventually(lambda: field.begun)
    field.intake.stop()


def test_each_asking_begins_the_minute_anew_and_tells_nobody_again() -> None:
    async def play() -> list[float]:
        loop = asyncio.get_running_loop()
        changes: list[float] = []
        bus = MemoryWorld("default").connect()
        intake = Intake(bus.queue, slots=1, start=lambda _: None)
        rest = Rest(intake, on_change=lambda: changes.append(round(loop.time())))
        for _ in range(3):
            rest.begin()
            await asyncio.sleep(REST_SECONDS - 10)
        await asyncio.sleep(REST_SECONDS)
        await bus.link.close()
        return changes

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(play()) == [0, 2 * (REST_SECONDS - 10) + REST_SECONDS]


async def test_who_rests_and_stops_does_not_begin_again(rig: Rig) -> None:
    changes: list[bool] = []
    rest = Rest(Field(rig, slots=1).intake, on_change=lambda: changes.append(rest.on), seconds=60.0)
    rest.end()
    rest.close()
    assert changes == []
    rest.begin()
    rest.close()
    assert rest.on
    rest.end()
    assert changes == [True, False]


async def presence_of(rig: Rig, worker: Worker) -> Presence:
    found = await rig.bus.presence.get(worker.id)
    assert isinstance(found, Presence)
    return found


async def test_a_worker_says_that_it_drains_and_when_it_has_nothing_in_hand(rig: Rig) -> None:
    await rig.declare("work", lease_seconds=600.0)  # the next heartbeat is minutes away
    started, go = asyncio.Event(), asyncio.Event()

    @rig.job
    async def work(wait: bool = False) -> None:
        if wait:
            started.set()
            await go.wait()

    worker = await rig.start(concurrency=1)
    running = await rig.client.enqueue(work, {"wait": True})
    await soon(started.wait())
    rig.bus.signals.drain(worker.id)

    async def drains(busy: int) -> bool:
        seen = await presence_of(rig, worker)
        return (seen.draining, seen.stopping, seen.busy) == (True, False, busy)

    await eventually(lambda: drains(1))
    assert worker.service.find_unready() is None, "a cluster takes away first who is not ready"
    waiting = await rig.client.enqueue(work, {})
    go.set()
    await soon(running.result())
    await eventually(lambda: drains(0))
    depth = await rig.bus.queue.depth("work")
    assert (depth.ready, depth.in_flight) == (1, 0)
    rig.bus.signals.undrain(worker.id)
    await soon(waiting.result())
    await eventually(lambda: takes_jobs(rig, worker))


async def takes_jobs(rig: Rig, worker: Worker) -> bool:
    return not (await presence_of(rig, worker)).draining


async def test_another_worker_takes_what_a_drained_one_leaves(rig: Rig) -> None:
    @rig.job
    async def work(ctx: JobContext) -> str:
        return ctx.worker

    one = await rig.start(concurrency=4)
    rig.bus.signals.drain(one.id)
    await eventually(lambda: one.service.draining)
    handle = await rig.client.enqueue(work, {})
    two = await rig.start(concurrency=4)
    assert await soon(handle.result()) == two.id
    assert one.service.busy == 0


async def test_the_first_job_says_how_long_jobs_take(rig: Rig) -> None:
    """Smoothed from nothing, a fresh worker would say for dozens of jobs that they take no time."""

    @rig.job
    def work() -> None:
        time.sleep(0.05)

    worker = await rig.start(concurrency=1)
    await rig.run(work, {})
    await eventually(lambda: worker.service.presence().busy == 0)
    assert worker.service.presence().service_seconds >= 0.05
