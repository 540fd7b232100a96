"""How attempts end: retries, timeouts, cancels, payloads and results."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from jetmill.client.flow import NonRetryable, RetryAfter
from jetmill.protocol.codec import INLINE_BYTES
from jetmill.protocol.retry import RetryPolicy
from jetmill.protocol.state import Reason, State
from jetmill.worker import JobContext, current_job
from support.rig import Rig
from support.wait import eventually, soon

AT_ONCE = RetryPolicy(max_retries=2, initial_delay_seconds=0.0)


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


async def test_an_attempt_that_fails_is_tried_again_until_it_succeeds(rig: Rig) -> None:
    attempts = []

    @rig.job(retry=AT_ONCE)
    async def flaky(ctx: JobContext) -> str:
        attempts.append(ctx.attempt)
        if ctx.attempt < 3:
            raise ValueError("not yet")
        return "done"

    await rig.start()
    status = await rig.run(flaky)
    assert (status.state, status.result, status.attempt) == (State.SUCCEEDED, "done", 3)
    assert attempts == [1, 2, 3]


@pytest.mark.parametrize(
    ("error", "attempts", "reason", "kind"),
    [
        (ValueError("no"), 3, Reason.EXHAUSTED, "ValueError"),
        (NonRetryable("never"), 1, Reason.NON_RETRYABLE, "jetmill.client.flow.NonRetryable"),
        (RetryAfter(0), 3, Reason.EXHAUSTED, "jetmill.client.flow.RetryAfter"),
        (SystemExit(1), 3, Reason.EXHAUSTED, "SystemExit"),
        (KeyboardInterrupt(), 3, Reason.EXHAUSTED, "KeyboardInterrupt"),
        (asyncio.CancelledError(), 3, Reason.EXHAUSTED, "asyncio.exceptions.CancelledError"),
        (StopIteration(), 3, Reason.EXHAUSTED, None),
        (SpeechlessError(), 3, Reason.EXHAUSTED, None),
    ],
)
@pytest.mark.parametrize("on_thread", [False, True])
async def test_whatever_a_handler_raises_is_its_outcome(
    rig: Rig, error: BaseException, attempts: int, reason: Reason, kind: str | None, on_thread: bool
) -> None:
    if on_thread:

        @rig.job(name="raise", retry=AT_ONCE)
        def handler() -> None:
            raise error
    else:

        @rig.job(name="raise", retry=AT_ONCE)
        async def handler() -> None:
            raise error

    await rig.start()
    status = await rig.run("raise")
    assert (status.state, status.reason, status.attempt) == (State.FAILED, reason, attempts)
    assert status.error is not None
    assert kind is None or status.error.type == kind
    assert len(status.error.traceback.encode()) <= 16_384


async def test_retry_after_says_when(rig: Rig) -> None:
    @rig.job
    async def later() -> None:
        raise RetryAfter(timedelta(hours=2))

    await rig.start()
    handle = await rig.client.enqueue(later)
    status = await eventually(lambda: _in_state(handle, State.RETRYING))
    last = await rig.bus.ledger.read(status.id)
    assert last is not None
    assert last.record.due is not None
    assert last.record.due - last.record.time == 7_200_000_000


async def _in_state(handle: Any, state: State) -> Any:
    status = await handle.status()
    return status if status.state is state else None


@pytest.mark.parametrize(("error", "attempts"), [(KeyError("k"), 3), (ValueError("v"), 1)])
async def test_only_what_retry_on_names_is_tried_again(rig: Rig, error: Exception, attempts: int) -> None:
    @rig.job(retry=AT_ONCE, retry_on=(LookupError,))
    async def choosy() -> None:
        raise error

    await rig.start()
    assert (await rig.run(choosy)).attempt == attempts


@pytest.mark.field("Job.spec.timeoutSeconds", "Job.spec.retry.maxRetries")
async def test_a_call_outranks_the_manifest_which_outranks_the_decorator(rig: Rig) -> None:
    @rig.job(max_retries=5, timeout_seconds=50)
    async def fail(ctx: JobContext) -> None:
        raise ValueError(f"{(ctx.deadline - ctx.started).total_seconds():g}")

    await rig.declare("fail", max_retries=1, timeout_seconds=20.0, initial_delay_seconds=0.0)
    await rig.start()
    status = await rig.run(fail)
    assert (status.attempt, status.error and status.error.message) == (2, "20")
    status = await rig.run(fail, max_retries=0, timeout=7)
    assert (status.attempt, status.error and status.error.message) == (1, "7")


async def test_an_attempt_that_runs_too_long_is_stopped_and_tried_again(rig: Rig) -> None:
    cancelled = []

    @rig.job(timeout_seconds=0.1, retry=RetryPolicy(max_retries=1, initial_delay_seconds=0.0))
    async def slow(ctx: JobContext) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(bool(ctx.cancelled))
            raise

    await rig.start()
    status = await rig.run(slow)
    assert (status.reason, status.attempt, cancelled) == (Reason.TIMEOUT, 2, [True, True])


@pytest.mark.parametrize("on_thread", [False, True])
async def test_a_running_job_that_is_cancelled_stops(rig: Rig, on_thread: bool) -> None:
    started = asyncio.Event()
    loop = asyncio.get_running_loop()
    if on_thread:

        @rig.job(name="wait")
        def handler(ctx: JobContext) -> None:
            loop.call_soon_threadsafe(started.set)
            if ctx.cancelled.wait(20):
                raise InterruptedError

    else:

        @rig.job(name="wait")
        async def handler(ctx: JobContext) -> None:
            started.set()
            await ctx.cancelled
            raise InterruptedError

    await rig.start(stop_seconds=10.0)
    handle = await rig.client.enqueue("wait")
    await soon(started.wait())
    await handle.cancel()
    await soon(handle.wait())
    assert (await handle.status()).state is State.CANCELLED


async def test_a_cancelled_job_whose_handler_ends_well_has_succeeded(rig: Rig) -> None:
    started = asyncio.Event()

    @rig.job
    async def stubborn() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "too late"
        return ""

    await rig.start()
    handle = await rig.client.enqueue(stubborn)
    await soon(started.wait())
    await handle.cancel()
    assert await soon(handle.result()) == "too late"


async def test_a_push_alone_stops_nothing(rig: Rig) -> None:
    """Anybody may send a push; only the ledger says that a job is cancelled."""
    started, go = asyncio.Event(), asyncio.Event()

    @rig.job
    async def work() -> str:
        started.set()
        await go.wait()
        return "done"

    await rig.start()
    handle = await rig.client.enqueue(work)
    await soon(started.wait())
    rig.bus.signals.cancel(handle.id)
    for _ in range(20):
        await asyncio.sleep(0)
    go.set()
    assert await soon(handle.result()) == "done"


async def test_a_payload_that_does_not_fit_is_never_tried_again(rig: Rig) -> None:
    @rig.job
    async def send(to: str, count: int) -> None: ...

    await rig.start()
    status = await rig.run("send", b'{"to": "a", "count": "many"}')
    assert (status.state, status.reason, status.attempt) == (State.FAILED, Reason.INVALID_PAYLOAD, 1)
    assert status.error is not None
    assert "count: " in status.error.message


class Order(BaseModel):
    id: int
    at: datetime


async def test_models_and_times_go_both_ways(rig: Rig) -> None:
    @rig.job
    async def echo(order: Order) -> dict[str, Any]:
        assert isinstance(order, Order)
        return {"orders": [order], "at": order.at}

    await rig.start()
    at = datetime(2026, 11, 24, 9, tzinfo=UTC)
    status = await rig.run(echo, {"order": Order(id=1, at=at)})
    assert status.result == {"orders": [{"id": 1, "at": "2026-11-24T09:00:00Z"}], "at": "2026-11-24T09:00:00Z"}


@pytest.mark.parametrize(
    "value", [object(), float("nan"), {"a": [float("inf")]}, {1, 2j}, "\ud800", b"\xff" and {("a",): 1}]
)
async def test_a_result_that_is_no_json_fails_without_another_run(rig: Rig, value: Any) -> None:
    @rig.job
    async def give() -> Any:
        return value

    await rig.start()
    status = await rig.run(give)
    assert (status.reason, status.attempt) == (Reason.INVALID_RESULT, 1)


async def test_large_payloads_and_results_go_by_the_object_store(rig: Rig) -> None:
    @rig.job
    async def double(text: str) -> str:
        return text * 2

    await rig.declare("double", payload_max_bytes=10_000_000)
    await rig.start()
    text = "x" * (INLINE_BYTES + 1)
    handle = await rig.client.enqueue(double, {"text": text})
    assert await soon(handle.result()) == text * 2
    last = await rig.bus.ledger.read(handle.id)
    assert last is not None
    assert last.record.result_ref is not None


async def test_a_result_over_the_limit_fails_while_others_go_on(rig: Rig) -> None:
    @rig.job
    async def give(size: int) -> str:
        return "x" * size

    await rig.start(result_max_bytes=1_000)
    big, small = await asyncio.gather(rig.run(give, {"size": 2_000}), rig.run(give, {"size": 10}))
    assert (big.reason, small.state) == (Reason.INVALID_RESULT, State.SUCCEEDED)


async def test_the_context_tells_the_job(rig: Rig) -> None:
    seen: list[JobContext] = []

    @rig.job
    async def look(ctx: JobContext) -> None:
        assert current_job() is ctx
        ctx.log("hello", size=3)
        seen.append(ctx)

    worker = await rig.start()
    before = datetime.now(UTC)
    status = await rig.run(look, user="ada", labels={"team": "shop"}, timeout=60)
    [ctx] = seen
    assert (ctx.id, ctx.job, ctx.attempt, ctx.user) == (status.id, "look", 1, "ada")
    assert (ctx.labels, ctx.worker, ctx.namespace) == ({"team": "shop"}, worker.id, "default")
    assert before - timedelta(seconds=1) <= ctx.enqueued <= ctx.started
    assert ctx.scheduled == ctx.enqueued
    assert ctx.deadline - ctx.started == timedelta(seconds=60)
    assert ctx.started.tzinfo is UTC
    assert current_job() is None


async def test_a_handler_enqueues_and_publishes_on_the_workers_connection(rig: Rig) -> None:
    @rig.job
    async def child(n: int) -> int:
        return n

    @rig.job
    async def parent(ctx: JobContext) -> str:
        await ctx.publish("order.shipped", {"n": 1})
        return await ctx.enqueue(child, {"n": 4}, labels={"from": ctx.id})

    @rig.job
    def parent_on_thread(ctx: JobContext) -> str:
        ctx.publish_sync("order.shipped", {"n": 2})
        return ctx.enqueue_sync("child", {"n": 5})

    await rig.start()
    for handler, answer in ((parent, 4), (parent_on_thread, 5)):
        status = await rig.run(handler, user="ada")
        assert await soon(rig.client.result(status.result)) == answer
        assert (await rig.client.status(status.result)).user == "ada"


async def test_a_job_sees_nothing_of_another_jobs_context_variables(rig: Rig) -> None:
    import contextvars

    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")

    @rig.job
    async def taint(ctx: JobContext, again: bool) -> str:
        seen = variable.get()
        variable.set("dirty")
        if again:
            return await ctx.enqueue(taint, {"again": False})
        return seen

    await rig.start()
    first = await rig.run(taint, {"again": True})
    assert await soon(rig.client.result(first.result)) == "clean"
