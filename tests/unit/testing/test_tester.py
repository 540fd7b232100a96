"""`jetmill.testing`: what an application's tests can do, with the real worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from jetmill import JobContext, NonRetryable, Registry, RetryPolicy, State, get_client, job
from jetmill.errors import JobFailedError
from jetmill.testing import EnqueuedJob, JobTester
from support.wait import soon

registry = Registry()
sent: list[str] = []


@job(registry=registry)
async def send_email(to: str, subject: str = "hello") -> str:
    sent.append(to)
    return subject


@job(registry=registry, retry=RetryPolicy(max_retries=2, initial_delay_seconds=600, jitter=False))
async def flaky(ctx: JobContext) -> int:
    if ctx.attempt < 3:
        raise RuntimeError("not yet")
    return ctx.attempt


@job(registry=registry)
def on_a_thread(number: int) -> int:
    return number * 2


@job(registry=registry)
async def refuse() -> None:
    raise NonRetryable("never")


@job(registry=registry)
async def sign_up(name: str) -> None:
    await send_email.enqueue(to=f"{name}@example.org", subject="welcome")


@job(registry=registry)
async def wait_for_ever() -> None:
    await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def nobody_was_sent_anything() -> None:
    sent.clear()


@pytest.fixture
async def jobs() -> AsyncIterator[JobTester]:
    async with JobTester(registry=registry) as tester:
        yield tester


async def test_what_the_application_enqueued_is_asserted_by_payload(jobs: JobTester) -> None:
    await send_email.enqueue(to="ada@example.org")
    [found] = jobs.assert_enqueued(send_email, where={"to": "ada@example.org"})
    assert (found.job, found.state, found.priority) == ("send-email", State.QUEUED, "normal")
    jobs.assert_enqueued("send-email", where=lambda one: one.payload["to"].startswith("ada"), count=1)
    jobs.assert_not_enqueued(send_email, where={"to": "bob@example.org"})
    jobs.assert_not_enqueued(flaky)
    assert sent == []


async def test_an_assertion_that_fails_says_what_was_enqueued(jobs: JobTester) -> None:
    await send_email.enqueue(to="ada@example.org")
    with pytest.raises(AssertionError, match=r"(?s)a job of send-email where .*bob.*found 0.*ada@example.org.*queued"):
        jobs.assert_enqueued(send_email, where={"to": "bob"})
    with pytest.raises(AssertionError, match="2 jobs of send-email: found 1"):
        jobs.assert_enqueued(send_email, count=2)
    with pytest.raises(AssertionError):
        jobs.assert_not_enqueued(send_email)


async def test_with_nothing_enqueued_an_assertion_says_so(jobs: JobTester) -> None:
    with pytest.raises(AssertionError, match="nothing"):
        jobs.assert_enqueued(flaky)


async def test_an_enqueued_job_shows_how_it_was_called(jobs: JobTester) -> None:
    at = datetime(2031, 5, 1, tzinfo=UTC)
    await send_email.options(at=at, priority="high", user="ada", labels={"a": "b"}, max_retries=7, timeout=9).enqueue(
        to="x"
    )
    [found] = jobs.enqueued()
    assert (found.due, found.priority, found.user, dict(found.labels)) == (at, "high", "ada", {"a": "b"})
    assert (found.max_retries, found.timeout_seconds, found.state) == (7, 9, State.SCHEDULED)


async def test_draining_runs_what_is_due_by_the_real_worker(jobs: JobTester) -> None:
    handles = [await send_email.enqueue(to=f"user-{number}") for number in range(20)]
    done = await jobs.drain()
    assert {one.state for one in done} == {State.SUCCEEDED}
    assert sorted(sent) == sorted(f"user-{number}" for number in range(20))
    assert await handles[0].result(timeout=60) == "hello"


async def test_draining_runs_what_jobs_enqueue(jobs: JobTester) -> None:
    await sign_up.enqueue(name="ada")
    await jobs.drain()
    assert sent == ["ada@example.org"]


async def test_draining_nothing_is_quick_and_no_error(jobs: JobTester) -> None:
    assert await jobs.drain() == []


async def test_jobs_can_be_drained_again_and_again(jobs: JobTester) -> None:
    for name in ("ada", "bob"):
        await send_email.enqueue(to=name)
        await jobs.drain()
    assert sent == ["ada", "bob"]


async def test_handlers_on_threads_are_waited_for(jobs: JobTester) -> None:
    handle = await on_a_thread.enqueue(number=21)
    await jobs.drain()
    assert await handle.result(timeout=60) == 42


async def test_a_delayed_job_runs_when_the_clock_has_moved(jobs: JobTester) -> None:
    await send_email.options(delay=timedelta(hours=1)).enqueue(to="ada")
    await jobs.drain()
    assert sent == []
    await jobs.move(3599)
    await jobs.drain()
    assert sent == []
    await jobs.move(1)
    await jobs.drain()
    assert sent == ["ada"]


async def test_a_retry_waits_for_the_clock(jobs: JobTester) -> None:
    handle = await flaky.enqueue()
    states: list[tuple[State, int]] = []
    for _ in range(3):
        [one] = await jobs.drain()
        states.append((one.state, one.attempt))
        await jobs.move(1200)
    assert states == [(State.RETRYING, 1), (State.RETRYING, 2), (State.SUCCEEDED, 3)]
    assert await handle.result(timeout=60) == 3


async def test_draining_what_is_delayed_goes_through_retries_and_delays(jobs: JobTester) -> None:
    await flaky.enqueue()
    await send_email.options(delay=86_400).enqueue(to="ada")
    before = jobs.clock.now()
    done = await jobs.drain(delayed=True)
    assert [one.state for one in done] == [State.SUCCEEDED, State.SUCCEEDED]
    assert sent == ["ada"]
    assert jobs.clock.now() - before >= 86_400 * 1_000_000


async def test_a_job_that_fails_is_seen_and_stops_nobody(jobs: JobTester) -> None:
    handle = await refuse.enqueue()
    await send_email.enqueue(to="ada")
    failed, succeeded = await jobs.drain()
    assert (failed.state, failed.reason, succeeded.state) == (State.FAILED, "non_retryable", State.SUCCEEDED)
    with pytest.raises(JobFailedError, match="never"):
        await handle.result(timeout=60)


async def test_a_job_that_does_not_end_is_named(jobs: JobTester) -> None:
    await wait_for_ever.enqueue()
    with pytest.raises(TimeoutError, match="wait-for-ever"):
        await jobs.drain(timeout_seconds=0.2)


async def test_a_large_payload_is_shown_whole(jobs: JobTester) -> None:
    await send_email.enqueue(to="ada", subject="x" * 600_000)
    [found] = jobs.assert_enqueued(send_email, where={"subject": "x" * 600_000})
    assert isinstance(found, EnqueuedJob)
    await jobs.drain()
    assert sent == ["ada"]


async def test_inline_jobs_run_as_soon_as_they_are_enqueued() -> None:
    async with JobTester(inline=True, registry=registry) as jobs:
        handle = await send_email.enqueue(to="ada")
        assert await soon(handle.result()) == "hello"
        await send_email.options(delay=60).enqueue(to="bob")
        await jobs.move(60)
        assert sent == ["ada", "bob"]
        await sign_up.enqueue(name="eve")
        await jobs.drain()
        assert sent[2:] == ["eve@example.org"]


async def test_testers_share_nothing_and_leave_the_process_as_it_was() -> None:
    async with JobTester(registry=registry) as outer:
        await send_email.enqueue(to="ada")
        async with JobTester(registry=registry) as inner:
            assert await get_client() is inner.client
            inner.assert_not_enqueued(send_email)
        assert await get_client() is outer.client
        outer.assert_enqueued(send_email, count=1)


async def test_a_lost_answer_makes_no_second_job(jobs: JobTester) -> None:
    jobs.faults.drop_answer()
    await send_email.enqueue(to="ada")
    await jobs.drain()
    jobs.assert_enqueued(send_email, count=1)
    assert sent == ["ada"]


async def test_jobs_with_one_key_run_one_after_the_other_and_one_is_skipped(jobs: JobTester) -> None:
    one_at_a_time = send_email.options(concurrency_key="ada")
    for _ in range(3):
        await one_at_a_time.enqueue("ada@example.org")
    await one_at_a_time.options(concurrency_policy="skip").enqueue("late@example.org")
    ended = await jobs.drain(delayed=True)
    assert {job.concurrency_key for job in ended} == {"ada"}
    assert {job.state for job in ended if job.concurrency_policy == "wait"} == {State.SUCCEEDED}
    assert {job.state for job in ended if job.concurrency_policy == "skip"} <= {State.SUCCEEDED, State.SKIPPED}
    assert sent.count("ada@example.org") == 3
