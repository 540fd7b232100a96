"""Cancelling (rule 5)."""

from __future__ import annotations

from jetmill.bus.ports import Bus
from jetmill.protocol.record import Entry


async def cancel(bus: Bus, job_id: str, *, by: str) -> Entry:
    """Cancel a job, before or during its run; idempotent. Returns what stands: `cancelled`, `cancelling`, or the
    final record that was there first. Raise JobNotFoundError, NoAnswerError.
    """
    raise NotImplementedError
