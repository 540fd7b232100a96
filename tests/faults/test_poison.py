"""Jobs that do their worst end failed, with their reason, while other jobs go on."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from faults.harness import HANG_SECONDS, NORMAL_JOBS, Field, WorkerProcess
from jetmill.protocol.state import CRASH_BUDGET, Reason, State

KILLERS = ("kill-worker", "exit-worker")
REASONS = {
    "kill-child": Reason.EXHAUSTED,
    "exit-child": Reason.EXHAUSTED,
    "spin": Reason.TIMEOUT,
    "spin-async": Reason.TIMEOUT,
    "odd-result": Reason.INVALID_RESULT,
    "odd-result-of-child": Reason.INVALID_RESULT,
    "huge-result": Reason.INVALID_RESULT,
    "mute-error": Reason.EXHAUSTED,
}


@pytest.mark.timeout(HANG_SECONDS)
@pytest.mark.parametrize("job", KILLERS)
async def test_a_job_that_kills_its_worker_fails_as_poison_when_its_crashes_are_spent(field: Field, job: str) -> None:
    await field.declare(job)
    (job_id,) = await field.enqueue(job)
    field.poisoned.add(job_id)
    await field.enqueue("short", 30)
    restarting = asyncio.create_task(_keep_alive(field, job))
    ended = asyncio.create_task(field.ended())
    done, _ = await asyncio.wait({restarting, ended}, return_when=asyncio.FIRST_COMPLETED)
    restarting.cancel()
    for task in done:
        task.result()
    last = (await field.finish())[job_id][-1].record
    assert (last.state, last.reason, last.crashes) == (State.FAILED, Reason.POISON, CRASH_BUDGET)
    assert Counter(run[0] for run in field.runs())[job_id] == CRASH_BUDGET + 1


async def _keep_alive(field: Field, job: str) -> None:
    """Two workers, each started again when it dies."""

    async def start() -> WorkerProcess:
        return await field.start(job, *NORMAL_JOBS)

    workers = [await start(), await start()]
    while True:
        waits = [asyncio.create_task(worker.process.wait()) for worker in workers]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        workers = [worker if worker.alive else await start() for worker in workers]


@pytest.mark.timeout(HANG_SECONDS)
async def test_a_job_that_misbehaves_fails_with_its_reason_and_its_neighbours_go_on(field: Field) -> None:
    for job in REASONS:
        await field.declare(job, max_retries=0)
    worker = await field.start(*REASONS, *NORMAL_JOBS, concurrency=20)
    await field.ready(worker)
    ids = {}
    for job in REASONS:
        (ids[job],) = await field.enqueue(job)
        await field.enqueue("short", 5)
    await field.enqueue_mix()
    field.poisoned.update(ids.values())
    chains = await field.finish()
    ends = {job: chains[job_id][-1].record for job, job_id in ids.items()}
    assert {job: (end.state, end.reason) for job, end in ends.items()} == {
        job: (State.FAILED, reason) for job, reason in REASONS.items()
    }
    assert all(end.error is not None and end.error.message for end in ends.values())
    assert all(end.crashes == 0 for end in ends.values())
    assert worker.alive
