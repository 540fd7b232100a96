"""One attempt: a claimed job under its handler, from its payload to its outcome; and the ways to stop it.

```
payload ─▶ arguments ─▶ on_performing ─▶ handler ─▶ result ─▶ on_performed, on_state_election ─▶ Outcome
   stop (timeout, cancel, interrupt): loop    cancelled, again, then abandoned
                                      thread  told by its flag, then abandoned
                                      process, command  killed
```

The handler runs in a task of the relay, which is named before its first step. `stop` acts only while the handler has
the word, so nothing that Jetmill itself awaits is ever cancelled in its stead. A handler that ends well although it was
told to stop has succeeded.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import AsyncExitStack
from enum import StrEnum
from functools import partial
from typing import Any

from jetmill.client.filter import Filter
from jetmill.errors import BusError, InvalidPayloadError
from jetmill.ledger.lease import Claim
from jetmill.protocol.codec import decode_record, encode
from jetmill.protocol.outcome import Cancelled, Interrupted, Outcome, Succeeded
from jetmill.protocol.step import build_outcome
from jetmill.worker.context import JobContext, current
from jetmill.worker.executor.command import CommandRun
from jetmill.worker.executor.frame import Work
from jetmill.worker.executor.process import ProcessRun
from jetmill.worker.executor.thread import RaisedError, ThreadWork
from jetmill.worker.filter import run_performed, run_performing
from jetmill.worker.log import get_logger
from jetmill.worker.outcome import Failure, FailureError, decide_outcome, describe_failure, invalid_payload, timed_out
from jetmill.worker.part import Parts
from jetmill.worker.result import encode_result, parse_output
from jetmill.worker.served import Served
from jetmill.worker.store import fetch_payload, store_result
from jetmill.worker.wheel import Timer

MAX_CANCELS = 3
"""How often a coroutine that swallows its cancellation is cancelled before it is abandoned."""
SUCCEEDED = Succeeded()
log = get_logger()


class Stop(StrEnum):
    """Why a handler is stopped."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


class Attempt:
    """A claimed job in the hands of this worker."""

    __slots__ = (
        "_cancels",
        "_on_abandoned",
        "_parts",
        "_run",
        "_stopper",
        "_work",
        "abandoned",
        "began",
        "cause",
        "claim",
        "context",
        "running",
        "served",
        "task",
        "timeout_seconds",
    )

    def __init__(
        self,
        claim: Claim,
        served: Served,
        *,
        context: JobContext,
        parts: Parts,
        on_abandoned: Callable[[Attempt], None],
    ) -> None:
        self.claim = claim
        self.served = served
        self.context = context
        self.timeout_seconds = context.facts.timeout_seconds
        self.cause: Stop | None = None
        self.began = 0.0
        """When the handler was started, seconds of the loop's clock."""
        self.running = False
        """The handler (or what belongs to it) has the word."""
        self.abandoned = False
        """Nobody waits for it any more; its outcome was settled without it."""
        self._parts = parts
        self._on_abandoned = on_abandoned
        self.task: asyncio.Task[Any] | None = None
        """The one that the handler runs in."""
        self._work: ThreadWork | None = None
        self._run: ProcessRun | CommandRun | None = None
        self._stopper: Timer | None = None
        self._cancels = 0

    async def perform(self) -> Outcome:
        """Run the handler; how it ended. Everything that a handler can raise becomes an outcome here."""
        wheel = self._parts.wheel
        timer = wheel.arm(self.timeout_seconds, self._expire)
        current.set(self.context)
        self.running = True
        failure: Failure | None = None
        result: bytes | None = None
        served, payload = self.served, self.claim.source.payload
        filters = served.filters
        try:
            if served.is_plain and not filters and payload is not None:  # as most are: no more steps than needed
                value = await served.function(**self._decode(payload))
                result = self._encode(value)
            else:
                result = await self._execute(filters)
        except BaseException as err:  # noqa: BLE001 - the edge: what a handler raises (SystemExit too) is its outcome
            failure = self._describe(err)
        self.running = False
        wheel.disarm(timer)
        if self._stopper is not None or self._cancels:
            self._calm_down()
        if self.abandoned:
            return Interrupted()  # settled already; nobody looks at this
        outcome: Outcome = SUCCEEDED
        if failure is not None:
            outcome = self.conclude(failure)
        elif result is not None:
            outcome = await self._succeed(result)
        if filters:
            outcome = await run_performed(filters, self.context, outcome, check=self._check)
        return outcome

    def _calm_down(self) -> None:
        """It was told to stop, and has: nothing of that may reach what comes after."""
        if self._stopper is not None:
            self._parts.wheel.disarm(self._stopper)
        if self._cancels and self.task is not None:
            while self.task.uncancel():
                pass

    def conclude(self, failure: Failure | None) -> Outcome:
        """The outcome of an attempt that did not end well, or (without a failure) was stopped."""
        match self.cause:
            case Stop.CANCELLED:
                return Cancelled()
            case Stop.INTERRUPTED:
                return Interrupted()
            case Stop.TIMEOUT:
                failure = timed_out(self.timeout_seconds)
            case None:
                pass
        assert failure is not None
        record = self.claim.entry.record
        policy = self.served.policy(self.claim.call)
        if record.max_retries is not None:  # the limit that this claim was granted under
            policy = _with_limit(policy, record.max_retries)
        return decide_outcome(failure, attempt=record.attempt, policy=policy, draw=self._parts.draw())

    def fail(self, error: BaseException) -> Outcome:
        """The outcome of an attempt that was cut short outside its handler."""
        return self.conclude(self._describe(error))

    def stop(self, cause: Stop) -> None:
        """Have the handler stop; the first cause counts. Without effect once it has ended."""
        if not self.running or self.cause is not None:
            return
        self.cause = cause
        self.context.stop()
        wheel, wait = self._parts.wheel, self._parts.settings.stop_seconds
        if self._run is not None:
            self._run.kill()
        elif self._work is not None:
            self._stopper = wheel.arm(wait if self.served.injects else 0.0, self._abandon_if_running)
        else:
            self._cancel()

    def stop_now(self) -> None:
        """Have it stop without further patience."""
        self.stop(Stop.INTERRUPTED)
        if self.running and self._run is None:
            self._stopper = self._parts.wheel.arm(0.0, self._abandon_if_running)

    def _expire(self) -> None:
        self.stop(Stop.TIMEOUT)

    def _cancel(self) -> None:
        if not self.running or self.task is None:
            return
        if self._cancels >= MAX_CANCELS:
            self._abandon()
            return
        self._cancels += 1
        self.task.cancel()
        self._stopper = self._parts.wheel.arm(self._parts.settings.stop_seconds, self._cancel)

    def _abandon_if_running(self) -> None:
        if self.running:
            self._abandon()

    def _abandon(self) -> None:
        """Go on without the handler."""
        if self.abandoned:
            return
        self.abandoned = True
        log.warning("handler_abandoned", job=self.served.job, job_id=self.claim.entry.id, cause=self.cause)
        if self._work is not None:
            self._parts.threads.abandon(self._work)
        self._on_abandoned(self)
        if self._work is not None:
            self._work.future.cancel()  # the task waits for nothing else

    def _describe(self, error: BaseException) -> Failure:
        if isinstance(error, RaisedError):
            error = error.error
        if isinstance(error, _Misfit):
            return invalid_payload(error.error)
        declared = self.served.declared
        return describe_failure(error, retry_on=declared.retry_on, discard_on=declared.discard_on)

    async def _succeed(self, result: bytes) -> Outcome:
        if len(result) <= self._parts.inline_bytes:
            return Succeeded(result)
        try:
            return await store_result(self._parts.bus, self.claim, result)
        except (FailureError, BusError) as err:
            return self.conclude(self._describe(err))

    def _check(self, outcome: Outcome) -> None:
        """Raise for an outcome whose record could not be written, or not be read again."""
        record = build_outcome(self.claim.entry, outcome, time=self.context.facts.started, worker=self._parts.worker)
        decode_record(encode(record))

    def _decode(self, payload: Any) -> dict[str, Any]:
        """The handler's arguments."""
        handler = self.served.handler
        assert handler is not None
        try:
            return handler.binding.decode(payload)
        except InvalidPayloadError as err:
            raise _Misfit(err) from err

    def _encode(self, value: Any) -> bytes | None:
        return encode_result(value, max_bytes=self._parts.settings.result_max_bytes)

    async def _execute(self, filters: tuple[Filter, ...]) -> bytes | None:
        claim, served = self.claim, self.served
        payload: Any = claim.payload
        if payload is None and claim.payload_ref is not None:
            payload = await fetch_payload(self._parts.bus, claim.payload_ref)
        if filters:
            await run_performing(filters, self.context)
        if served.kind == "process":
            return await self._in_process(payload)
        if served.kind == "command":
            return await self._as_command(payload)
        handler = served.handler
        assert handler is not None
        arguments = self._decode(payload)
        if not served.injects:
            value = await self._call(handler.function, arguments)
        else:
            async with AsyncExitStack() as stack:
                arguments |= await self._parts.resources.fill(handler.binding.injections, self.context, stack)
                value = await self._call(handler.function, arguments)
        return self._encode(value)

    async def _call(self, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        if self.served.kind == "async":
            return await function(**arguments)
        self._work = self._parts.threads.submit(partial(function, **arguments))
        value = await self._work.future
        return await value if inspect.isawaitable(value) else value

    async def _in_process(self, payload: Any) -> bytes | None:
        assert self.served.handler is not None
        self._run = run = ProcessRun()
        data = b"{}" if payload is None else bytes(payload)
        return await self._parts.processes.execute(Work(self.served.handler.origin, self.context.facts, data), run)

    async def _as_command(self, payload: Any) -> bytes | None:
        facts = self.context.facts
        self._run = run = CommandRun(
            self.served.settings.command or [],
            env={
                "JETMILL_JOB": facts.job,
                "JETMILL_JOB_ID": facts.id,
                "JETMILL_ATTEMPT": str(facts.attempt),
                "JETMILL_NAMESPACE": facts.namespace,
                **({} if self.context.slot is None else {"JETMILL_SLOT": self.context.slot.isoformat()}),
            },
            result_max_bytes=self._parts.settings.result_max_bytes,
        )
        return parse_output(await run.execute(b"{}" if payload is None else bytes(payload)))


class _Misfit(Exception):  # noqa: N818 - never leaves this module
    """The payload does not fit, as opposed to the same error raised by the handler."""

    def __init__(self, error: InvalidPayloadError) -> None:
        super().__init__(str(error))
        self.error = error


def _with_limit(policy: Any, limit: int) -> Any:
    if policy.max_retries == limit:
        return policy
    from dataclasses import replace

    return replace(policy, max_retries=limit)
