"""A worker's life: what it serves, how it stops, what it says of itself."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from jetmill.bus.connect import connect
from jetmill.bus.ports import Delivery, Pull, Queue
from jetmill.errors import ConfigError
from jetmill.ledger.claim import Claimer
from jetmill.protocol.record import Band, ErrorInfo
from jetmill.protocol.state import CRASH_BUDGET, Reason, State
from jetmill.worker import JobContext, Worker, WorkerSettings
from support.rig import Rig
from support.wait import eventually, soon


async def test_a_worker_with_nothing_to_serve_says_so(rig: Rig) -> None:
    with pytest.raises(ConfigError, match="nothing to serve"):
        await rig.start()


async def test_presence_is_there_while_it_serves_and_gone_afterwards(rig: Rig) -> None:
    @rig.job
    async def noop() -> None: ...

    worker = await rig.start(concurrency=7, pod="noop-worker-1")
    [presence] = await rig.bus.presence.all()
    assert (presence.worker, presence.pod, presence.jobs) == (worker.id, "noop-worker-1", ["noop"])
    assert not presence.draining
    await eventually(lambda: _presence_slots(rig, 7))
    await worker.close()
    assert await rig.bus.presence.all() == []


async def _presence_slots(rig: Rig, slots: int) -> bool:
    [presence] = await rig.bus.presence.all()
    return presence.slots == slots


async def test_closing_lets_jobs_end_within_the_grace_period(rig: Rig) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    @rig.job
    async def work() -> str:
        started.set()
        await go.wait()
        return "done"

    worker = await rig.start(grace_seconds=20.0)
    handle = await rig.client.enqueue(work)
    await soon(started.wait())
    closing = asyncio.ensure_future(worker.close())
    await eventually(lambda: worker.service.find_unready() == "draining")
    later = await rig.client.enqueue(work)
    go.set()
    assert await soon(closing) is True
    assert (await handle.status()).state is State.SUCCEEDED
    assert (await later.status()).state is State.QUEUED


@pytest.mark.parametrize("on_thread", [False, True])
async def test_what_outlasts_the_grace_period_goes_back_at_no_attempt(rig: Rig, on_thread: bool) -> None:
    started = asyncio.Event()
    loop = asyncio.get_running_loop()
    if on_thread:

        @rig.job(name="work")
        def handler(ctx: JobContext) -> None:
            loop.call_soon_threadsafe(started.set)
            ctx.cancelled.wait(20)
            raise InterruptedError

    else:

        @rig.job(name="work")
        async def handler(ctx: JobContext) -> None:
            started.set()
            await asyncio.Event().wait()

    worker = await rig.start(grace_seconds=0.0, stop_seconds=10.0)
    handle = await rig.client.enqueue("work")
    await soon(started.wait())
    assert await soon(worker.close()) is True
    last = await rig.bus.ledger.read(handle.id)
    assert last is not None
    assert (last.record.state, last.record.reason, last.record.attempt) == (State.QUEUED, Reason.INTERRUPTED, 1)
    started.clear()
    await rig.start()
    await soon(started.wait())  # another worker has it at once


async def test_stopping_now_leaves_a_handler_that_will_not_stop(rig: Rig) -> None:
    started, end = asyncio.Event(), asyncio.Event()

    @rig.job
    async def stubborn() -> None:
        started.set()
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                continue

    worker = await rig.start(grace_seconds=60.0, stop_seconds=60.0)
    handle = await rig.client.enqueue(stubborn)
    await soon(started.wait())
    closing = asyncio.ensure_future(worker.close())
    worker.service.stop_now()
    assert await soon(closing) is True
    assert (await handle.status()).state is State.QUEUED
    end.set()


async def test_a_worker_recycles_after_so_many_jobs(rig: Rig) -> None:
    @rig.job
    async def noop() -> None: ...

    worker = await rig.start(max_jobs=3, concurrency=1)
    for _ in range(5):
        await rig.client.enqueue(noop)
    assert await soon(worker.service.stopped) == "recycled"


async def test_a_worker_recycles_when_it_has_grown_too_large(rig: Rig) -> None:
    @rig.job
    async def noop() -> None: ...

    worker = await rig.start(max_rss_bytes=1_000_000)
    assert await soon(worker.service.stopped) == "recycled"


async def test_a_job_whose_handler_is_unknown_waits_at_no_attempt_and_fails_in_the_end(rig: Rig) -> None:
    @rig.job
    async def known() -> None: ...

    await rig.declare("new", max_retries=5)
    await rig.start(jobs=("new", "known"))
    handle = await rig.client.enqueue("new")
    await rig.run(known)
    assert (await handle.status()).state is State.QUEUED
    rig.world.clock.move(901)
    await soon(handle.wait())
    status = await handle.status()
    assert (status.state, status.reason, status.attempt) == (State.FAILED, Reason.UNKNOWN_HANDLER, 1)
    assert status.error is not None
    assert "known: known" in status.error.message


@pytest.mark.field("Job.spec.handler")
async def test_a_manifests_handler_is_imported(rig: Rig) -> None:
    await rig.declare("length", handler="unit.worker.plain_jobs:length")
    await rig.declare("nowhere", handler="unit.worker.plain_jobs:nowhere")
    worker = await rig.start(jobs=("length", "nowhere"))
    assert (await rig.run("length", {"text": "abc"})).result == 3
    assert "has no nowhere" in worker.service._served["nowhere"].missing


@pytest.mark.field("Job.spec.timeoutSeconds")
async def test_a_manifest_that_changes_counts_for_the_next_job(rig: Rig) -> None:
    @rig.job
    async def tell(ctx: JobContext) -> float:
        return (ctx.deadline - ctx.started).total_seconds()

    await rig.declare("tell", timeout_seconds=5.0)
    await rig.start()
    assert (await rig.run(tell)).result == 5
    await rig.declare("tell", timeout_seconds=6.0, concurrency=3)
    assert await eventually(lambda: _result_is(rig, tell, 6))


class _Renewals:
    """The queue in memory, and which Jobs' pulls were renewed."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.jobs: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.queue, name)

    def pull(self, job: str, band: Band, on_delivery: Callable[[Delivery], None]) -> Pull:
        pull = self.queue.pull(job, band, on_delivery)
        return cast("Pull", _RenewedPull(pull, lambda: self.jobs.append(job)))


class _RenewedPull:
    def __init__(self, pull: Pull, renew: Callable[[], None]) -> None:
        self.pull = pull
        self.renew = renew

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pull, name)


async def test_a_job_that_is_suspended_no_more_is_asked_for_anew(rig: Rig) -> None:
    @rig.job
    async def resting() -> int:
        return 1

    @rig.job
    async def other() -> None: ...

    await rig.declare("resting", suspend=True)
    bus = await connect(rig.connection.bus_options())
    renewals = _Renewals(bus.queue)
    settings = WorkerSettings(connection=rig.connection, jobs=("resting", "other"), grace_seconds=0.0)
    async with Worker(settings=settings, registry=rig.registry, bus=replace(bus, queue=cast("Queue", renewals))):
        handle = await rig.client.enqueue("resting")
        await rig.declare("resting", suspend=True, concurrency=3)
        assert renewals.jobs == []
        await rig.declare("resting")
        assert await soon(handle.result()) == 1
        assert set(renewals.jobs) == {"resting"}
    await bus.link.close()


async def _result_is(rig: Rig, handler: object, wanted: float) -> bool:
    return bool((await rig.run(handler)).result == wanted)  # type: ignore[arg-type]


async def test_poison_and_expired_jobs_reach_on_failure_too(rig: Rig) -> None:
    told: list[tuple[str, str, str | None]] = []

    async def note(ctx: JobContext, error: ErrorInfo) -> None:
        told.append((ctx.id, error.type, ctx.user))

    @rig.job(on_failure=note)
    async def work() -> None: ...

    await rig.client.connect()
    await rig.bus.admin.apply_job(work.settings())
    poison = await rig.client.enqueue(work, user="ada")
    for number in range(CRASH_BUDGET + 1):
        await _crash(rig, f"crashed-{number}")
    late = await rig.client.enqueue(work, start_by=datetime.now(UTC) + timedelta(seconds=1), delay=10)
    rig.world.clock.move(60)
    await rig.start()
    await soon(late.wait())
    rig.world.clock.move(31)  # absence counts only for who has been connected for one lease
    await soon(poison.wait())
    assert (await poison.status()).reason is Reason.POISON
    assert (await late.status()).reason is Reason.EXPIRED
    await eventually(lambda: len(told) == 2)
    assert sorted(told) == sorted([(poison.id, "WorkerLost", "ada"), (late.id, "expired", None)])


async def _crash(rig: Rig, worker: str) -> None:
    """Claim the next job as a worker that is never heard of again."""
    claimer = Claimer(rig.bus, worker=worker, lease_seconds_of=lambda _: 30.0, presence_ttl_seconds=lambda: 0.0)
    got: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    pull = rig.bus.queue.pull("work", "normal", lambda delivery: got.done() or got.set_result(delivery))  # type: ignore[arg-type, func-returns-value]
    pull.want(1)
    rig.world.clock.move(31)
    delivery = await soon(got)
    pull.stop()
    assert await claimer.claim(delivery, max_retries=lambda _: 3) is not None  # type: ignore[arg-type]


async def test_on_failure_may_be_a_plain_function_and_may_raise(rig: Rig) -> None:
    told = []

    def note(ctx: JobContext, error: ErrorInfo) -> None:
        told.append(error.message)
        raise RuntimeError

    @rig.job(on_failure=note, max_retries=0)
    async def fail() -> None:
        raise ValueError("no")

    await rig.start()
    assert (await rig.run(fail)).reason is Reason.EXHAUSTED
    await eventually(lambda: told == ["no"])


async def test_probes_and_metrics_are_answered_on_a_port_of_their_own(rig: Rig) -> None:
    @rig.job(max_retries=0)
    async def work(fail: bool) -> None:
        if fail:
            raise ValueError

    worker = await rig.start(health_port=0, health_host="127.0.0.1", concurrency=9)
    await rig.run(work, {"fail": False})
    await rig.run(work, {"fail": True})
    await eventually(lambda: worker.service.metrics.of("work").outcomes["failed"] == 1)
    assert await _get(worker.health_port, "/livez") == (200, "ok\n")
    assert await _get(worker.health_port, "/readyz") == (200, "ok\n")
    assert (await _get(worker.health_port, "/else"))[0] == 404
    _, text = await _get(worker.health_port, "/metrics")
    for line in (
        'jetmill_jobs_finished_total{job="work",namespace="default",outcome="succeeded"} 1.0',
        'jetmill_jobs_finished_total{job="work",namespace="default",outcome="failed"} 1.0',
        'jetmill_job_failures_total{job="work",namespace="default",reason="exhausted"} 1.0',
        'jetmill_job_run_duration_seconds_count{job="work",namespace="default"} 2.0',
        'jetmill_worker_slots{namespace="default"} 9.0',
        "jetmill_nats_connected",
        "jetmill_build_info",
    ):
        assert line in text
    worker.service.stop_now()
    assert await _get(worker.health_port, "/readyz") == (503, "draining\n")


async def _get(port: int | None, path: str) -> tuple[int, str]:
    def get() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as err:
            with err:
                return err.code, err.read().decode()

    return await asyncio.to_thread(get)


async def test_an_outcome_is_kept_while_the_bus_is_away(rig: Rig) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    @rig.job
    async def work() -> str:
        started.set()
        await go.wait()
        return "kept"

    await rig.start()
    handle = await rig.client.enqueue(work)
    await soon(started.wait())
    rig.world.faults.full = True
    go.set()
    for _ in range(10):
        await asyncio.sleep(0.01)
    assert (await handle.status()).state is State.RUNNING
    rig.world.faults.full = False
    assert await soon(handle.result()) == "kept"


async def test_a_script_without_configuration_runs_its_own_jobs(rig: Rig) -> None:
    from jetmill.client.client import Client
    from jetmill.client.settings import ClientSettings

    @rig.job
    async def add(a: int, b: int) -> int:
        return a + b

    async with Client(ClientSettings(url=f"{rig.url}-own"), registry=rig.registry) as client:
        handle = await client.enqueue(add, {"a": 1, "b": 2})
        assert await soon(handle.result()) == 3
