"""How an attempt ended, as a value: a closed union, settled in one place."""

from __future__ import annotations

from dataclasses import dataclass

from jetmill.protocol.record import ErrorInfo, PayloadRef
from jetmill.protocol.state import Reason


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The handler returned; `result` is JSON, or lies in the object store as `result_ref`."""

    result: bytes | None = None
    result_ref: PayloadRef | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed and another may follow, `delay_seconds` from now."""

    delay_seconds: float
    error: ErrorInfo
    reason: Reason | None = None
    result: bytes | None = None
    """What the attempt has to show all the same (the log of a delivery): JSON."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The job failed for good."""

    reason: Reason
    error: ErrorInfo
    result: bytes | None = None
    """As for `Retry`."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The handler was stopped, for the job was cancelled."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The worker is told to stop: the job goes back to its queue, at no attempt."""


Outcome = Succeeded | Retry | Failed | Cancelled | Interrupted
