"""A worker that lives, and yet is out of touch: stopped beyond its lease, or cut off."""

from __future__ import annotations

import signal

import pytest

from faults.harness import HANG_SECONDS, LEASE_SECONDS, ROUNDS, Field, pause, random_moment
from faults.proxy import Phase
from jetmill.protocol.state import State
from support.wait import eventually

STOPS = max(1, ROUNDS // 25)
CUTS = max(5, ROUNDS // 4)


@pytest.mark.timeout(HANG_SECONDS + 30 * STOPS)
@pytest.mark.parametrize("job", ["long", "threaded"])
async def test_the_outcome_of_a_worker_that_was_stopped_beyond_its_lease_is_refused(field: Field, job: str) -> None:
    for _ in range(STOPS):
        sleeper = await field.start()
        await field.ready(sleeper)
        (job_id,) = await field.enqueue(job, seconds=LEASE_SECONDS)
        await field.started(job_id, by=sleeper)
        sleeper.send(signal.SIGSTOP)
        other = await field.start()
        await field.started(job_id, by=other)
        await field.ended([job_id])
        sent = sleeper.proxy.records[job_id, "succeeded"]
        sleeper.send(signal.SIGCONT)
        await eventually(lambda: sleeper.proxy.records[job_id, "succeeded"] > sent, what="the late outcome")  # noqa: B023
        field.hit(Phase.LATE)
        await other.kill()
        await field.enqueue("short", 3)
        await field.ended()
        assert sleeper.alive, sleeper.output.read_text()[-4000:]
        chain = await (await field.bus()).ledger.read_chain(job_id)
        states = [entry.record.state for entry in chain]
        assert states == [State.QUEUED, State.RUNNING, State.RUNNING, State.SUCCEEDED]
        assert chain[1].record.worker != chain[2].record.worker == chain[3].record.worker
        await sleeper.kill()
    await field.finish()


@pytest.mark.timeout(HANG_SECONDS + 3 * CUTS)
async def test_work_goes_on_when_connections_are_cut_again_and_again(field: Field) -> None:
    workers = [await field.start(), await field.start()]
    await field.ready(*workers)
    for _ in range(CUTS):
        await field.enqueue_mix()
        await pause(random_moment.uniform(0, 0.5))
        victim = random_moment.choice(workers)
        phases = victim.proxy.phases()
        await eventually(victim.proxy.cut, what="a connection to cut")
        field.hit(Phase.CUT, *phases)
    chains = await field.finish()
    assert all(worker.alive for worker in workers)
    assert all(chain[-1].record.state is State.SUCCEEDED for chain in chains.values())
