"""Jobs that ride on another's workers come and go while these run."""

from __future__ import annotations

import asyncio
from typing import Any

from jetmill.protocol.state import State
from jetmill.worker import Worker
from jetmill.worker.context import JobContext
from support.rig import Rig
from support.taker import Taker
from support.wait import eventually, soon

LENGTH = "unit.worker.plain_jobs:length"


async def start(rig: Rig, **settings: Any) -> Worker:
    @rig.job
    async def main() -> str:
        return "main"

    await rig.declare("main", concurrency=4)
    return await rig.start(jobs=("main",), **settings)


async def served(rig: Rig) -> list[str]:
    [presence] = await rig.bus.presence.all()
    return presence.jobs


async def serves(rig: Rig, *jobs: str) -> bool:
    return await served(rig) == list(jobs)


async def test_a_rider_that_is_there_before_the_worker_is_served_from_its_start(rig: Rig) -> None:
    await rig.declare("rider", carrier="main", handler=LENGTH)
    await start(rig)
    assert await served(rig) == ["main", "rider"]
    assert (await rig.run("rider", {"text": "abc"})).result == 3


async def test_a_rider_that_comes_later_is_served_without_a_restart(rig: Rig) -> None:
    worker = await start(rig)
    assert await served(rig) == ["main"]
    await rig.declare("rider", carrier="main", handler=LENGTH)
    assert (await rig.run("rider", {"text": "abc"})).result == 3
    await eventually(lambda: serves(rig, "main", "rider"))
    assert (await rig.run("main")).result == "main"
    assert worker.service.slots == 4


async def test_a_job_becomes_a_rider_by_its_manifest_alone_and_stops_to_be_one(rig: Rig) -> None:
    await start(rig)
    await rig.declare("rider", handler=LENGTH)
    handle = await rig.client.enqueue("rider", {"text": "ab"})
    await rig.run("main")
    assert (await handle.status()).state is State.QUEUED
    await rig.declare("rider", handler=LENGTH, carrier="main")
    assert await soon(handle.result()) == 2
    await rig.declare("rider", handler=LENGTH, carrier="other")
    await eventually(lambda: serves(rig, "main"))
    left = await rig.client.enqueue("rider", {"text": "ab"})
    await rig.run("main")
    assert (await left.status()).state is State.QUEUED
    await rig.declare("rider", handler=LENGTH, carrier="main")
    assert await soon(left.result()) == 2


async def test_a_rider_that_leaves_gives_back_what_waits_and_ends_what_runs(rig: Rig) -> None:
    begun: list[str] = []
    go = asyncio.Event()

    @rig.job
    async def rider(ctx: JobContext) -> None:
        begun.append(ctx.id)
        await go.wait()

    await rig.declare("rider", carrier="main", concurrency=2)
    worker = await start(rig)
    handles = [await rig.client.enqueue("rider") for _ in range(5)]
    await eventually(lambda: len(begun) == 2)
    await rig.declare("rider", concurrency=2)
    await eventually(lambda: serves(rig, "main"))
    assert worker.service.busy == 2
    go.set()
    await eventually(lambda: worker.service.busy == 0)
    await rig.run("main")
    states = [(await handle.status()).state for handle in handles]
    assert states.count(State.SUCCEEDED) == 2
    assert states.count(State.QUEUED) == 3
    await Taker(rig.bus, "rider", want=3).several(3)


async def test_a_riders_concurrency_is_a_limit_within_the_workers_slots(rig: Rig) -> None:
    running: list[str] = []
    go = asyncio.Event()

    async def wait(ctx: JobContext) -> None:
        running.append(ctx.job)
        await go.wait()

    for name in ("small", "large"):
        rig.job(name=name)(wait)
    await rig.declare("small", carrier="main", concurrency=1)
    worker = await start(rig)
    for _ in range(3):
        await rig.client.enqueue("small")
    await eventually(lambda: running == ["small"])
    await rig.declare("large", carrier="main", concurrency=100)
    for _ in range(6):
        await rig.client.enqueue("large")
    await eventually(lambda: worker.service.busy == 4)
    assert sorted(running) == ["large", "large", "large", "small"]
    go.set()


async def test_presence_lasts_as_long_as_the_longest_lease_that_is_served(rig: Rig) -> None:
    worker = await start(rig)

    def lasts_seconds() -> float:
        ends, _ = rig.world.presence[worker.id]
        return (ends - rig.world.clock.now()) / 1e6

    assert lasts_seconds() <= 30
    await rig.declare("rider", carrier="main", handler=LENGTH, lease_seconds=300.0)
    await eventually(lambda: lasts_seconds() > 200)
    await rig.bus.admin.remove_job("rider")
    await eventually(lambda: lasts_seconds() <= 30)
    assert await served(rig) == ["main"]


async def test_a_job_that_was_named_is_served_whoever_carries_it(rig: Rig) -> None:
    await start(rig)
    await rig.declare("main", carrier="other")
    assert (await rig.run("main")).result == "main"
    assert await served(rig) == ["main"]


async def test_a_handler_that_the_manifest_renames_to_one_unknown_here_goes_on(rig: Rig) -> None:
    await start(rig)
    await rig.declare("main", handler="unit.worker.plain_jobs:nowhere", timeout_seconds=5.0)
    await rig.declare("rider", carrier="main", handler=LENGTH)  # the settings before it were noticed too
    await rig.run("rider", {"text": "a"})
    assert (await rig.run("main")).result == "main"
