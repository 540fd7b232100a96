"""What a record makes of a job's row, and what it adds to the statistics. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from jetmill.protocol.record import Entry, Record
from jetmill.protocol.state import CLAIMED, FINAL, Reason, State
from jetmill_operator.gateway.projection.histogram import Tally, bucket_of

ERROR_CHARACTERS = 4_000
_MOST = 1 << 62
"""What SQLite can hold and add to; JSON's numbers have no end."""
_GROUP_CHARACTERS = 200
_VARIABLE = re.compile(
    r"0x[0-9a-fA-F]+|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|\b[0-9a-fA-F]{12,}\b|\d+(?:\.\d+)?"
)


class Row(msgspec.Struct, array_like=True, gc=False):
    """A job as it is stored: the columns of table `job`, in their order."""

    number: int
    """Its place among the jobs of its namespace, by creation."""
    id: str
    job: str
    state: str
    reason: str | None
    enqueueing: int
    attempt: int
    crashes: int
    band: str
    user: str | None
    labels: str | None
    """As JSON."""
    schedule: str | None
    due: int | None
    worker: str | None
    created: int
    updated: int
    started: int | None
    ended: int | None
    ready: int
    """µs; since when it may be claimed."""
    error_type: str | None
    error_message: str | None
    born: int
    """The sequence of the first record that was seen."""
    seq: int
    text: int | None = None
    """Of table `text`: what is searched for the error."""

    def facets(self) -> Iterator[tuple[str, str]]:
        """The values with a posting each, as (kind, value)."""
        if self.user is not None:
            yield "user", self.user
        if self.schedule is not None:
            yield "schedule", self.schedule
        if self.labels is not None:
            for key, value in msgspec.json.decode(self.labels, type=dict[str, str]).items():
                yield "label", label_facet(key, value)
        if self.error_type is not None:
            yield "error", error_facet(self.error_type, self.error_message or "")


def label_facet(key: str, value: str) -> str:
    """A label as one text; the length keeps two labels from becoming the same, whatever they hold."""
    return f"{len(key)}:{key}={value}"


def error_facet(error_type: str, message: str) -> str:
    """What errors that differ by numbers and ids alone have in common."""
    line = message.strip().partition("\n")[0][: 2 * _GROUP_CHARACTERS]
    return f"{error_type}: {_VARIABLE.sub('#', line)[:_GROUP_CHARACTERS]}"


def begins_anew(row: Row, record: Record) -> bool:
    """Tell whether a record is the first of another chain: the one before was purged, and its id used again."""
    first = record.enqueueing == 1 and record.payload_seq is None
    return first and record.state in (State.QUEUED, State.SCHEDULED) and row.reason != Reason.WITHDRAWN


def begin_row(entry: Entry, *, number: int) -> Row:
    """The row of a job that is seen for the first time, before its record is applied."""
    record = entry.record
    return Row(
        number=number,
        id=entry.id,
        job=record.job,
        state="",
        reason=None,
        enqueueing=0,
        attempt=0,
        crashes=0,
        band=record.band,
        user=None,
        labels=None,
        schedule=None,
        due=None,
        worker=None,
        created=entry.time,
        updated=entry.time,
        started=None,
        ended=None,
        ready=entry.time,
        error_type=None,
        error_message=None,
        born=entry.seq,
        seq=entry.seq,
    )


def apply_entry(row: Row, entry: Entry, tally: Tally) -> None:
    """Change a row to what its next record says, and count that."""
    record, before = entry.record, row.state
    if min(record.enqueueing, _MOST) > row.enqueueing:
        row.started = row.worker = row.error_type = row.error_message = None
        if record.state in (State.QUEUED, State.SCHEDULED):
            tally.enqueued += 1
    _count(row, entry, tally, before)
    row.job, row.state, row.reason = record.job, record.state.value, record.reason and record.reason.value
    row.enqueueing, row.attempt = min(record.enqueueing, _MOST), min(record.attempt, _MOST)
    row.crashes, row.band = min(record.crashes, _MOST), record.band
    row.schedule, row.worker = record.schedule, record.worker or row.worker
    row.due = None if record.due is None else max(-_MOST, min(record.due, _MOST))
    row.updated, row.seq = entry.time, entry.seq
    row.ended = entry.time if record.state in FINAL else None
    if record.state is State.RUNNING:
        row.started = entry.time
    elif record.waiting:
        row.ready = max(entry.time, row.due or 0)
    _note_call(row, record)
    if record.error is not None:
        row.error_type, row.error_message = record.error.type, record.error.message[:ERROR_CHARACTERS]


def _note_call(row: Row, record: Record) -> None:
    call = record.call
    if call is None:
        return
    row.user = call.user
    row.labels = msgspec.json.encode(call.labels, order="sorted").decode() if call.labels else None


def _count(row: Row, entry: Entry, tally: Tally, before: str) -> None:
    state = entry.record.state
    if before in CLAIMED and state is not State.CANCELLING and row.started is not None:
        bucket = bucket_of(entry.time - row.started)
        tally.run[bucket] = tally.run.get(bucket, 0) + 1
    match state:
        case State.RUNNING:
            tally.started += 1
            if before not in CLAIMED:
                bucket = bucket_of(entry.time - row.ready)
                tally.wait[bucket] = tally.wait.get(bucket, 0) + 1
        case State.SUCCEEDED:
            tally.succeeded += 1
        case State.FAILED:
            tally.failed += 1
        case State.CANCELLED:
            tally.cancelled += entry.record.reason is not Reason.WITHDRAWN  # that was no run, and nobody's decision
        case State.SKIPPED:
            tally.skipped += 1
        case State.RETRYING if before in CLAIMED:
            tally.retried += 1
        case State.QUEUED | State.RETRYING | State.SCHEDULED | State.CANCELLING | State.DISCARDED:
            pass
