"""The rules of the protocol, one by one, as the model checker lists them; each test fails when its rule is taken out
(`tests/mutants/table.toml`).
"""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from factories import JOB
from jetmill.bus.ports import Bus, Queue
from jetmill.ledger.cancel import cancel
from jetmill.ledger.gate import build_gate
from jetmill.ledger.reopen import retry
from jetmill.protocol.codec import encode
from jetmill.protocol.hint import Hint
from jetmill.protocol.outcome import Failed, Interrupted
from jetmill.protocol.record import Entry
from jetmill.protocol.state import CRASH_BUDGET, Reason, State
from support.bench import RETRY, SUCCESS, Hand, MemoryBench
from support.wait import eventually, soon

FORBID = build_gate("forbid", "nightly report")
FAILED = Failed(Reason.NON_RETRYABLE, RETRY.error)


async def put_plain_hint(bus: Bus, entry: Entry) -> None:
    """A hint without Jm-Seq, as anybody may put it at any time."""
    record = entry.record
    await bus.queue.publish(Hint(id=entry.id, job=record.job, band=record.band, body=encode(record)))


# cas
async def test_the_late_outcome_of_a_worker_that_was_taken_over_is_refused(
    bench: MemoryBench, one: Hand, two: Hand
) -> None:
    job = await bench.submit()
    stale = await one.start()
    bench.faults.lapse_presence(one.worker)
    bench.faults.lapse(JOB)
    fresh = await two.start()
    settled = await one.settle(stale, SUCCESS)
    assert settled.lost
    assert (await bench.last(job.id)).seq == fresh.entry.seq
    await bench.prove()


# claim-first
async def test_of_two_deliveries_of_one_job_only_one_becomes_a_claim(bench: MemoryBench, one: Hand, two: Hand) -> None:
    job = await bench.submit()
    bench.faults.duplicate(JOB, job.id)
    first, second = await one.take(), await two.take()
    claims = await asyncio.gather(one.claim(first), two.claim(second))
    assert [claim is None for claim in claims] == [False, True]
    assert await bench.states(job.id) == ["queued", "running"]


# own-lease
async def test_a_claim_whose_answer_is_lost_is_recognised_by_its_lease(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    bench.faults.drop_answer()
    claim = await one.start()
    assert claim.entry.seq == (await bench.last(job.id)).seq
    assert bytes(claim.payload or b"") == b'{"to":"ada"}'
    assert await bench.states(job.id) == ["queued", "running"]


# settle-claim
async def test_a_claim_that_is_late_in_the_network_is_sent_again_until_it_is_settled(
    bench: MemoryBench, one: Hand
) -> None:
    job = await bench.submit()
    bench.faults.delay(5.0)
    claim = await one.claim()
    bench.pass_time(6.0)
    assert claim is not None, "it would have landed later, as a claim that its worker forgot"
    assert await bench.states(job.id) == ["queued", "running"]


async def test_a_takeover_that_was_sent_is_settled_although_the_first_owner_came_back(
    bench: MemoryBench, one: Hand, two: Hand
) -> None:
    job = await bench.submit()
    await one.start()
    bench.faults.lapse_presence(one.worker)
    bench.faults.lapse(JOB)
    delivery = await two.take()
    bench.faults.delay(5.0)
    taking = asyncio.create_task(two.claim(delivery))
    await eventually(lambda: not bench.faults._armed["append"])
    back = await bench.hand(one.worker)
    claim = await soon(taking)
    assert back.worker == one.worker
    assert claim is not None
    assert (await bench.last(job.id)).record.worker == two.worker


# hint-plain
async def test_the_hint_of_a_running_job_carries_no_sequence(bench: MemoryBench, one: Hand, two: Hand) -> None:
    job = await bench.submit()
    await one.start()
    bench.faults.lose_hints(JOB, job.id)
    bench.pass_time(61)
    await bench.keeper().pass_once()
    assert (await two.take()).seq is None


# hint-due
async def test_the_hint_of_a_job_for_later_waits_for_its_time(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit(due=bench.bus.link.now() + 10_000_000)
    depth = await bench.bus.queue.depth(JOB)
    assert (depth.ready, depth.delayed) == (0, 1)
    bench.pass_time(10)
    assert (await one.start()).entry.id == job.id


# due-check
async def test_a_hint_that_comes_too_early_is_put_off_until_the_job_is_due(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit(due=bench.bus.link.now() + 10_000_000)
    bench.faults.lose_hints(JOB, job.id)
    await put_plain_hint(bench.bus, await bench.last(job.id))
    assert await one.claim() is None
    assert await bench.states(job.id) == ["scheduled"]
    assert await bench.is_hinted(job.id)
    bench.pass_time(10)
    assert (await one.start()).entry.id == job.id


# presence
async def test_a_claim_is_left_to_an_owner_who_is_present(bench: MemoryBench, one: Hand, two: Hand) -> None:
    job = await bench.submit()
    await one.start()
    bench.faults.lapse(JOB)
    assert await two.claim() is None
    assert await bench.states(job.id) == ["queued", "running"]


async def test_absence_counts_only_for_a_reader_who_was_connected_for_one_ttl(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    await one.start()
    await bench.kill(one)
    young = await bench.hand("worker-2")
    assert await young.claim() is None
    assert await bench.states(job.id) == ["queued", "running"]
    bench.pass_time(bench.lease_seconds)
    assert (await young.start()).entry.record.crashes == 1


async def test_a_worker_never_takes_its_own_claim_over(bench: MemoryBench, one: Hand, two: Hand) -> None:
    job = await bench.submit()
    await one.start()
    bench.faults.lapse_presence(one.worker)
    bench.faults.lapse(JOB)
    assert await one.claim() is None
    assert await bench.states(job.id) == ["queued", "running"]
    assert two.worker != one.worker


# crash-budget
async def test_a_job_under_which_worker_after_worker_dies_is_poison(bench: MemoryBench) -> None:
    job = await bench.submit()
    last = await bench.hand("worker-last")
    for number in range(CRASH_BUDGET + 1):
        hand = await bench.hand(f"worker-{number}")
        bench.pass_time(bench.lease_seconds)
        claim = await hand.start()
        assert claim.entry.record.crashes == number
        await bench.kill(hand)
    assert await last.claim() is None
    entry = await bench.last(job.id)
    assert (entry.record.state, entry.record.reason) == (State.FAILED, Reason.POISON)
    assert not await bench.is_hinted(job.id)
    await bench.prove()


# ack-last
async def test_a_worker_that_dies_before_its_outcome_is_stored_leaves_the_hint(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    claim = await one.start()
    bench.faults.drop_request()
    settling = asyncio.create_task(one.settle(claim))
    await eventually(lambda: not bench.faults._armed["append"])
    settling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await settling
    assert await bench.is_hinted(job.id)
    assert await bench.states(job.id) == ["queued", "running"]


# ack-only-final
async def test_a_delivery_of_a_job_that_is_claimed_elsewhere_stays_in_the_queue(
    bench: MemoryBench, one: Hand, two: Hand
) -> None:
    job = await bench.submit()
    await one.start()
    bench.faults.lapse(JOB)
    assert await two.claim() is None
    assert await bench.is_hinted(job.id)
    await bench.kill(one)
    bench.pass_time(bench.lease_seconds / 3)
    assert (await two.start()).entry.id == job.id


# at-before-ack
async def test_a_retry_keeps_its_hint_until_the_delayed_one_is_confirmed(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    claim = await one.start()
    bench.faults.drop_request("hint")
    settling = asyncio.create_task(one.settle(claim, RETRY))
    await eventually(lambda: not bench.faults._armed["hint"])
    settling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await settling
    assert await bench.states(job.id) == ["queued", "running", "retrying"]
    assert await bench.is_hinted(job.id)


# publish-until-answered
async def test_an_enqueuer_puts_its_hint_until_it_is_answered(bench: MemoryBench) -> None:
    bench.faults.drop_request("hint")
    job = await bench.submit()
    assert await bench.is_hinted(job.id)


# finish-cancelling
@pytest.mark.parametrize(
    ("outcome", "state"),
    [(SUCCESS, "succeeded"), (RETRY, "cancelled"), (FAILED, "cancelled"), (Interrupted(), "cancelled")],
)
async def test_an_outcome_refused_by_a_cancel_is_appended_to_it(
    bench: MemoryBench, one: Hand, outcome, state: str
) -> None:
    job = await bench.submit()
    claim = await one.start()
    assert (await cancel(bench.bus, job.id, by="ada")).record.state is State.CANCELLING
    settled = await one.settle(claim, outcome)
    assert not settled.lost
    assert await bench.states(job.id) == ["queued", "running", "cancelling", state]
    assert not await bench.is_hinted(job.id)
    await bench.prove()


@pytest.mark.parametrize("outcome", [RETRY, FAILED, Interrupted()])
async def test_an_outcome_under_way_while_a_push_is_looked_into_is_appended_to_the_cancel(
    bench: MemoryBench, one: Hand, outcome
) -> None:
    """The look sees `cancelling` before the outcome is refused; what was sent follows `running` all the same."""
    job = await bench.submit()
    claim = await one.start()
    await cancel(bench.bus, job.id, by="ada")
    sent = one.claimer.send_outcome(claim, outcome)
    assert await one.claimer.is_cancelled(claim)
    await one.claimer.settle(claim, outcome, sent=sent)
    assert await bench.states(job.id) == ["queued", "running", "cancelling", "cancelled"]
    await bench.prove()


# cancelling-resolved
async def test_a_cancel_whose_worker_died_is_concluded_by_another(bench: MemoryBench, one: Hand, two: Hand) -> None:
    job = await bench.submit()
    await one.start()
    await cancel(bench.bus, job.id, by="ada")
    await bench.kill(one)
    assert await two.claim() is None
    assert await bench.states(job.id) == ["queued", "running", "cancelling", "cancelled"]
    assert not await bench.is_hinted(job.id)


# purge-bound
class LatePurge:
    """A queue whose purge comes late: a person's retry is quicker."""

    def __init__(self, queue: Queue, bench: MemoryBench) -> None:
        self._queue = queue
        self._bench = bench
        self.publish = queue.publish
        self.pull = queue.pull
        self.working = queue.working
        self.last_seq = queue.last_seq
        self.hinted = queue.hinted
        self.depth = queue.depth
        self.flow = queue.flow
        self.tails = queue.tails

    async def purge(self, job: str, job_id: str, *, up_to: int) -> None:
        await retry(self._bench.bus, job_id, by="ada")
        await self._queue.purge(job, job_id, up_to=up_to)


async def test_a_cancels_purge_spares_the_hint_of_a_retry_that_came_between(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    slow = dataclasses.replace(bench.bus, queue=LatePurge(bench.bus.queue, bench))
    await cancel(slow, job.id, by="bob")
    assert await bench.states(job.id) == ["queued", "cancelled", "queued"]
    assert await bench.is_hinted(job.id)
    assert (await one.start()).entry.record.enqueueing == 2


# drain-record
async def test_a_drain_gives_the_job_back_at_no_attempt(bench: MemoryBench, one: Hand, two: Hand) -> None:
    job = await bench.submit()
    settled = await one.settle(await one.start(), Interrupted())
    assert settled.entry is not None
    assert (settled.entry.record.state, settled.entry.record.reason) == (State.QUEUED, Reason.INTERRUPTED)
    claim = await two.start()
    assert (claim.entry.record.attempt, claim.entry.record.crashes) == (1, 0)
    assert await bench.states(job.id) == ["queued", "running", "queued", "running"]
    await bench.prove()


# keeper
async def test_the_keeper_restores_a_hint_that_was_lost(bench: MemoryBench, one: Hand) -> None:
    job = await bench.submit()
    bench.faults.lose_hints(JOB, job.id)
    keeper = bench.keeper()
    assert (await keeper.pass_once()).restored == 0, "younger than a minute: its enqueuer may be about to put it"
    bench.pass_time(61)
    assert (await keeper.pass_once()).restored == 1
    claim = await one.start()
    assert bytes(claim.payload or b"") == b'{"to":"ada"}'


# keeper-all-states
@pytest.mark.parametrize("state", ["queued", "scheduled", "running", "retrying", "cancelling"])
async def test_the_keeper_looks_at_every_open_state(bench: MemoryBench, one: Hand, state: str) -> None:
    job = await bench.submit(due=bench.bus.link.now() + 10**9 if state == "scheduled" else None)
    if state in ("running", "retrying", "cancelling"):
        claim = await one.start()
        if state == "retrying":
            await one.settle(claim, dataclasses.replace(RETRY, delay_seconds=1000.0))
        if state == "cancelling":
            await cancel(bench.bus, job.id, by="ada")
    assert (await bench.last(job.id)).record.state == state
    bench.faults.lose_hints(JOB, job.id)
    bench.pass_time(61)
    assert (await bench.keeper().pass_once()).restored == 1
    assert await bench.is_hinted(job.id)


# gate
async def test_a_job_whose_gate_is_held_is_skipped(bench: MemoryBench, one: Hand, two: Hand) -> None:
    await bench.submit(gate=FORBID)
    late = await bench.submit(gate=FORBID)
    delivery = await one.take()
    assert delivery.seq is None, "a gated job is never claimed without a look"
    claim = await one.claim(delivery)
    assert claim is not None
    assert await two.claim() is None
    entry = await bench.last(late.id)
    assert (entry.record.state, entry.record.reason) == (State.SKIPPED, Reason.OVERLAP)
    await one.settle(claim)
    third = await bench.submit(gate=FORBID)
    assert (await two.start()).entry.id == third.id
    await bench.prove()


# holder-cas
async def test_of_two_that_ask_for_a_gate_at_once_one_enters(bench: MemoryBench, one: Hand, two: Hand) -> None:
    await bench.submit(gate=FORBID)
    await bench.submit(gate=FORBID)
    first, second = await one.take(), await two.take()
    claims = await asyncio.gather(one.claim(first), two.claim(second))
    assert sum(claim is not None for claim in claims) == 1
    await bench.prove()


# holder-enqueueing
async def test_a_retried_job_does_not_hold_the_gate_of_its_first_life(bench: MemoryBench, one: Hand, two: Hand) -> None:
    old = await bench.submit(gate=FORBID)
    await one.settle(await one.start(), FAILED)
    await retry(bench.bus, old.id, by="ada")
    retried = await one.take()
    new = await bench.submit(gate=FORBID)
    claim = await two.start()
    assert claim.entry.id == new.id, "the holder named the first enqueueing, which is over"
    assert await one.claim(retried) is None
    assert (await bench.last(old.id)).record.state is State.QUEUED, "what a person retries waits, it is not skipped"
    await two.settle(claim)
    bench.pass_time(2)
    assert (await one.start()).entry.id == old.id
    await bench.prove()
