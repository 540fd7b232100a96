"""Workers that die by SIGKILL, at every step of the protocol and at random moments."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from pathlib import Path

import pytest

from faults.harness import HANG_SECONDS, NORMAL_JOBS, PHASE_ROUNDS, ROUNDS, Field, WorkerProcess, pause, random_moment
from faults.proxy import Phase, Proxy
from jetmill.protocol.state import State
from support.nats import NatsServer
from support.wait import eventually, soon

JOB_OF_PHASE = {
    Phase.DELIVERED: "short",
    Phase.CLAIM_UNSENT: "short",
    Phase.CLAIM_SENT: "short",
    Phase.OUTCOME_UNSENT: "short",
    Phase.OUTCOME_SENT: "short",
    Phase.ACK: "short",
    Phase.RETRYING: "flaky",
    Phase.DELAYED: "flaky",
}


async def _start_pair(field: Field) -> tuple[WorkerProcess, WorkerProcess]:
    victim, other = await asyncio.gather(field.start(), field.start(concurrency=2))
    await field.ready(victim, other)
    return victim, other


@pytest.mark.timeout(HANG_SECONDS + 20 * PHASE_ROUNDS)
@pytest.mark.parametrize("phase", JOB_OF_PHASE)
async def test_nothing_is_lost_when_a_worker_dies_at_this_step(field: Field, phase: Phase) -> None:
    other = await field.start(concurrency=2)
    for _ in range(PHASE_ROUNDS):
        victim = await field.start()
        await field.ready(victim, other)
        victim.proxy.arm(phase, victim.pid)
        await field.enqueue(JOB_OF_PHASE[phase], 20)
        await soon(victim.proxy.hit.wait(), seconds=120)
        field.hit(phase)
        await victim.kill()
        await field.ended()
    await field.finish()


@pytest.mark.timeout(HANG_SECONDS + 20 * PHASE_ROUNDS)
async def test_a_job_goes_on_elsewhere_when_its_worker_dies_while_it_runs(field: Field) -> None:
    other = await field.start(concurrency=2)
    for _ in range(PHASE_ROUNDS):
        victim = await field.start()
        await field.ready(victim, other)
        ids = await field.enqueue("long", 6, seconds=0.8)
        ids += await field.enqueue("threaded", 2, seconds=0.8)
        await field.started(*ids, by=victim)
        await pause(random_moment.uniform(0, 0.5))
        field.hit(Phase.RUNNING)
        await victim.kill()
        await field.ended()
    chains = await field.finish()
    assert any(chain[-1].record.crashes for chain in chains.values()), "nobody's run was cut short"


@pytest.mark.timeout(HANG_SECONDS + 20 * PHASE_ROUNDS)
async def test_a_take_over_can_be_cut_short_as_well(field: Field, tmp_path: Path) -> None:
    for number in range(PHASE_ROUNDS):
        go = tmp_path / f"go-{number}"  # the job ends when both workers have died under it, be they as slow as they may
        first = await field.start(concurrency=1)
        await field.ready(first)
        (job_id,) = await field.enqueue("held", until=str(go))
        await field.started(job_id, by=first)
        second = await field.start(concurrency=1)
        second.proxy.arm(Phase.TAKEOVER, second.pid)
        await field.ready(second)
        await first.kill()
        await soon(second.proxy.hit.wait(), seconds=120)
        field.hit(Phase.TAKEOVER)
        await second.kill()
        go.touch()
        third = await field.start()
        await field.ended()
        await third.kill()
        chain = await (await field.bus()).ledger.read_chain(job_id)
        assert chain[-1].record.crashes == 2
    await field.finish()


@pytest.mark.timeout(HANG_SECONDS + 20 * PHASE_ROUNDS)
async def test_a_cancelled_job_stays_cancelled_when_its_worker_dies_before_it_hears_of_it(field: Field) -> None:
    for _ in range(PHASE_ROUNDS):
        victim = await field.start()
        await field.ready(victim)
        (job_id,) = await field.enqueue("long", seconds=30)
        field.poisoned.add(job_id)
        await field.started(job_id)
        victim.proxy.arm(Phase.CANCELLING, victim.pid)
        assert (await field.client.cancel(job_id)).state == State.CANCELLING
        await soon(victim.proxy.hit.wait(), seconds=120)
        field.hit(Phase.CANCELLING)
        await victim.kill()
        other = await field.start()
        await field.ended()
        await other.kill()
    chains = await field.finish()
    assert {chain[-1].record.state for chain in chains.values()} == {State.CANCELLED}
    assert len(field.runs()) == PHASE_ROUNDS, "a cancelled job ran again"


@pytest.mark.timeout(HANG_SECONDS + 10 * PHASE_ROUNDS)
async def test_a_job_runs_although_its_producer_died_before_it_put_the_hint(field: Field, server: NatsServer) -> None:
    worker = await field.start()
    await field.ready(worker)
    for _ in range(PHASE_ROUNDS):
        proxy = Proxy(server.port)
        await proxy.start()
        job_id = str(uuid.uuid4())
        words = ["job", "run", "short", "--id", job_id, "--nats-url", proxy.url, "--namespace", field.namespace]
        producer = await asyncio.create_subprocess_exec(sys.executable, "-m", "jetmill", *words, env={**os.environ})
        proxy.arm(Phase.ENQUEUED, producer.pid)
        await soon(proxy.hit.wait(), seconds=120)
        await soon(producer.wait(), seconds=120)
        await proxy.close()
        field.hit(Phase.ENQUEUED)
        field.accepted.add(job_id)
        await field.ended()
    await field.finish()


LANES = 3


@pytest.mark.timeout(HANG_SECONDS + 6 * ROUNDS)
async def test_nothing_is_lost_when_workers_die_at_random_moments(field: Field) -> None:
    workers = [await field.start(concurrency=6) for _ in range(LANES)]
    await field.ready(*workers)
    for number in range(ROUNDS):
        ids = await field.enqueue_mix()
        victim = workers.pop(0)
        workers.append(await field.start(concurrency=6))
        await pause(random_moment.uniform(0, 0.6))
        await field.strike(victim)
        await field.ready(*workers)
        if number % LANES == 0:
            await field.ended(ids)
    await field.finish()


async def test_the_run_log_tells_the_same_as_the_ledger_when_nothing_goes_wrong(field: Field) -> None:
    for job in NORMAL_JOBS:
        await field.declare(job, lease_seconds=600.0)  # nor does it where workers get little time
    victim, other = await _start_pair(field)
    await field.enqueue_mix()
    chains = await field.finish()
    assert all(chain[-1].record.crashes == 0 for chain in chains.values())
    await eventually(lambda: victim.alive and other.alive)
