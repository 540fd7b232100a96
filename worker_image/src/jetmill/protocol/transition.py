"""What the bus says of a job's record: `job.queued`, `job.succeeded` and the others, one event for each record.

The id is made of the job's and the record's place in the ledger, so whoever publishes it, and however often, it is the
same event. Payloads and results stay out: who may see that a job has ended may not always see what it was about.

A slot that its schedule does not intend any more is `cancelled` in the ledger, but nobody cancelled a job: who was told
`job.scheduled` is told `job.withdrawn`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from jetmill.protocol.event import Event, write_time
from jetmill.protocol.name import is_delivery
from jetmill.protocol.record import Call, Entry, Record
from jetmill.protocol.state import Reason, State

ERROR_CHARACTERS = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_published(entry: Entry) -> bool:
    """Tell whether a record becomes an event: one about a delivery would make another delivery, and of a slot that was
    withdrawn before it was planned nobody has heard.
    """
    return not is_delivery(entry.record.job) and not _is_tombstone(entry.record)


def make_transition_id(entry: Entry) -> str:
    """The id of the event of a record."""
    return f"{entry.id}-{entry.seq}"


def make_job_source(namespace: str, job: str) -> str:
    """The source of what a Job's jobs tell."""
    return f"/jetmill/{namespace}/{job}"


def build_transition_event(entry: Entry, call: Call | None, *, namespace: str) -> Event:
    """Make the event of a record; `call` is what was asked for when this enqueueing began."""
    record = entry.record
    found: dict[str, Any] = {
        "id": entry.id,
        "job": record.job,
        "state": str(record.state),
        "reason": None if record.reason is None else str(record.reason),
        "enqueueing": record.enqueueing,
        "attempt": record.attempt,
        "crashes": record.crashes,
        "priority": record.band,
        "seq": entry.seq,
        "by": record.by,
        "worker": record.worker,
        "due": None if record.due is None else write_time(_time_of(record.due)),
        "schedule": record.schedule,
        "user": None if call is None else call.user,
        "labels": None if call is None else call.labels,
    }
    if record.error is not None:
        found["error"] = {"type": record.error.type, "message": record.error.message[:ERROR_CHARACTERS]}
    return Event(
        id=make_transition_id(entry),
        type=f"job.{record.reason if _is_withdrawn(record) else record.state}",
        source=make_job_source(namespace, record.job),
        subject=entry.id,
        time=_time_of(entry.time),
        user=None if call is None else call.user,
        data={name: value for name, value in found.items() if value is not None},
        extensions={} if call is None or call.trace is None else {"traceparent": call.trace},
    )


def _is_withdrawn(record: Record) -> bool:
    return record.state is State.CANCELLED and record.reason is Reason.WITHDRAWN


def _is_tombstone(record: Record) -> bool:
    """A withdrawn record that follows none: those that do refer to the payload of what they withdraw."""
    return _is_withdrawn(record) and record.payload_seq is None


def _time_of(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
