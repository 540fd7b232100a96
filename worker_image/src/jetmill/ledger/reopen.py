"""What a person does with a job (rule 6): retry, discard, reschedule."""

from __future__ import annotations

from jetmill.bus.ports import Bus
from jetmill.protocol.record import Entry


async def reopen(bus: Bus, job_id: str, *, by: str) -> Entry:
    """Enqueue a finished job once more: attempt 1, no crashes. Raise JobNotFoundError, JobStateError (not final, or
    discarded), NoAnswerError.
    """
    raise NotImplementedError


async def discard(bus: Bus, job_id: str, *, by: str) -> Entry:
    """Give up a failed job for good; idempotent. Raise JobNotFoundError, JobStateError (not failed), NoAnswerError."""
    raise NotImplementedError


async def reschedule(bus: Bus, job_id: str, *, due: int, by: str) -> Entry:
    """Move a scheduled job to another time (µs). Raise JobNotFoundError, JobStateError (not scheduled), NoAnswerError."""
    raise NotImplementedError
