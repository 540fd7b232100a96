"""Lists, groups and statistics as they go over the wire, and a job of a list as streams tell it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from jetmill.client.status import time_of
from jetmill.protocol.record import Band
from jetmill.protocol.state import Reason, State
from jetmill_operator.gateway.projection import Bucket, Group, JobRow
from jetmill_operator.gateway.stream.source import JobEvent, shorten_error
from jetmill_operator.gateway.web.body import ErrorBody, Out


class RowBody(Out, frozen=True, kw_only=True):
    """A job as its last record left it. Asked for by `fields`, only those, and always the id."""

    id: str
    namespace: str | None = None
    job: str | None = None
    state: State | None = None
    reason: Reason | None = None
    enqueueing: int | None = None
    attempt: int | None = None
    crashes: int | None = None
    priority: Band | None = None
    user: str | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    schedule: str | None = None
    due: datetime | None = None
    worker: str | None = None
    created: datetime | None = None
    updated: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    error: ErrorBody | None = None
    seq: int | None = None


FIELDS = frozenset(field.encode_name for field in msgspec.structs.fields(RowBody))


class RowsBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of a list. It may hold fewer than asked for although more follow: look at the cursor alone."""

    items: list[RowBody]
    next_cursor: str | None
    seq: int
    """The ledger's sequence that this answer includes."""


class CountBody(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs fit."""

    count: int
    seq: int


class GroupBody(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs that share a value."""

    key: str
    """Empty for those that have none."""
    count: int
    newest: datetime
    example: str
    """The id of the newest."""


class GroupsBody(msgspec.Struct, frozen=True, kw_only=True):
    """The values, the most frequent first, at most 1,000."""

    items: list[GroupBody]
    count: int
    """All jobs that fit."""
    seq: int


class BucketBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What happened in a span of time; percentiles are null where nothing was measured."""

    time: datetime
    """Its beginning."""
    enqueued: int
    started: int
    succeeded: int
    failed: int
    cancelled: int
    skipped: int
    retried: int
    failure_rate: float | None
    """Failed ones among those that succeeded or failed."""
    wait_p50: float | None
    wait_p99: float | None
    run_p50: float | None
    run_p99: float | None


class StatisticsBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is now, and what happened over time."""

    states: dict[str, int]
    """Jobs by state, now."""
    step_seconds: int
    items: list[BucketBody]
    seq: int


def build_row(row: JobRow) -> RowBody:
    """A row as it goes over the wire. Pure."""
    error = None
    if row.error_type is not None:
        error = ErrorBody(type=row.error_type, message=row.error_message or "")
    return RowBody(
        **_describe(row),
        namespace=row.namespace,
        labels=row.labels,
        created=time_of(row.created),
        updated=time_of(row.updated),
        started=_time(row.started),
        ended=_time(row.ended),
        error=error,
    )


def build_row_event(row: JobRow) -> JobEvent:
    """A row as its last transition, but for who caused it: that stands in the ledger alone. Pure."""
    error = None
    if row.error_type is not None:
        error = shorten_error(row.error_type, row.error_message or "")
    return JobEvent(**_describe(row), time=time_of(row.updated), labels=row.labels or None, error=error)


def _describe(row: JobRow) -> dict[str, Any]:
    """What lists and streams call alike."""
    return {
        "id": row.id,
        "job": row.job,
        "state": row.state,
        "reason": row.reason,
        "enqueueing": row.enqueueing,
        "attempt": row.attempt,
        "crashes": row.crashes,
        "priority": row.band,
        "user": row.user,
        "schedule": row.schedule,
        "due": _time(row.due),
        "worker": row.worker,
        "seq": row.seq,
    }


def narrow_row(row: RowBody, fields: frozenset[str]) -> RowBody:
    """The same with these fields alone (by the names on the wire), and the id. Pure."""
    kept: dict[str, Any] = {
        field.name: getattr(row, field.name)
        for field in msgspec.structs.fields(RowBody)
        if field.encode_name in fields or field.name == "id"
    }
    return RowBody(**kept)


def build_group(group: Group) -> GroupBody:
    """A group as it goes over the wire. Pure."""
    return GroupBody(key=group.key, count=group.count, newest=time_of(group.newest), example=group.example)


def build_bucket(bucket: Bucket) -> BucketBody:
    """A bucket as it goes over the wire. Pure."""
    done = bucket.succeeded + bucket.failed
    return BucketBody(
        time=time_of(bucket.time),
        enqueued=bucket.enqueued,
        started=bucket.started,
        succeeded=bucket.succeeded,
        failed=bucket.failed,
        cancelled=bucket.cancelled,
        skipped=bucket.skipped,
        retried=bucket.retried,
        failure_rate=bucket.failed / done if done else None,
        wait_p50=bucket.wait_p50,
        wait_p99=bucket.wait_p99,
        run_p50=bucket.run_p50,
        run_p99=bucket.run_p99,
    )


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else time_of(micros)
