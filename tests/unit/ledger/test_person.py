"""What people do with jobs: cancel, retry, discard, reschedule."""

from __future__ import annotations

import pytest

from factories import JOB, make_error, make_payload_ref
from jetmill.errors import JobNotFoundError, JobStateError
from jetmill.ledger.cancel import cancel
from jetmill.ledger.reopen import discard, reschedule, retry
from jetmill.protocol.outcome import Failed
from jetmill.protocol.state import Reason, State
from support.bench import RETRY, Hand, MemoryBench

pytestmark = pytest.mark.virtual_time

FAILED = Failed(Reason.NON_RETRYABLE, make_error())


async def fail(bench: MemoryBench, hand: Hand, **fields) -> str:
    job = await bench.submit(**fields)
    await hand.settle(await hand.start(), FAILED)
    return job.id


@pytest.mark.parametrize("due", [None, 60_000_000])
async def test_a_job_cancelled_before_its_claim_never_starts(bench: MemoryBench, due: int | None) -> None:
    job = await bench.submit(due=due and bench.bus.link.now() + due)
    entry = await cancel(bench.bus, job.id, by="ada")
    assert (entry.record.state, entry.record.by) == (State.CANCELLED, "ada")
    assert not await bench.is_hinted(job.id)
    assert (await cancel(bench.bus, job.id, by="bob")).record.by == "ada"


async def test_a_cancel_races_a_claim_and_either_wins(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    bench.faults.drop_request()
    entry = await cancel(bench.bus, job.id, by="ada")
    assert entry.record.state is State.CANCELLED
    other = await bench.submit()
    bench.faults.drop_answer()
    assert (await cancel(bench.bus, other.id, by="ada")).record.state is State.CANCELLED
    await bench.prove()


async def test_a_cancel_of_a_job_whose_queue_is_gone_stands(bench: MemoryBench) -> None:
    job = await bench.submit()
    await bench.bus.admin.remove_job(JOB)
    assert (await cancel(bench.bus, job.id, by="ada")).record.state is State.CANCELLED


async def test_who_asks_for_no_job_is_told(bench: MemoryBench) -> None:
    for ask in (cancel, retry, discard):
        with pytest.raises(JobNotFoundError):
            await ask(bench.bus, "nobody", by="ada")


async def test_a_failed_job_is_retried_from_the_beginning(bench: MemoryBench, one: Hand) -> None:
    job_id = await fail(bench, one)
    entry = await retry(bench.bus, job_id, by="ada")
    assert (entry.record.enqueueing, entry.record.attempt, entry.record.by) == (2, 1, "ada")
    claim = await one.start()
    assert bytes(claim.payload or b"") == b'{"to":"ada"}'
    await one.settle(claim)
    assert (await bench.states(job_id))[-3:] == ["queued", "running", "succeeded"]
    await bench.prove()


@pytest.mark.parametrize("fault", ["drop_answer", "drop_request"])
async def test_a_persons_retry_happens_once_whatever_the_network_does(
    bench: MemoryBench, one: Hand, fault: str
) -> None:
    job_id = await fail(bench, one, payload_ref=make_payload_ref())
    getattr(bench.faults, fault)()
    bench.faults.drop_request("hint")
    assert (await retry(bench.bus, job_id, by="ada")).record.enqueueing == 2
    assert await bench.states(job_id) == ["queued", "running", "failed", "queued"]
    assert (await one.start()).payload_ref == make_payload_ref()


async def test_a_job_that_waits_for_its_next_attempt_has_it_now(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    await one.settle(await one.start(), RETRY)
    entry = await retry(bench.bus, job.id, by="ada")
    assert (entry.record.reason, entry.record.by, entry.record.enqueueing) == (Reason.RESCHEDULED, "ada", 1)
    assert entry.record.error is not None
    claim = await one.start()
    assert (claim.entry.record.attempt, bytes(claim.payload or b"")) == (2, b'{"to":"ada"}')
    await one.settle(claim)
    bench.pass_time(RETRY.delay_seconds + 1)  # the hint of the time that was first meant finds it done
    other = await bench.submit()
    while (found := await one.claim()) is None:
        pass
    assert found.entry.id == other.id
    assert await bench.states(job.id) == ["queued", "running", "retrying", "retrying", "running", "succeeded"]
    await bench.prove()


async def test_an_open_or_discarded_job_cannot_be_retried(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    with pytest.raises(JobStateError, match="queued"):
        await retry(bench.bus, job.id, by="ada")
    await one.settle(await one.start(), FAILED)
    assert (await discard(bench.bus, job.id, by="ada")).record.state is State.DISCARDED
    assert (await discard(bench.bus, job.id, by="ada")).record.state is State.DISCARDED
    with pytest.raises(JobStateError, match="discarded"):
        await retry(bench.bus, job.id, by="ada")
    await bench.prove()


async def test_only_a_failed_job_can_be_discarded(bench: MemoryBench) -> None:
    job = await bench.submit()
    with pytest.raises(JobStateError, match="queued"):
        await discard(bench.bus, job.id, by="ada")


async def test_a_scheduled_job_moves_to_another_time(bench: MemoryBench, one: Hand) -> None:
    now = bench.bus.link.now()
    job = await bench.submit(due=now + 5_000_000)
    bench.faults.drop_answer()
    entry = await reschedule(bench.bus, job.id, due=now + 60_000_000, by="ada")
    assert entry.record.due == now + 60_000_000
    bench.pass_time(10)
    assert (await bench.bus.queue.depth(JOB)).ready == 0
    bench.pass_time(50)
    assert bytes((await one.start()).payload or b"") == b'{"to":"ada"}'
    with pytest.raises(JobStateError, match="running"):
        await reschedule(bench.bus, job.id, due=now, by="ada")
    await bench.prove()
