"""From a delivery to a settled job: claim, run, settle, in one task each.

A slot is taken from the claim to the handler's end. Recording the outcome needs none: while one batch of outcomes is on
its way, the next jobs run. The tasks start from the context that the worker was started in, so nothing leaks from one
job into another.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from typing import Any

from jetmill.bus.ports import Delivery
from jetmill.errors import BusError
from jetmill.ledger.lease import Claim
from jetmill.protocol.outcome import Failed, Interrupted, Outcome
from jetmill.protocol.record import Entry, Record
from jetmill.protocol.state import Reason, State
from jetmill.worker.attempt import Attempt, Stop
from jetmill.worker.context import JobContext, JobFacts
from jetmill.worker.filter import run_on_failure
from jetmill.worker.intake import Intake
from jetmill.worker.log import get_logger
from jetmill.worker.outcome import build_plain_error
from jetmill.worker.part import Parts
from jetmill.worker.served import Served, unknown_delay_seconds

log = get_logger()
_SMOOTHING = 0.05


class Slots:
    """All that this worker has in hand."""

    def __init__(self, parts: Parts, served: Mapping[str, Served]) -> None:
        self._parts = parts
        self._served = served
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._namespace = parts.bus.subjects.namespace
        self.intake: Intake | None = None
        self.tasks: set[asyncio.Task[Any]] = set()
        self._emptied = asyncio.Event()
        self.ghosts: set[asyncio.Task[Any]] = set()
        """Tasks of handlers that were abandoned and have not ended."""
        self.attempts: dict[str, Attempt] = {}
        self.interrupting = False
        """What is claimed from now on is not started any more."""
        self.finished = 0
        self.on_finished: Callable[[int], None] | None = None
        """Hears how many attempts were settled."""
        self.on_unknown: Callable[[str], None] | None = None
        """Hears of a Job that gave a job back because its handler is not known here."""
        self.service_seconds = 0.0
        """Smoothed run time."""

    def start(self, delivery: Delivery) -> None:
        """Begin with a delivery, in a task of its own, which leaves `tasks` by itself: a callback would cost a turn."""
        self.tasks.add(self._loop.create_task(self._serve(delivery), context=self._context.copy()))

    def cancel(self, job_id: str) -> None:
        """A push says that a job is cancelled; the ledger is asked whether it is."""
        attempt = self.attempts.get(job_id)
        if attempt is not None and attempt.running:
            self._spawn(self._cancel(attempt))

    def interrupt(self, *, at_once: bool = False) -> None:
        """Stop every handler; their jobs go back to the queue."""
        self.interrupting = True
        for attempt in list(self.attempts.values()):
            if at_once:
                attempt.stop_now()
            else:
                attempt.stop(Stop.INTERRUPTED)

    def note_concluded(self, entry: Entry, source: Record | None) -> None:
        """The claimer wrote a final record in a job's stead (poison, expired): tell the application."""
        served = self._served.get(entry.record.job)
        if served is None:
            return
        record = entry.record
        if record.state is State.FAILED and record.reason is not None:
            numbers = self._parts.metrics.of(record.job)
            numbers.reasons[record.reason] = numbers.reasons.get(record.reason, 0) + 1
        if record.state is State.FAILED or record.reason is Reason.EXPIRED:
            log.warning("job_failed", job=record.job, job_id=entry.id, reason=record.reason)
            self._spawn(self._tell_failed(served, self._make_context(served, entry, source or record), record))

    def _spawn(self, coroutine: Any) -> None:
        task = self._loop.create_task(coroutine, context=self._context.copy())
        self.tasks.add(task)
        task.add_done_callback(self._drop)

    def _drop(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not self.tasks:
            self._emptied.set()

    async def wait_empty(self, seconds: float) -> bool:
        """Wait until nothing is in hand; False: something still is."""
        end = self._loop.time() + seconds
        while self.tasks:
            self._emptied.clear()
            try:
                await asyncio.wait_for(self._emptied.wait(), max(0.0, end - self._loop.time()))
            except TimeoutError:
                return not self.tasks
        return True

    async def _serve(self, delivery: Delivery) -> None:
        intake = self.intake
        assert intake is not None
        served = self._served[delivery.job]
        attempt: Attempt | None = None
        freed = False
        try:
            claim = await self._claim(served, delivery)
            if claim is None:
                return
            attempt = self._make_attempt(served, claim)
            outcome = await self._run(attempt)
            if attempt.abandoned:
                freed = True
                return
            self.attempts.pop(claim.entry.id, None)
            intake.freed(delivery)
            freed = True
            await self._settle(attempt, outcome)
        except asyncio.CancelledError:
            raise  # the worker ends at once; the ledger and presence say what becomes of the job
        except Exception as err:
            log.exception("delivery_failed", job=delivery.job, job_id=delivery.id, error=str(err))
        finally:
            if attempt is None or not attempt.abandoned:
                if not freed:
                    intake.freed(delivery)
                intake.settled(delivery)
            task = asyncio.current_task()
            if task is not None:
                self._drop(task)

    async def _claim(self, served: Served, delivery: Delivery) -> Claim | None:
        if delivery.deliveries > 1:
            self._parts.metrics.of(served.job).redelivered += 1
        if served.missing:
            age = (self._parts.bus.link.now() - delivery.time) / 1_000_000
            if age < self._parts.settings.unknown_handler_seconds:
                delivery.nak(unknown_delay_seconds(delivery.deliveries))
                if self.on_unknown is not None:
                    self.on_unknown(served.job)
                return None
        return await self._parts.claimer.claim(delivery, max_retries=served.max_retries)

    def _make_attempt(self, served: Served, claim: Claim) -> Attempt:
        context = self._make_context(served, claim.entry, claim.source)
        attempt = Attempt(claim, served, context=context, parts=self._parts, on_abandoned=self._abandon)
        self.attempts[claim.entry.id] = attempt
        return attempt

    def _make_context(self, served: Served, entry: Entry, source: Record) -> JobContext:
        call = source.call
        started = entry.record.time
        enqueued = _enqueued(entry, source)
        facts = JobFacts(
            entry.id,
            served.job,
            entry.record.attempt,
            self._namespace,
            self._parts.worker,
            enqueued,
            source.due or enqueued,
            started,
            served.timeout_seconds(call) if call is not None else served.default_timeout_seconds,
            call.user if call is not None else None,
            call.labels if call is not None else None,
            call.trace if call is not None else None,
        )
        return JobContext(facts, self._parts.host)

    async def _run(self, attempt: Attempt) -> Outcome:
        served = attempt.served
        if self.interrupting:
            return Interrupted()
        if served.missing:
            return Failed(Reason.UNKNOWN_HANDLER, build_plain_error("UnknownHandlerError", served.missing))
        if self._parts.settings.log_jobs:
            log.info("job_started", job=served.job, job_id=attempt.claim.entry.id, attempt=attempt.context.attempt)
        begin = self._loop.time()
        numbers = self._parts.metrics.of(served.job)
        numbers.latency.observe(max(0.0, (attempt.context.facts.started - attempt.claim.delivery.time) / 1e6))
        outcome = await attempt.perform()
        seconds = self._loop.time() - begin
        numbers.run.observe(seconds)
        # The first jobs count in full: from zero, a worker would say for dozens of jobs that they take no time.
        self.service_seconds += max(_SMOOTHING, 1 / (self.finished + 1)) * (seconds - self.service_seconds)
        return outcome

    async def _settle(self, attempt: Attempt, outcome: Outcome) -> None:
        settled = await self._parts.claimer.settle(attempt.claim, outcome)
        self.finished += 1
        if self.on_finished is not None:
            self.on_finished(self.finished)
        served = attempt.served
        numbers = self._parts.metrics.of(served.job)
        if settled.lost or settled.entry is None:
            numbers.outcomes["lost"] += 1
            log.warning("job_lost", job=served.job, job_id=attempt.claim.entry.id)
            return
        record = settled.entry.record
        name = "interrupted" if record.state is State.QUEUED else str(record.state)
        if name in numbers.outcomes:
            numbers.outcomes[name] += 1
        if record.final:
            numbers.whole.observe(max(0.0, (record.time - attempt.context.facts.enqueued) / 1e6))
        if record.state is State.FAILED:
            numbers.reasons[record.reason or ""] = numbers.reasons.get(record.reason or "", 0) + 1
            log.warning(
                "job_failed",
                job=served.job,
                job_id=settled.entry.id,
                attempt=record.attempt,
                reason=record.reason,
                error=record.error.type if record.error else None,
            )
            await self._tell_failed(served, attempt.context, record)
        elif self._parts.settings.log_jobs:
            log.info("job_finished", job=served.job, job_id=settled.entry.id, attempt=record.attempt, state=name)

    async def _tell_failed(self, served: Served, context: JobContext, record: Record) -> None:
        if served.on_failure is not None:
            error = record.error or build_plain_error(str(record.reason), f"the job is {record.state}: {record.reason}")
            await run_on_failure(served.on_failure, context, error)

    async def _cancel(self, attempt: Attempt) -> None:
        try:
            cancelled = await self._parts.claimer.is_cancelled(attempt.claim)
        except BusError:
            return  # the keeper repeats the push
        if cancelled:
            attempt.stop(Stop.CANCELLED)

    def _abandon(self, attempt: Attempt) -> None:
        """A handler does not stop: settle without it, and free its slot."""
        self._parts.metrics.abandoned_total += 1
        self.attempts.pop(attempt.claim.entry.id, None)
        assert self.intake is not None
        self.intake.freed(attempt.claim.delivery)
        self._spawn(self._settle_abandoned(attempt))
        if attempt.task is not None:  # nobody waits for it, the drain neither
            self._drop(attempt.task)
            self.ghosts.add(attempt.task)
            attempt.task.add_done_callback(self.ghosts.discard)

    async def _settle_abandoned(self, attempt: Attempt) -> None:
        assert self.intake is not None
        try:
            await self._settle(attempt, attempt.conclude(None))
        finally:
            self.intake.settled(attempt.claim.delivery)


def _enqueued(entry: Entry, source: Record) -> int:
    """When the job was enqueued, µs: a retry's hint does not say, but the id may (UUIDv7)."""
    if source.payload_seq is None or source.enqueueing > 1:
        return source.time
    job_id = entry.id
    if len(job_id) == 36 and job_id[14] == "7":
        try:
            return int(job_id[:8] + job_id[9:13], 16) * 1000
        except ValueError:
            pass
    return source.time
