"""From a delivery to a settled job: claim, run, settle.

```
start ─▶ claim sent ──yes──▶ relay: the handler runs ─▶ outcome sent ──yes──▶ settled
              └─ else ─▶ task: resolve ─▶ (relay)             └─ else ─▶ task: settle ─▶ settled
```

Where the ledger says yes at once, the next step follows from its answer, without a task; whatever else happens gets a
task that goes on until it is settled. A slot is taken from the claim to the handler's end. Recording the outcome needs
none: while one batch of outcomes is on its way, the next jobs run. Handlers start from the context that the worker was
started in, so nothing leaks from one job into another.

A claim that was accepted ends in a record, whatever goes wrong here: a live worker that forgot it would block the job.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from jetmill.bus.ports import Delivery
from jetmill.errors import BusError, CodecError
from jetmill.ledger.claim import Start
from jetmill.ledger.lease import Claim, Sent
from jetmill.ledger.settle import Settled
from jetmill.protocol.outcome import Failed, Interrupted, Outcome
from jetmill.protocol.record import Entry, Record
from jetmill.protocol.state import Reason, State
from jetmill.worker.attempt import Attempt, Stop
from jetmill.worker.context import JobContext, JobFacts
from jetmill.worker.filter import run_on_failure
from jetmill.worker.intake import Intake
from jetmill.worker.log import get_logger
from jetmill.worker.outcome import build_error, build_plain_error
from jetmill.worker.part import Parts
from jetmill.worker.relay import Relay
from jetmill.worker.served import Served, unknown_delay_seconds

log = get_logger()
_SMOOTHING = 0.05


class Slots:
    """All that this worker has in hand."""

    def __init__(self, parts: Parts, served: Mapping[str, Served]) -> None:
        self._parts = parts
        self._served = served
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._context = contextvars.copy_context()
        self._namespace = parts.bus.subjects.namespace
        self.intake: Intake | None = None
        self.tasks: set[asyncio.Task[Any]] = set()
        self._emptied = asyncio.Event()
        self.ghosts: set[asyncio.Task[Any]] = set()
        """Tasks of handlers that were abandoned and have not ended."""
        self.attempts: dict[str, Attempt] = {}
        self._unsettled = 0
        self._relay = Relay(self._begin, done=self._end, failed=self._fail, spawn=self._spawn, context=self._context)
        self.interrupting = False
        """What is claimed from now on is not started any more."""
        self.closed = False
        """Nobody waits for what is under way any more."""
        self.finished = 0
        self.on_finished: Callable[[int], None] | None = None
        """Hears how many attempts were settled."""
        self.on_unknown: Callable[[str], None] | None = None
        """Hears of a Job that gave a job back because its handler is not known here."""
        self.service_seconds = 0.0
        """Smoothed run time."""

    @property
    def in_hand(self) -> int:
        """Deliveries that are not done with, and what else is under way for the application."""
        return max(self._unsettled, len(self.tasks))

    def start(self, delivery: Delivery) -> None:
        """Begin with a delivery."""
        self._unsettled += 1
        try:
            served = self._served[delivery.job]
            if delivery.deliveries > 1:
                self._parts.metrics.of(served.job).redelivered += 1
            if served.missing and self._give_back_unknown(delivery):
                self._let_go(delivery)
                return
            start = self._parts.claimer.send(delivery, max_retries=served.max_retries)
        except Exception as err:  # noqa: BLE001 - a defect, or a message that is no hint: it must not take others with it
            self._give_up(delivery, err)
            return
        if start.sent is None:
            self._spawn(self._resolve(served, start))
        else:
            start.sent.answer.add_done_callback(partial(self._answer_claim, served, start))

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

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine, context=self._context.copy())
        self.tasks.add(task)
        task.add_done_callback(self._drop)

    def _drop(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        self._note_emptied()

    def _note_emptied(self) -> None:
        if not self.tasks and not self._unsettled:
            self._emptied.set()

    async def wait_empty(self, seconds: float) -> bool:
        """Wait until nothing is in hand; False: something still is."""
        end = self._loop.time() + seconds
        while self.in_hand:
            self._emptied.clear()
            try:
                await asyncio.wait_for(self._emptied.wait(), max(0.0, end - self._loop.time()))
            except TimeoutError:
                return not self.in_hand
        return True

    # --- claim

    def _give_back_unknown(self, delivery: Delivery) -> bool:
        """Give back a job whose handler is unknown, unless it has been for too long."""
        age = (self._parts.bus.link.now() - delivery.time) / 1_000_000
        if age >= self._parts.settings.unknown_handler_seconds:
            return False
        delivery.nak(unknown_delay_seconds(delivery.deliveries))
        if self.on_unknown is not None:
            self.on_unknown(delivery.job)
        return True

    def _answer_claim(self, served: Served, start: Start, _answer: object) -> None:
        claim = start.claim()
        if self.closed:
            return  # the ledger and presence say what becomes of the job
        if claim is None:
            self._spawn(self._resolve(served, start))
        else:
            self._perform(served, claim)

    async def _resolve(self, served: Served, start: Start) -> None:
        """Claim what could not be claimed at once."""
        try:
            claim = await self._parts.claimer.resolve(start)
        except asyncio.CancelledError:
            self._let_go(start.delivery)
            raise  # the worker ends at once; the ledger and presence say what becomes of the job
        except Exception as err:  # noqa: BLE001 - as in `start`
            self._give_up(start.delivery, err)
            return
        if claim is None:
            self._let_go(start.delivery)
        else:
            self._perform(served, claim)

    def _let_go(self, delivery: Delivery) -> None:
        """A delivery that came to no claim, or whose claim cannot be settled here."""
        assert self.intake is not None
        self.intake.freed(delivery)
        self._finish(delivery)

    def _give_up(self, delivery: Delivery, err: BaseException) -> None:
        _note_defect(delivery, err)
        self._let_go(delivery)

    def _finish(self, delivery: Delivery) -> None:
        """A delivery is done with."""
        assert self.intake is not None
        self.intake.settled(delivery)
        self._unsettled -= 1
        if not self._unsettled:
            self._note_emptied()

    # --- run

    def _perform(self, served: Served, claim: Claim) -> None:
        """Have the handler run."""
        try:
            attempt = self._make_attempt(served, claim)
        except Exception as err:  # noqa: BLE001 - a defect; the claim stands
            assert self.intake is not None
            self.intake.freed(claim.delivery)
            self._spawn(self._bury(claim, err))
        else:
            self._relay.put(attempt)

    def _make_attempt(self, served: Served, claim: Claim) -> Attempt:
        context = self._make_context(served, claim.entry, claim.source)
        attempt = Attempt(claim, served, context=context, parts=self._parts, on_abandoned=self._abandon)
        earlier = self.attempts.get(claim.entry.id)
        if earlier is not None:
            earlier.stop(Stop.CANCELLED)  # its claim is lost, or this one had not been accepted
        self.attempts[claim.entry.id] = attempt
        return attempt

    def _forget(self, attempt: Attempt) -> None:
        job_id = attempt.claim.entry.id
        if self.attempts.get(job_id) is attempt:
            del self.attempts[job_id]

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
            call.slot if call is not None else None,
        )
        return JobContext(facts, self._parts.host)

    def _begin(self, attempt: Attempt, task: asyncio.Task[Any] | None) -> Coroutine[Any, Any, Outcome]:
        served = attempt.served
        if self.interrupting:
            return _conclude(Interrupted())
        if served.missing:
            return _conclude(Failed(Reason.UNKNOWN_HANDLER, build_plain_error("UnknownHandlerError", served.missing)))
        if self._parts.settings.log_jobs:
            log.info("job_started", job=served.job, job_id=attempt.claim.entry.id, attempt=attempt.context.attempt)
        numbers = self._parts.metrics.of(served.job)
        numbers.latency.observe(max(0.0, (attempt.context.facts.started - attempt.claim.delivery.time) / 1e6))
        attempt.began = self._time()
        attempt.task = task
        return attempt.perform()

    def _end(self, attempt: Attempt, outcome: Outcome) -> None:
        """A handler has ended."""
        if attempt.began:
            seconds = self._time() - attempt.began
            self._parts.metrics.of(attempt.served.job).run.observe(seconds)
            # The first jobs count in full: from zero, a worker would say for dozens of jobs that they take no time.
            self.service_seconds += max(_SMOOTHING, 1 / (self.finished + 1)) * (seconds - self.service_seconds)
        if attempt.abandoned:
            return
        claim = attempt.claim
        assert self.intake is not None
        self._forget(attempt)
        self.intake.freed(claim.delivery)
        try:
            sent = self._parts.claimer.send_outcome(claim, outcome)
        except Exception as err:  # noqa: BLE001 - a defect, or an outcome that no record can hold
            _note_defect(claim.delivery, err)
            outcome, sent = _defect(err), None
        if sent is None:
            self._spawn(self._settle(attempt, outcome, None))
        else:
            sent.answer.add_done_callback(partial(self._answer_outcome, attempt, outcome, sent))

    def _fail(self, attempt: Attempt, err: BaseException) -> None:
        """What stands around the handler was cut short: a defect, a cancel that came astray, or the worker's end."""
        if attempt.abandoned:
            return
        delivery = attempt.claim.delivery
        self._forget(attempt)
        if self.closed or not isinstance(err, Exception | asyncio.CancelledError):
            self._let_go(delivery)  # the worker ends at once; the ledger and presence say what becomes of the job
            return
        _note_defect(delivery, err)
        assert self.intake is not None
        self.intake.freed(delivery)
        try:
            outcome = attempt.fail(err)
        except Exception as inner:  # noqa: BLE001 - a defect on top of it
            outcome = _defect(inner)
        self._spawn(self._settle(attempt, outcome, None))

    # --- settle

    def _answer_outcome(self, attempt: Attempt, outcome: Outcome, sent: Sent, _answer: object) -> None:
        settled = self._parts.claimer.release(attempt.claim, sent)
        if settled is None:
            if not self.closed:
                self._spawn(self._settle(attempt, outcome, sent))
            return
        try:
            failed = self._count(attempt, settled)
            if failed is not None and not self.closed:
                self._spawn(self._tell_failed(attempt.served, attempt.context, failed))
        finally:
            self._finish(attempt.claim.delivery)

    async def _settle(self, attempt: Attempt, outcome: Outcome, sent: Sent | None) -> None:
        """Settle what could not be settled at once."""
        delivery = attempt.claim.delivery
        try:
            failed = self._count(attempt, await self._record(attempt.claim, outcome, sent))
            if failed is not None:
                await self._tell_failed(attempt.served, attempt.context, failed)
        except Exception as err:  # noqa: BLE001 - a defect: it must not take the worker with it
            _note_defect(delivery, err)
        finally:
            self._finish(delivery)

    async def _bury(self, claim: Claim, err: Exception) -> None:
        """Settle a claim that cannot even become an attempt."""
        _note_defect(claim.delivery, err)
        try:
            await self._record(claim, _defect(err), None)
        except Exception as inner:  # noqa: BLE001 - as above
            _note_defect(claim.delivery, inner)
        finally:
            self._finish(claim.delivery)

    async def _record(self, claim: Claim, outcome: Outcome, sent: Sent | None) -> Settled:
        """Settle a claim; an outcome that cannot be recorded becomes a failure that can."""
        try:
            return await self._parts.claimer.settle(claim, outcome, sent=sent)
        except Exception as err:  # noqa: BLE001 - a defect, or an outcome that no record can hold
            _note_defect(claim.delivery, err)
            return await self._parts.claimer.settle(claim, _defect(err))

    def _count(self, attempt: Attempt, settled: Settled) -> Record | None:
        """Take note of what stands; the record of a failure for good, which the application wants to hear of."""
        self.finished += 1
        if self.on_finished is not None:
            self.on_finished(self.finished)
        served = attempt.served
        numbers = self._parts.metrics.of(served.job)
        if settled.lost or settled.entry is None:
            numbers.outcomes["lost"] += 1
            log.warning("job_lost", job=served.job, job_id=attempt.claim.entry.id)
            return None
        record = settled.entry.record
        state = record.state
        name: str = "interrupted" if state is State.QUEUED else state
        if name in numbers.outcomes:
            numbers.outcomes[name] += 1
        if state is State.SUCCEEDED or record.final:
            numbers.whole.observe(max(0.0, (record.time - attempt.context.facts.enqueued) / 1e6))
        if state is State.FAILED:
            numbers.reasons[record.reason or ""] = numbers.reasons.get(record.reason or "", 0) + 1
            log.warning(
                "job_failed",
                job=served.job,
                job_id=settled.entry.id,
                attempt=record.attempt,
                reason=record.reason,
                error=record.error.type if record.error else None,
            )
            return record
        if self._parts.settings.log_jobs:
            log.info("job_finished", job=served.job, job_id=settled.entry.id, attempt=record.attempt, state=str(name))
        return None

    async def _tell_failed(self, served: Served, context: JobContext, record: Record) -> None:
        if served.on_failure is not None:
            error = record.error or build_plain_error(str(record.reason), f"the job is {record.state}: {record.reason}")
            await run_on_failure(served.on_failure, context, error)

    async def _cancel(self, attempt: Attempt) -> None:
        try:
            cancelled = await self._parts.claimer.is_cancelled(attempt.claim)
        except (BusError, CodecError):
            return  # the keeper repeats the push
        if cancelled:
            attempt.stop(Stop.CANCELLED)

    def _abandon(self, attempt: Attempt) -> None:
        """A handler does not stop: settle without it, and free its slot."""
        self._parts.metrics.abandoned_total += 1
        self._forget(attempt)
        assert self.intake is not None
        self.intake.freed(attempt.claim.delivery)
        self._spawn(self._settle(attempt, attempt.conclude(None), None))
        if attempt.task is not None:  # nobody waits for it, the drain neither
            self._drop(attempt.task)
            self.ghosts.add(attempt.task)
            attempt.task.add_done_callback(self.ghosts.discard)


def _note_defect(delivery: Delivery, err: BaseException) -> None:
    log.error("delivery_failed", job=delivery.job, job_id=delivery.id, error=str(err), exc_info=err)


def _defect(err: BaseException) -> Failed:
    """The outcome of a claim that could not be handled: the job is a dead letter, whole, and says why."""
    return Failed(Reason.NON_RETRYABLE, build_error(err))


async def _conclude(outcome: Outcome) -> Outcome:
    """The outcome of an attempt whose handler is not started."""
    return outcome


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
