"""What a job's chain says, for people and programs: pure functions from records to answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from jetmill.client.concurrency import ConcurrencyPolicy, parse_key_gate
from jetmill.protocol.name import is_delivery
from jetmill.protocol.record import Band, Call, Entry, ErrorInfo, PayloadRef, Record
from jetmill.protocol.state import FINAL, OPEN, Reason, State


class _Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What everything that is said of a job begins with."""

    id: str
    job: str
    state: State
    reason: Reason | None = None
    attempt: int
    crashes: int

    @property
    def final(self) -> bool:
        """Nothing will happen any more, unless a person asks for it."""
        return self.state in FINAL


class Transition(_Facts, frozen=True, kw_only=True, omit_defaults=True):
    """One record of a job: what happened, when, by whom."""

    enqueueing: int
    time: datetime
    """By the server's clock."""
    seq: int
    """Its place in the ledger; `stream(start=seq + 1)` goes on after it."""
    by: str
    worker: str | None = None
    due: datetime | None = None
    error: ErrorInfo | None = None


class JobStatus(_Facts, frozen=True, kw_only=True, omit_defaults=True):
    """All that the ledger knows of a job. Times of the enqueueing that is the last."""

    namespace: str
    enqueueing: int
    priority: Band
    enqueued: datetime
    scheduled_for: datetime | None = None
    """When it may start, or might; also of a retry that waits."""
    started: datetime | None = None
    """Of the last attempt."""
    finished: datetime | None = None
    duration_seconds: float | None = None
    """Of the last attempt, once that ended."""
    worker: str | None = None
    payload: Any = None
    payload_ref: PayloadRef | None = None
    """Where the payload is, if it is large: `Client.payload` fetches it."""
    result: Any = None
    result_ref: PayloadRef | None = None
    error: ErrorInfo | None = None
    max_retries: int | None = None
    timeout_seconds: float | None = None
    start_by: datetime | None = None
    user: str | None = None
    trace: str | None = None
    labels: dict[str, str] = {}
    concurrency_key: str | None = None
    concurrency_policy: ConcurrencyPolicy | None = None
    schedule: str | None = None
    history: list[Transition] = []

    @property
    def open(self) -> bool:
        """It waits or runs."""
        return self.state in OPEN


class JobSummary(_Facts, frozen=True, kw_only=True, omit_defaults=True):
    """A line of a list of jobs."""

    enqueued: datetime
    """The chain's first record."""
    changed: datetime
    """The chain's last record."""
    due: datetime | None = None
    worker: str | None = None
    error: str | None = None
    labels: dict[str, str] = {}


class JobStats(msgspec.Struct, frozen=True, kw_only=True):
    """What waits and runs of one Job, and who works on it."""

    job: str
    ready: int
    in_flight: int
    delayed: int
    workers: int
    slots: int
    busy: int
    suspended: bool


def time_of(micros: int) -> datetime:
    """A moment given in µs."""
    return datetime.fromtimestamp(micros / 1_000_000, UTC)


def build_transition(entry: Entry) -> Transition:
    """What a record says."""
    record = entry.record
    return Transition(
        id=entry.id,
        job=record.job,
        state=record.state,
        attempt=record.attempt,
        enqueueing=record.enqueueing,
        crashes=record.crashes,
        reason=record.reason,
        time=time_of(entry.time),
        seq=entry.seq,
        by=record.by,
        worker=record.worker,
        due=None if record.due is None else time_of(record.due),
        error=record.error,
    )


def build_status(chain: Sequence[Entry], *, namespace: str) -> JobStatus:
    """What a whole chain (not empty, oldest first) says."""
    last = chain[-1]
    record = last.record
    current = [entry for entry in chain if entry.record.enqueueing == record.enqueueing]
    source = _source_of(chain)
    call = source.call or Call()
    runs = [entry for entry in current if entry.record.state is State.RUNNING]
    started = runs[-1].time if runs else None
    ended = _end_of(current, runs)
    key, policy = parse_key_gate(record.gate)
    due = next((entry.record.due for entry in reversed(current) if entry.record.due is not None), None)
    return JobStatus(
        id=last.id,
        job=record.job,
        namespace=namespace,
        state=record.state,
        reason=record.reason,
        attempt=record.attempt,
        enqueueing=record.enqueueing,
        crashes=record.crashes,
        priority=record.band,
        enqueued=time_of(current[0].time),
        scheduled_for=None if due is None else time_of(due),
        started=None if started is None else time_of(started),
        finished=time_of(last.time) if record.final else None,
        duration_seconds=None if started is None or ended is None else (ended - started) / 1_000_000,
        worker=next((entry.record.worker for entry in reversed(current) if entry.record.worker), None),
        payload=_decode(source.payload),
        payload_ref=source.payload_ref,
        result=_decode(record.result),
        result_ref=record.result_ref,
        error=next((entry.record.error for entry in reversed(current) if entry.record.error), None),
        max_retries=_limit_of(current, call),
        timeout_seconds=call.timeout_seconds,
        start_by=None if call.start_by is None else time_of(call.start_by),
        user=call.user,
        trace=call.trace,
        labels=call.labels or {},
        concurrency_key=key,
        concurrency_policy=policy,
        schedule=record.schedule,
        history=[build_transition(entry) for entry in chain],
    )


def _source_of(chain: Sequence[Entry]) -> Record:
    """The record that holds payload and call of the last enqueueing."""
    last = chain[-1]
    wanted = last.record.payload_seq or last.seq
    return next((entry.record for entry in chain if entry.seq == wanted), chain[0].record)


def _end_of(current: Sequence[Entry], runs: Sequence[Entry]) -> int | None:
    """When the last run ended: the first record after its `running` that is neither `running` nor `cancelling`."""
    if not runs:
        return None
    after = (entry for entry in current if entry.seq > runs[-1].seq and not entry.record.claimed)
    return next((entry.time for entry in after), None)


def _limit_of(current: Sequence[Entry], call: Call) -> int | None:
    claimed = (entry.record.max_retries for entry in reversed(current) if entry.record.max_retries is not None)
    return next(claimed, call.max_retries)


def _decode(raw: msgspec.Raw | None) -> Any:
    return None if raw is None else msgspec.json.decode(raw)


class JobTable:
    """The jobs of a ledger by their last record, folded from its entries; small enough for a million jobs."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, Entry]] = {}
        self._labels: dict[str, dict[str, str]] = {}
        """Of the jobs that have any."""
        self._known: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
        """Each of those once: most jobs share theirs with many."""

    def add(self, entries: Sequence[Entry]) -> None:
        """Take entries in, in the ledger's order."""
        rows = self._rows
        for entry in entries:
            first = rows.get(entry.id)
            rows[entry.id] = (first[0] if first else entry.time, _lighten(entry))
            call = entry.record.call
            if call is not None and call.labels:
                self._labels[entry.id] = self._known.setdefault(tuple(call.labels.items()), call.labels)

    def select(
        self,
        *,
        job: str | None,
        states: frozenset[State] | None,
        reasons: frozenset[Reason] = frozenset(),
        since: int | None,
        limit: int | None,
    ) -> list[JobSummary]:
        """Those that fit, the one that changed last first; `since` (µs) looks at the last change."""
        rows = [
            (first, entry)
            for first, entry in self._rows.values()
            if (not is_delivery(entry.record.job) if job is None else entry.record.job == job)
            and (states is None or entry.record.state in states)
            and (entry.record.reason in reasons if reasons else entry.record.reason is not Reason.WITHDRAWN)
            and (since is None or entry.time >= since)
        ]
        rows.sort(key=lambda row: row[1].seq, reverse=True)
        return [_build_summary(first, entry, self._labels.get(entry.id, {})) for first, entry in rows[:limit]]


_LARGE = ("payload", "result", "call")


def _lighten(entry: Entry) -> Entry:
    record = entry.record
    if record.payload is None and record.result is None and record.call is None:
        return entry
    light = msgspec.structs.replace(record, **dict.fromkeys(_LARGE))
    return Entry(id=entry.id, seq=entry.seq, time=entry.time, record=light)


def _build_summary(first: int, entry: Entry, labels: dict[str, str]) -> JobSummary:
    record = entry.record
    return JobSummary(
        id=entry.id,
        job=record.job,
        state=record.state,
        reason=record.reason,
        attempt=record.attempt,
        crashes=record.crashes,
        enqueued=time_of(first),
        changed=time_of(entry.time),
        due=None if record.due is None else time_of(record.due),
        worker=record.worker,
        error=None if record.error is None else f"{record.error.type}: {record.error.message}",
        labels=labels,
    )
