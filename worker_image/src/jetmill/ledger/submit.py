"""Enqueueing (rule 1): the ledger first, then the hint, published until it is answered.

An accepted append is an accepted job. Refused, or not answered: read; a chain under the id *is* the job, whoever
wrote it, and a second hint does no harm. So enqueueing the same id again is safe, also at the same time and after
lost replies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jetmill.bus.ports import Bus
from jetmill.errors import JetmillError
from jetmill.protocol.record import Band, Call, PayloadRef


@dataclass(frozen=True, slots=True)
class Submission:
    """One job to enqueue."""

    job: str
    payload: bytes = b"{}"
    """An encoded JSON object; not read if there is a `payload_ref`."""
    payload_ref: PayloadRef | None = None
    id: str | None = None
    """None: a fresh UUIDv7."""
    band: Band = "normal"
    due: int | None = None
    """µs by the server's clock; None: now."""
    call: Call = Call()
    gate: str | None = None
    """As `jetmill.ledger.gate.build_gate` makes it."""
    schedule: str | None = None
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job that the ledger holds."""

    id: str
    seq: int
    """Of the record that is the job's last, when it was enqueued now: its first."""
    created: bool
    """False: the id already had a chain."""


async def submit(bus: Bus, submission: Submission, *, by: str) -> Submitted:
    """Enqueue one job.

    Raise InvalidNameError, CodecError (over 1 MiB), NoAnswerError when nobody answers for PATIENCE_SECONDS (nobody
    knows whether it was accepted; the same id again is safe), another BusError when the ledger refuses to store.
    """
    raise NotImplementedError


async def submit_many(
    bus: Bus, submissions: Sequence[Submission], *, by: str
) -> list[Submitted | JetmillError]:
    """Enqueue many jobs in one go, pipelined; one result or error per item, in order.

    An id that occurs twice in the call is one job.
    """
    raise NotImplementedError
