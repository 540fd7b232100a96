"""Enqueueing: the same id is the same job, one bad item stops no good one, nothing hangs."""

from __future__ import annotations

import asyncio

import pytest

from factories import JOB, make_call, make_payload_ref
from jetmill.errors import BusError, InvalidNameError, PermissionDeniedError
from jetmill.ledger.bulk import WINDOW
from jetmill.ledger.submit import Submission, Submitted, submit_many
from support.bench import Hand, MemoryBench

pytestmark = pytest.mark.virtual_time


async def test_a_job_is_in_the_ledger_before_its_hint_is_in_the_queue(bench: MemoryBench) -> None:
    bench.faults.fail(PermissionDeniedError("no", subject="jm.default.q.>"), "hint")
    with pytest.raises(PermissionDeniedError):
        await bench.submit(id="order-1")
    assert await bench.states("order-1") == ["queued"]


async def test_the_same_id_again_is_the_same_job(bench: MemoryBench) -> None:
    first, second = await bench.submit(id="order-1"), await bench.submit(id="order-1", payload=b'{"to":"bob"}')
    assert (first.created, second.created) == (True, False)
    assert first.seq == second.seq
    assert await bench.states("order-1") == ["queued"]


async def test_the_same_id_at_the_same_time_is_one_job(bench: MemoryBench) -> None:
    both = await asyncio.gather(bench.submit(id="order-1"), bench.submit(id="order-1"))
    assert sorted(one.created for one in both) == [False, True]
    assert await bench.states("order-1") == ["queued"]


async def test_a_lost_answer_makes_no_second_job(bench: MemoryBench) -> None:
    bench.faults.drop_answer()
    job = await bench.submit(id="order-1")
    assert job.created
    assert await bench.states("order-1") == ["queued"]
    assert await bench.is_hinted("order-1")


async def test_a_request_that_is_late_makes_no_second_job(bench: MemoryBench) -> None:
    bench.faults.delay(1.0)
    await bench.submit(id="order-1")
    bench.pass_time(2.0)
    assert await bench.states("order-1") == ["queued"]


async def test_an_id_enqueued_again_gets_its_hint_again_payload_included(bench: MemoryBench, one: Hand) -> None:
    await bench.submit(id="order-1", call=make_call())
    bench.faults.lose_hints(JOB, "order-1")
    await bench.submit(id="order-1")
    claim = await one.start()
    assert bytes(claim.payload or b"") == b'{"to":"ada"}'
    assert claim.call == make_call()


async def test_an_id_of_a_finished_job_enqueued_again_runs_nothing(bench: MemoryBench, one: Hand) -> None:
    await bench.submit(id="order-1")
    await one.settle(await one.start())
    assert not (await bench.submit(id="order-1")).created
    assert await bench.states("order-1") == ["queued", "running", "succeeded"]
    assert not await bench.is_hinted("order-1")


async def test_a_full_ledger_is_an_error_not_a_hang(bench: MemoryBench) -> None:
    bench.faults.full = True
    with pytest.raises(BusError):
        await bench.submit()


def unheard() -> BusError:
    return BusError("nobody hears this subject", code=503)


async def test_a_server_that_ends_or_begins_is_waited_for(bench: MemoryBench) -> None:
    """It answers for a moment as one without the stream would."""
    bench.faults.fail(unheard())
    bench.faults.fail(unheard(), "hint")
    job = await bench.submit(id="order-1")
    assert job.created
    assert await bench.is_hinted("order-1")


async def test_a_server_that_ends_or_begins_is_waited_for_with_many_jobs(bench: MemoryBench) -> None:
    for _ in range(3):
        bench.faults.fail(unheard())
    bench.faults.fail(unheard(), "hint")
    results = await submit_many(bench.bus, submissions(5), by="client:test")
    assert all(isinstance(result, Submitted) and result.created for result in results)
    assert (await bench.bus.queue.depth(JOB)).ready == 5


@pytest.mark.parametrize("bad", ["a.b", "a b", "*", ">", "A", "", "x" * 64])
async def test_a_name_that_could_be_no_subject_token_is_refused(bench: MemoryBench, bad: str) -> None:
    with pytest.raises(InvalidNameError):
        await bench.submit(id=bad)
    with pytest.raises(InvalidNameError):
        await bench.submit(job=bad)


async def test_a_payload_in_the_object_store_is_pointed_to(bench: MemoryBench, one: Hand) -> None:
    await bench.submit(payload_ref=make_payload_ref())
    claim = await one.start()
    assert (claim.payload, claim.payload_ref) == (None, make_payload_ref())


def submissions(count: int) -> list[Submission]:
    return [Submission(job=JOB, payload=b'{"n":%d}' % number) for number in range(count)]


async def test_jobs_of_several_windows_are_enqueued_in_one_call_in_order(bench: MemoryBench) -> None:
    count = 2 * WINDOW + 500
    results = await submit_many(bench.bus, submissions(count), by="client:test")
    jobs = [result for result in results if isinstance(result, Submitted)]
    assert len(jobs) == len({job.id for job in jobs}) == count
    assert [job.seq for job in jobs] == sorted(job.seq for job in jobs)
    assert (await bench.bus.queue.depth(JOB)).ready == count
    await bench.prove()


async def test_items_that_fail_stop_no_others(bench: MemoryBench) -> None:
    items = submissions(5)
    items[1] = Submission(job="No Such Name")
    bench.faults.drop_answer()
    bench.faults.drop_request()
    bench.faults.fail(BusError("maximum bytes exceeded", code=10077))
    bench.faults.drop_request("hint")
    results = await submit_many(bench.bus, items, by="client:test")
    assert [isinstance(result, Submitted) for result in results] == [True, False, True, False, True]
    assert isinstance(results[1], InvalidNameError)
    assert isinstance(results[3], BusError)
    assert (await bench.bus.queue.depth(JOB)).ready == 3


async def test_an_id_that_occurs_twice_in_a_call_is_one_job(bench: MemoryBench) -> None:
    items = [Submission(job=JOB, id="order-1"), *submissions(WINDOW), Submission(job=JOB, id="order-1")]
    results = await submit_many(bench.bus, items, by="client:test")
    first, last = results[0], results[-1]
    assert isinstance(first, Submitted)
    assert isinstance(last, Submitted)
    assert (first.created, last.created, first.seq == last.seq) == (True, False, True)


async def test_ids_that_are_there_already_are_found_in_bulk(bench: MemoryBench) -> None:
    await bench.submit(id="order-1")
    results = await submit_many(bench.bus, [Submission(job=JOB, id="order-1"), *submissions(2)], by="client:test")
    assert [isinstance(result, Submitted) and result.created for result in results] == [False, True, True]
