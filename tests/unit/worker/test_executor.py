"""Handlers on the loop and on threads, and how they are stopped there; processes are in tests/integration/executor."""

from __future__ import annotations

import asyncio
import threading

from jetmill.protocol.state import Reason, State
from jetmill.worker import JobContext
from support.rig import Rig
from support.wait import eventually


async def test_a_coroutine_runs_on_the_workers_loop(rig: Rig) -> None:
    @rig.job
    async def where() -> bool:
        return asyncio.get_running_loop() is loop

    loop = asyncio.get_running_loop()
    await rig.start()
    assert (await rig.run(where)).result is True


async def test_a_function_runs_on_a_thread_and_many_run_at_once(rig: Rig) -> None:
    barrier = threading.Barrier(5, timeout=60)

    @rig.job
    def meet() -> str:
        barrier.wait()
        return threading.current_thread().name

    await rig.start()
    handles = [await rig.client.enqueue(meet) for _ in range(5)]
    assert [await handle.result(60) for handle in handles] == ["jetmill-handler"] * 5


async def test_an_endless_loop_on_a_thread_times_out_and_its_thread_ends(rig: Rig) -> None:
    @rig.job(timeout_seconds=0.2, max_retries=0)
    def spin() -> None:
        while True:
            pass

    worker = await rig.start()
    status = await rig.run(spin)
    assert (status.state, status.reason) == (State.FAILED, Reason.TIMEOUT)
    assert worker.service.metrics.abandoned_total == 1
    await eventually(lambda: worker.service.abandoned == 0)


async def test_a_thread_that_waits_in_c_is_left_alone_and_replaced(rig: Rig) -> None:
    gate = threading.Event()

    @rig.job(timeout_seconds=0.1, max_retries=0)
    def hang() -> None:
        gate.wait(60)

    @rig.job
    def ok() -> int:
        return 1

    worker = await rig.start(concurrency=2)
    assert (await rig.run(hang)).reason is Reason.TIMEOUT
    assert worker.service.abandoned == 1
    assert (await rig.run(ok)).result == 1
    gate.set()
    await eventually(lambda: worker.service.abandoned == 0)


async def test_a_thread_that_looks_at_its_flag_can_end_well(rig: Rig) -> None:
    @rig.job(timeout_seconds=0.1)
    def patient(ctx: JobContext) -> str:
        return "told" if ctx.cancelled.wait(60) else "not told"

    await rig.start(stop_seconds=10.0)
    assert (await rig.run(patient)).result == "told"


async def test_a_coroutine_that_swallows_its_cancellation_is_abandoned(rig: Rig) -> None:
    done = asyncio.Event()

    @rig.job(timeout_seconds=0.1, max_retries=0)
    async def stubborn() -> None:
        while not done.is_set():
            try:
                await done.wait()
            except asyncio.CancelledError:
                continue

    worker = await rig.start(stop_seconds=0.05, concurrency=1)
    assert (await rig.run(stubborn)).reason is Reason.TIMEOUT
    assert worker.service.metrics.abandoned_total == 1
    done.set()
