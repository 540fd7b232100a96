"""Enqueueing (rule 1), one job or many. The same id again, at the same time or after lost replies, is the same job."""

from __future__ import annotations

from jetmill.bus.ports import Bus
from jetmill.ledger.bulk import WINDOW, Bulk, submit_many
from jetmill.ledger.draft import Submission, Submitted, enqueue, prepare
from jetmill.ledger.patience import for_caller

__all__ = ["WINDOW", "Bulk", "Submission", "Submitted", "submit", "submit_many"]


async def submit(bus: Bus, submission: Submission, *, by: str) -> Submitted:
    """Enqueue one job.

    Raise InvalidNameError, CodecError (over 1 MiB), NoAnswerError when nobody answers for PATIENCE_SECONDS (nobody
    knows whether it was accepted; the same id again is safe), another BusError when NATS refuses to store it. Once
    the ledger has accepted the job, the hint is put until it is answered.
    """
    return await enqueue(bus, prepare(submission, time=bus.link.now(), by=by), for_caller())
