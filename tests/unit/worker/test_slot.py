"""What a worker does when something goes wrong around a handler: a claim that was accepted ends in a record."""

from __future__ import annotations

import asyncio
import gc
import math
from dataclasses import replace
from typing import Any, cast

import pytest

from jetmill.bus.connect import connect
from jetmill.bus.ports import Ledger
from jetmill.client.filter import Filter
from jetmill.client.flow import RetryAfter
from jetmill.errors import NoAnswerError
from jetmill.ledger.reopen import retry
from jetmill.ledger.submit import Submission, submit
from jetmill.ledger.verify import verify
from jetmill.protocol.codec import encode
from jetmill.protocol.outcome import Outcome, Retry, Succeeded
from jetmill.protocol.record import Call, Entry, ErrorInfo
from jetmill.protocol.state import State
from jetmill.protocol.step import build_claim, build_success
from jetmill.worker import JobContext, Worker, WorkerSettings
from jetmill.worker.served import Served
from support.rig import Rig
from support.wait import eventually, soon

pytestmark = pytest.mark.virtual_time


class BrokenServed(Served):
    """A Job that cannot say for how long it may run."""

    def timeout_seconds(self, call: Call) -> float:
        raise LookupError("no timeout")


async def last_of(rig: Rig, job_id: str) -> Entry:
    last = await rig.bus.ledger.read(job_id)
    assert last is not None
    return last


async def is_emptied(worker: Worker) -> None:
    """Nothing is left in hand, and no slot is taken."""
    slots, intake = worker.service._slots, worker.service._intake
    assert slots is not None
    assert intake is not None
    await eventually(lambda: (slots.in_hand, len(intake.in_hand), intake.running) == (0, 0, 0))
    assert not slots.attempts


@pytest.mark.parametrize("answered", [True, False])
async def test_a_claim_that_cannot_become_an_attempt_fails_and_says_why(rig: Rig, answered: bool) -> None:
    """Kept in hand it would take the slot; forgotten, its claim would block the job for as long as the worker lives."""

    @rig.job
    async def work() -> None: ...

    worker = await rig.start(concurrency=1)
    served = worker.service._served
    whole = served["work"]
    served["work"] = BrokenServed(whole.settings, whole.handler)
    handle = await rig.client.enqueue(work, timeout=60, delay=10)
    if not answered:
        rig.world.faults.drop_answer()
    rig.world.clock.move(10)
    await soon(handle.wait())
    status = await handle.status()
    assert (status.state, status.error and status.error.type) == (State.FAILED, "LookupError")
    await is_emptied(worker)
    served["work"] = whole
    assert (await rig.run(work, timeout=60)).state is State.SUCCEEDED


async def test_an_attempt_that_cannot_be_begun_has_failed(rig: Rig) -> None:
    """No clock goes as far as this timeout."""

    @rig.job(max_retries=0)
    async def work() -> None: ...

    worker = await rig.start(concurrency=1)
    job = await submit(rig.bus, Submission(job="work", call=Call(timeout_seconds=1e308)), by="client:test")
    await soon(rig.client.wait(job.id))
    status = await rig.client.status(job.id)
    assert (status.state, status.error and status.error.type) == (State.FAILED, "OverflowError")
    await is_emptied(worker)


async def test_an_outcome_that_no_record_can_hold_is_a_failure(rig: Rig) -> None:
    class Never(RetryAfter):
        def __init__(self) -> None:
            self.seconds = math.inf

    @rig.job
    async def work() -> None:
        raise Never

    worker = await rig.start()
    status = await rig.run(work)
    assert (status.state, status.error and status.error.type) == (State.FAILED, "OverflowError")
    await is_emptied(worker)


@pytest.mark.parametrize(
    "elected",
    [
        Succeeded(b"no json"),
        Retry(math.nan, ErrorInfo(type="Late", message="")),
        Retry("soon", ErrorInfo(type="Late", message="")),  # type: ignore[arg-type]
    ],
)
async def test_a_filter_cannot_elect_what_no_record_can_hold(rig: Rig, elected: Outcome) -> None:
    class Careless(Filter):
        def on_state_election(self, ctx: Any, outcome: Outcome) -> Outcome:
            return elected

    @rig.job(filters=[Careless()])
    async def work() -> int:
        return 1

    worker = await rig.start()
    assert (await rig.run(work)).result == 1
    assert (await verify(rig.bus)).clean
    await is_emptied(worker)


async def test_a_cancel_that_comes_after_the_handler_costs_an_attempt_and_not_the_job(rig: Rig) -> None:
    """A handler may leave behind what cancels its task; around it there is more to wait for."""

    class Patient(Filter):
        async def on_performed(self, ctx: Any, outcome: Outcome) -> None:
            for _ in range(5):
                await asyncio.sleep(0)

    @rig.job(filters=[Patient()])
    async def work(ctx: JobContext) -> int:
        task = asyncio.current_task()
        if ctx.attempt == 1 and task is not None:
            asyncio.get_running_loop().call_soon(task.cancel)
        return ctx.attempt

    await rig.declare("work", initial_delay_seconds=0.0)
    worker = await rig.start()
    assert (await rig.run(work)).result == 2
    await is_emptied(worker)


async def test_a_handler_whose_claim_was_lost_makes_way_for_the_next_of_its_job(rig: Rig) -> None:
    """Taken over, finished and reopened elsewhere meanwhile: the second attempt here must be found by its id."""
    running: list[asyncio.Event] = []
    cancelled: list[int] = []

    @rig.job
    async def work(ctx: JobContext) -> None:
        number, stop = len(running), asyncio.Event()
        running.append(stop)
        try:
            await stop.wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    worker = await rig.start(concurrency=2, stop_seconds=10.0)
    handle = await rig.client.enqueue(work)
    await eventually(lambda: len(running) == 1)
    first = await last_of(rig, handle.id)
    taken = build_claim(first, lease="theirs", worker="worker-2", time=first.time, max_retries=3)
    seq = await rig.bus.ledger.append(handle.id, encode(taken), expected=first.seq)
    theirs = Entry(handle.id, seq, first.time, taken)
    done = build_success(theirs, Succeeded(), time=first.time, worker="worker-2")
    await rig.bus.ledger.append(handle.id, encode(done), expected=seq)
    await retry(rig.bus, handle.id, by="ada")

    await eventually(lambda: len(running) == 2)
    await eventually(lambda: cancelled == [0])
    await eventually(lambda: worker.service.metrics.of("work").outcomes["lost"] == 1)
    await handle.cancel()
    await soon(handle.wait())
    assert cancelled == [0, 1]
    assert (await last_of(rig, handle.id)).record.state is State.CANCELLED
    await is_emptied(worker)


async def test_a_claim_under_way_when_its_worker_is_told_to_stop_is_settled_and_given_back(rig: Rig) -> None:
    runs: list[int] = []

    @rig.job
    async def work(ctx: JobContext) -> None:
        runs.append(ctx.attempt)

    worker = await rig.start(settle_seconds=20.0)
    slots = worker.service._slots
    assert slots is not None
    handle = await rig.client.enqueue(work, delay=10)
    rig.world.faults.full = True  # claims are sent again and again
    rig.world.clock.move(10)
    await eventually(lambda: slots.tasks)
    closing = asyncio.ensure_future(worker.close())
    await eventually(lambda: slots.interrupting)
    rig.world.faults.full = False
    assert await soon(closing) is True
    assert [entry.record.state for entry in await rig.bus.ledger.read_chain(handle.id)] == [
        State.SCHEDULED,
        State.RUNNING,
        State.QUEUED,
    ]
    assert not runs


class HeldLedger:
    """A ledger that from some point on answers no append."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.holds = False
        self.held: list[asyncio.Future[int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def append(self, job_id: str, data: bytes, *, expected: int) -> asyncio.Future[int]:
        if not self.holds:
            return self._ledger.append(job_id, data, expected=expected)
        self.held.append(asyncio.get_running_loop().create_future())
        return self.held[-1]


async def test_answers_that_come_when_nobody_waits_any_more_are_left_alone(rig: Rig) -> None:
    started, go = asyncio.Event(), asyncio.Event()
    noted: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noted.append(context))

    @rig.job
    async def work() -> None:
        started.set()
        await go.wait()

    bus = await connect(rig.connection.bus_options())
    ledger = HeldLedger(bus.ledger)
    settings = WorkerSettings(connection=rig.connection, grace_seconds=0.0, stop_seconds=0.01, settle_seconds=0.01)
    worker = Worker(settings=settings, registry=rig.registry, bus=replace(bus, ledger=cast("Ledger", ledger)))
    await worker.start()
    first = await rig.client.enqueue(work)
    await soon(started.wait())
    ledger.holds = True
    go.set()
    second = await rig.client.enqueue(work)
    await eventually(lambda: len(ledger.held) == 2)  # an outcome and a claim
    assert await soon(worker.close()) is False
    while ledger.held:
        ledger.held.pop().set_exception(NoAnswerError("the connection broke"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
    assert not noted
    assert [(await last_of(rig, one.id)).record.state for one in (first, second)] == [State.RUNNING, State.QUEUED]
    slots = worker.service._slots
    assert slots is not None
    assert not slots.tasks
    await bus.link.close()


async def test_a_push_for_a_job_whose_record_cannot_be_read_stops_nothing(rig: Rig) -> None:
    started, go = asyncio.Event(), asyncio.Event()
    noted: list[dict[str, Any]] = []
    heard: list[str] = []

    @rig.job
    async def work() -> None:
        started.set()
        await go.wait()

    worker = await rig.start()
    slots = worker.service._slots
    assert slots is not None
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noted.append(context))
    rig.bus.signals.on_cancel(heard.append)
    handle = await rig.client.enqueue(work)
    await soon(started.wait())
    last = await last_of(rig, handle.id)
    await rig.bus.ledger.append(handle.id, b'{"v":99}', expected=last.seq)
    rig.bus.signals.cancel(handle.id)
    await eventually(lambda: heard and len(slots.tasks) == 1)
    go.set()
    await eventually(lambda: worker.service.metrics.of("work").outcomes["lost"] == 1)
    gc.collect()
    assert not noted
