"""The keeper: what it restores, repeats and purges, and what it leaves alone."""

from __future__ import annotations

import asyncio

import pytest

from factories import JOB, make_error, make_payload_ref
from jetmill.errors import NoAnswerError
from jetmill.ledger.cancel import cancel
from jetmill.ledger.keeper import Keeper, Kept
from jetmill.ledger.reopen import retry
from jetmill.protocol.outcome import Failed, Succeeded
from jetmill.protocol.state import Reason
from support.bench import SUCCESS, Hand, MemoryBench
from support.wait import eventually

FAILED = Failed(Reason.NON_RETRYABLE, make_error())
DAY = 86_400


async def test_a_hint_lost_later_is_restored_by_the_look_at_all_jobs(bench: MemoryBench) -> None:
    job = await bench.submit()
    keeper = bench.keeper()
    bench.pass_time(61)
    assert await keeper.pass_once() == Kept()
    bench.faults.lose_hints(JOB, job.id)
    bench.pass_time(61)
    assert (await keeper.pass_once()).restored == 0, "it was looked at, and all are looked at every ten minutes"
    bench.pass_time(600)
    assert (await keeper.pass_once()).restored == 1


async def test_a_pass_that_failed_is_made_up_for(bench: MemoryBench) -> None:
    job = await bench.submit()
    bench.faults.lose_hints(JOB, job.id)
    bench.pass_time(61)
    keeper = bench.keeper()
    bench.faults.fail(NoAnswerError("away"), "hint")
    with pytest.raises(NoAnswerError):
        await keeper.pass_once()
    assert (await keeper.pass_once()).restored == 1


async def test_it_goes_on_behind_a_record_of_a_newer_version(bench: MemoryBench, one: Hand) -> None:
    bad = await bench.submit()
    await bench.bus.ledger.append(bad.id, b'{"v":99}', expected=bad.seq)
    good = await bench.submit()
    for job in (bad, good):
        bench.faults.lose_hints(JOB, job.id)
    bench.pass_time(61)
    assert (await bench.keeper().pass_once()).restored == 1
    assert (await one.start()).entry.id == good.id


async def test_two_keepers_do_no_harm(bench: MemoryBench, one: Hand, two: Hand) -> None:
    job = await bench.submit()
    bench.faults.lose_hints(JOB, job.id)
    bench.pass_time(61)
    await asyncio.gather(bench.keeper().pass_once(), bench.keeper().pass_once())
    claims = [await one.claim(), await two.claim()]
    assert sum(claim is not None for claim in claims) == 1
    assert await bench.states(job.id) == ["queued", "running"]


async def test_cancel_pushes_are_repeated_until_the_job_has_ended(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    claim = await one.start()
    await cancel(bench.bus, job.id, by="ada")
    told: list[str] = []
    one.bus.signals.on_cancel(told.append)
    keeper = bench.keeper()
    assert (await keeper.pass_once()).pushed == 1
    await eventually(lambda: told == [job.id])
    await one.settle(claim)
    assert (await keeper.pass_once()).pushed == 0


async def test_it_remembers_open_jobs_only(bench: MemoryBench, one: Hand) -> None:
    keeper = bench.keeper()
    for _ in range(3):
        await bench.submit()
    await one.settle(await one.start())
    await keeper.pass_once()
    assert keeper.open_jobs == 2


async def test_finished_chains_are_purged_whole_when_their_retention_is_over(bench: MemoryBench, one: Hand) -> None:
    await bench.bus.payloads.put("payload-1", b"large")
    done = await bench.submit(payload_ref=make_payload_ref(name="payload-1"))
    await bench.bus.payloads.put("result-1", b"large")
    await one.settle(await one.start(), Succeeded(result_ref=make_payload_ref(name="result-1")))
    failed = await bench.submit()
    await one.settle(await one.start(), FAILED)
    waiting = await bench.submit()
    keeper = bench.keeper()
    bench.pass_time(DAY - 1)
    assert (await keeper.pass_once()).purged == 0
    bench.pass_time(2)
    assert (await keeper.pass_once()).purged == 1
    assert await bench.states(done.id) == []
    assert bench.world.payloads == {}
    assert await bench.states(failed.id) == ["queued", "running", "failed"]
    bench.pass_time(14 * DAY)
    assert (await keeper.pass_once()).purged == 1
    assert await bench.states(failed.id) == []
    assert await bench.states(waiting.id) == ["queued"], "nothing removes an unfinished job"
    await bench.prove()


@pytest.mark.field("Job.spec.retention.succeededSeconds", "Job.spec.retention.failedSeconds")
async def test_the_jobs_own_retention_counts(bench: MemoryBench, one: Hand) -> None:
    await bench.prepare(succeeded_seconds=10.0, failed_seconds=100.0)
    await bench.submit()
    await one.settle(await one.start(), SUCCESS)
    bench.pass_time(11)
    assert (await bench.keeper().pass_once()).purged == 1
    await bench.submit()
    await one.settle(await one.start(), FAILED)
    bench.pass_time(99)
    assert (await bench.keeper().pass_once()).purged == 0
    bench.pass_time(2)
    assert (await bench.keeper().pass_once()).purged == 1


async def test_a_job_that_was_retried_in_time_is_not_purged(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    await one.settle(await one.start(), FAILED)
    bench.pass_time(13 * DAY)
    await retry(bench.bus, job.id, by="ada")
    bench.pass_time(2 * DAY)
    assert (await bench.keeper().pass_once()).purged == 0
    await one.settle(await one.start(), FAILED)
    bench.pass_time(13 * DAY)
    assert (await bench.keeper().pass_once()).purged == 0
    await bench.prove()


async def test_a_retry_between_the_look_and_the_purge_stands_alone(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    await one.settle(await one.start(), FAILED)
    last = await bench.last(job.id)
    await retry(bench.bus, job.id, by="ada")
    await bench.bus.ledger.purge(job.id, up_to=last.seq + 1)  # what a keeper does that had read `failed`
    assert await bench.states(job.id) == ["queued"]
    claim = await one.start()
    assert bytes(claim.payload or b"") == b'{"to":"ada"}'
    await one.settle(claim)
    await bench.prove()


async def test_a_slot_cancelled_before_its_time_is_remembered_beyond_it(bench: MemoryBench) -> None:
    slot = await bench.submit(due=bench.bus.link.now() + 10 * DAY * 1_000_000)
    await cancel(bench.bus, slot.id, by="ada")
    keeper = bench.keeper()
    bench.pass_time(2 * DAY)
    assert (await keeper.pass_once()).purged == 0
    bench.pass_time(9 * DAY)
    assert (await keeper.pass_once()).purged == 1


async def test_a_job_that_is_not_declared_any_more_waits_in_the_ledger(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    await bench.bus.admin.remove_job(JOB)
    bench.pass_time(61)
    keeper = bench.keeper()
    assert await keeper.pass_once() == Kept()
    await bench.prepare()
    bench.pass_time(600)
    assert (await keeper.pass_once()).restored == 1
    assert (await one.start()).entry.id == job.id


async def test_it_runs_until_it_is_cancelled(bench: MemoryBench) -> None:
    job = await bench.submit()
    bench.faults.lose_hints(JOB, job.id)
    bench.pass_time(61)
    bench.faults.fail(NoAnswerError("away"), "hint")
    running = asyncio.create_task(Keeper(bench.bus, interval_seconds=0.01).run())
    await eventually(lambda: bench.is_hinted(job.id))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
