"""From what a handler raised to how its attempt ended: exceptions stop here, values go on.

`describe_failure` looks at the exception (in the process that has it: a child sends the description, never the
exception), `decide_outcome` applies the policy. What people read is capped and survives exceptions whose `str` raises.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence

import msgspec

from jetmill.client.flow import NonRetryable, RetryAfter
from jetmill.errors import InvalidPayloadError
from jetmill.protocol.outcome import Failed, Outcome, Retry
from jetmill.protocol.record import ErrorInfo
from jetmill.protocol.retry import RetryPolicy
from jetmill.protocol.state import Reason

TRACEBACK_BYTES = 16_384
MESSAGE_CHARACTERS = 4_096


class Failure(msgspec.Struct, frozen=True):
    """Why an attempt did not end well, without the exception itself."""

    error: ErrorInfo
    reason: Reason | None = None
    """Set where the failure has a name of its own (`timeout`, `invalid_result`, …)."""
    final: bool = False
    """Trying again is useless."""
    retry_after_seconds: float | None = None
    result: bytes | None = None
    """What the attempt has to show all the same: JSON."""


class FailureError(Exception):
    """Carries a Failure out of an executor."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error.message)
        self.failure = failure


def describe_failure(
    error: BaseException,
    *,
    retry_on: Sequence[type[BaseException]] = (),
    discard_on: Sequence[type[BaseException]] = (),
) -> Failure:
    """Describe an exception: `NonRetryable` and `discard_on` are final, and so is what a given `retry_on` lacks."""
    if isinstance(error, FailureError):
        return error.failure
    info = build_error(error)
    if isinstance(error, RetryAfter):
        return Failure(info, retry_after_seconds=max(0.0, float(error.seconds)))
    final = isinstance(error, (NonRetryable, *discard_on))
    if not final and retry_on:
        final = not isinstance(error, tuple(retry_on))
    return Failure(info, final=final, reason=Reason.NON_RETRYABLE if final else None)


def decide_outcome(failure: Failure, *, attempt: int, policy: RetryPolicy, draw: float) -> Outcome:
    """Another attempt, or failed for good; `draw` is uniform in [0, 1)."""
    if failure.final:
        return Failed(failure.reason or Reason.NON_RETRYABLE, failure.error, failure.result)
    if not policy.allows(attempt):
        return Failed(failure.reason or Reason.EXHAUSTED, failure.error, failure.result)
    delay = failure.retry_after_seconds
    if delay is None:
        delay = policy.delay_seconds(attempt, draw)
    return Retry(delay, failure.error, failure.reason, failure.result)


def build_error(error: BaseException) -> ErrorInfo:
    """What people will read of an exception; never raises."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return ErrorInfo(type=name, message=_clean(_text(error))[:MESSAGE_CHARACTERS], traceback=_traceback(error))


def build_plain_error(name: str, message: str, *, traceback: str = "") -> ErrorInfo:
    """An error that no exception stands for."""
    return ErrorInfo(type=name, message=_clean(message)[:MESSAGE_CHARACTERS], traceback=_tail(_clean(traceback)))


def timed_out(timeout_seconds: float) -> Failure:
    """The attempt ran too long; the reason counts if it was the last."""
    return Failure(build_plain_error("TimeoutError", f"ran longer than {timeout_seconds:g} s"), reason=Reason.TIMEOUT)


def invalid_payload(error: InvalidPayloadError) -> Failure:
    """The payload does not fit: no attempt can help."""
    where = f"{error.field}: " if error.field and error.field not in error.message else ""
    return Failure(
        build_plain_error("InvalidPayloadError", f"{where}{error}"), reason=Reason.INVALID_PAYLOAD, final=True
    )


def invalid_result(message: str) -> Failure:
    """The result cannot be stored; the work was done, so it is not done again."""
    return Failure(build_plain_error("InvalidResultError", message), reason=Reason.INVALID_RESULT, final=True)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as inner:  # noqa: BLE001 - the handler's exception has a str of its own, which may do anything
        return f"(its text could not be made: {type(inner).__name__})"


def _traceback(error: BaseException) -> str:
    try:
        lines = traceback.format_exception(error)
    except Exception:  # noqa: BLE001 - as above: formatting calls the exception's own code
        lines = traceback.format_tb(error.__traceback__)
    return _tail(_clean("".join(lines)))


def _tail(text: str) -> str:
    data = text.encode()
    return text if len(data) <= TRACEBACK_BYTES else data[-TRACEBACK_BYTES:].decode(errors="ignore")


def _clean(text: str) -> str:
    """Without lone surrogates, which JSON cannot carry."""
    return text.encode("utf-8", "replace").decode()
