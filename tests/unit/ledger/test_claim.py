"""Claims off the beaten track: stale and unreadable hints, deadlines, retries, outages."""

from __future__ import annotations

import asyncio

import pytest

from factories import JOB, make_call, make_error
from jetmill.errors import DisconnectedError, NoAnswerError
from jetmill.ledger.cancel import cancel
from jetmill.ledger.reopen import reschedule, retry
from jetmill.protocol.codec import encode
from jetmill.protocol.hint import Hint
from jetmill.protocol.outcome import Cancelled, Failed, Interrupted, Retry, Succeeded
from jetmill.protocol.state import Reason, State
from support.bench import RETRY, SUCCESS, Hand, MemoryBench
from support.wait import eventually, soon

pytestmark = pytest.mark.virtual_time

FAILED = Failed(Reason.EXHAUSTED, make_error())


async def test_a_hint_with_its_sequence_is_claimed_without_a_read(bench: MemoryBench, one: Hand) -> None:
    await bench.submit(call=make_call(max_retries=7))
    claim = await one.start()
    assert claim.entry.record.max_retries == 7
    assert claim.lease == claim.entry.record.lease
    assert claim.entry.record.worker == "worker-1"


async def test_each_delivery_has_a_lease_of_its_own(bench: MemoryBench, one: Hand, two: Hand) -> None:
    leases = set()
    for hand in (one, two, one):
        await bench.submit()
        leases.add((await hand.start()).lease)
    assert len(leases) == 3


async def test_a_failed_attempt_is_tried_again_when_its_delay_is_over(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    settled = await one.settle(await one.start(), RETRY)
    assert settled.entry is not None
    assert settled.entry.record.due == bench.bus.link.now() + 10_000_000
    depth = await bench.bus.queue.depth(JOB)
    assert (depth.ready, depth.in_flight, depth.delayed) == (0, 0, 1)
    bench.pass_time(10)
    claim = await one.start()
    assert claim.entry.record.attempt == 2
    assert bytes(claim.payload or b"") == b'{"to":"ada"}'
    await one.settle(claim)
    assert await bench.states(job.id) == ["queued", "running", "retrying", "running", "succeeded"]
    await bench.prove()


async def test_an_attempt_that_was_granted_stays_granted_under_a_lower_limit(bench: MemoryBench, one: Hand) -> None:
    await bench.submit()
    await one.settle(await one.start(), RETRY)
    bench.pass_time(10)
    one.max_retries = 0
    assert (await one.start()).entry.record.max_retries == 1
    await bench.prove()


async def test_a_hint_of_a_finished_or_unknown_job_is_acknowledged(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    bench.faults.duplicate(JOB, job.id)
    await one.settle(await one.start())
    assert await one.claim() is None
    await bench.bus.queue.publish(Hint(id="nobody", job=JOB, band="normal", body=b"{}", seq=7))
    assert await one.claim() is None
    assert await bench.bus.queue.hinted(JOB) == set()


@pytest.mark.parametrize("body", [b"", b"not json", b'{"v":99}', b"[" * 5000, b'{"v":1}'])
async def test_a_hint_that_cannot_be_read_is_looked_up_in_the_ledger(
    bench: MemoryBench, one: Hand, body: bytes
) -> None:
    job = await bench.submit()
    bench.faults.lose_hints(JOB, job.id)
    await bench.bus.queue.publish(Hint(id=job.id, job=JOB, band="normal", body=body, seq=job.seq))
    claim = await one.start()
    assert bytes(claim.payload or b"") == b'{"to":"ada"}'


async def test_a_record_of_a_newer_version_is_left_to_a_newer_worker(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    newer = b'{"v":99,"state":"queued"}'
    await bench.bus.ledger.append(job.id, newer, expected=job.seq)
    assert await one.claim() is None
    assert await bench.is_hinted(job.id)


async def test_a_stale_hint_brings_no_payload_of_another_enqueueing(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    first = await bench.last(job.id)
    await one.settle(await one.start(), FAILED)
    await retry(bench.bus, job.id, by="ada")
    bench.faults.lose_hints(JOB, job.id)
    body = encode(first.record).replace(b"ada", b"eve")
    await bench.bus.queue.publish(Hint(id=job.id, job=JOB, band="normal", body=body, seq=first.seq))
    claim = await one.start()
    assert bytes(claim.payload or b"") == b'{"to":"ada"}'
    assert claim.entry.record.enqueueing == 2


async def test_a_job_past_its_starting_deadline_is_skipped(bench: MemoryBench, one: Hand) -> None:
    now = bench.bus.link.now()
    in_time = await bench.submit(due=now + 1_000_000, call=make_call(start_by=now + 2_000_000))
    late = await bench.submit(due=now + 9_000_000, call=make_call(start_by=now + 2_000_000))
    bench.pass_time(1.5)
    assert (await one.start()).entry.id == in_time.id
    bench.pass_time(10)
    assert await one.claim() is None
    entry = await bench.last(late.id)
    assert (entry.record.state, entry.record.reason) == (State.SKIPPED, Reason.EXPIRED)
    assert not await bench.is_hinted(late.id)
    await bench.prove()


async def test_a_job_that_waited_for_a_worker_past_its_deadline_is_skipped_too(bench: MemoryBench, one: Hand) -> None:
    """It was ready in time, and nobody came."""
    job = await bench.submit(call=make_call(start_by=bench.bus.link.now() + 2_000_000))
    bench.pass_time(3)
    assert await one.claim() is None
    assert (await bench.last(job.id)).record.reason == Reason.EXPIRED


async def test_a_deadline_binds_nobody_who_started_and_no_person(bench: MemoryBench, one: Hand) -> None:
    now = bench.bus.link.now()
    call = make_call(start_by=now + 5_000_000)
    await bench.submit(call=call)
    claim = await one.start()
    bench.pass_time(20)
    await one.settle(claim, Interrupted())
    bench.faults.lose_hints(JOB, claim.entry.id)
    bench.pass_time(61)
    await bench.keeper().pass_once()
    await one.settle(await one.start(), FAILED)
    await retry(bench.bus, claim.entry.id, by="ada")
    await one.settle(await one.start(), SUCCESS)
    moved = await bench.submit(due=bench.bus.link.now() + 1_000_000, call=call)
    await reschedule(bench.bus, moved.id, due=bench.bus.link.now() + 5_000_000, by="ada")
    bench.pass_time(6)
    assert (await one.start()).entry.id == moved.id


async def test_a_retry_that_landed_without_an_answer_is_put_once(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    claim = await one.start()
    bench.faults.drop_answer()
    bench.faults.drop_answer("hint")
    settled = await one.settle(claim, RETRY)
    assert not settled.lost
    assert await bench.states(job.id) == ["queued", "running", "retrying"]
    depth = await bench.bus.queue.depth(JOB)
    assert (depth.ready, depth.in_flight, depth.delayed) == (0, 0, 1)


async def test_an_outcome_that_landed_without_an_answer_is_not_lost(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    claim = await one.start()
    bench.faults.drop_answer()
    settled = await one.settle(claim)
    assert (settled.lost, settled.entry and settled.entry.record.state) == (False, State.SUCCEEDED)
    assert not await bench.is_hinted(job.id)


async def test_an_outcome_is_kept_until_nats_is_back(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    claim = await one.start()
    for error in (DisconnectedError("away"), NoAnswerError("slow"), DisconnectedError("away")):
        bench.faults.fail(error)
    assert not (await one.settle(claim)).lost
    assert await bench.states(job.id) == ["queued", "running", "succeeded"]


async def test_a_worker_that_ends_at_once_can_leave_a_step_at_any_time(bench: MemoryBench, one: Hand) -> None:
    await bench.submit()
    delivery = await one.take()
    for _ in range(100):
        bench.faults.fail(DisconnectedError("away"))
    claiming = asyncio.create_task(one.claim(delivery))
    await eventually(lambda: len(bench.faults._armed["append"]) < 100)
    claiming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(claiming)


async def test_a_claim_that_was_cancelled_before_its_answer_came_never_starts(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    delivery = await one.take()
    bench.faults.drop_request()
    bench.faults.drop_answer()
    claiming = asyncio.create_task(one.claim(delivery))
    await eventually(lambda: not bench.faults._armed["append"])
    await cancel(bench.bus, job.id, by="ada")
    assert await soon(claiming) is None
    assert await bench.states(job.id) == ["queued", "running", "cancelling", "cancelled"]


async def test_a_push_without_a_record_gives_the_job_back(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    claim = await one.start()
    assert not await one.claimer.is_cancelled(claim)
    await one.settle(claim, Cancelled())
    assert await bench.states(job.id) == ["queued", "running", "queued"]


async def test_a_worker_told_to_stop_finds_the_cancel_in_the_ledger(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    claim = await one.start()
    told: list[str] = []
    one.bus.signals.on_cancel(told.append)
    await cancel(bench.bus, job.id, by="ada")
    await eventually(lambda: told == [job.id])
    assert await one.claimer.is_cancelled(claim)
    settled = await one.settle(claim, Cancelled())
    assert settled.entry is not None
    assert settled.entry.record.state is State.CANCELLED
    await bench.prove()


async def test_a_result_that_no_message_holds_is_a_failure_that_says_so(bench: MemoryBench, one: Hand) -> None:
    await bench.submit()
    settled = await one.settle(await one.start(), Succeeded(b'"' + b"x" * 2_000_000 + b'"'))
    assert settled.entry is not None
    assert (settled.entry.record.state, settled.entry.record.reason) == (State.FAILED, Reason.INVALID_RESULT)


@pytest.mark.parametrize("outcome", [SUCCESS, RETRY, Interrupted(), Cancelled()])
async def test_whatever_became_of_a_lost_claim_its_delivery_does_no_harm(
    bench: MemoryBench, one: Hand, two: Hand, outcome
) -> None:
    job = await bench.submit()
    stale = await one.start()
    bench.faults.lapse_presence(one.worker)
    bench.faults.lapse(JOB)
    fresh = await two.start()
    assert (await one.settle(stale, outcome)).lost
    await two.settle(fresh, Retry(delay_seconds=5.0, error=make_error()))
    assert (await one.settle(stale, outcome)).lost
    assert await bench.is_hinted(job.id)
    bench.pass_time(30)
    assert (await two.start()).entry.record.attempt == 2
    await bench.prove()
