"""What is answered. Times are µs since the Unix epoch by the server's clock, durations seconds."""

from __future__ import annotations

import msgspec

from jetmill.protocol.record import Band
from jetmill.protocol.state import Reason, State
from jetmill_operator.gateway.projection.histogram import Percentiles


class JobRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A job as its last record left it."""

    id: str
    namespace: str
    job: str
    state: State
    reason: Reason | None
    enqueueing: int
    attempt: int
    crashes: int
    band: Band
    user: str | None
    labels: dict[str, str]
    schedule: str | None
    due: int | None
    """When it may start; only while it waits for that."""
    worker: str | None
    """The last one, in this enqueueing."""
    created: int
    """The chain's first record that was seen."""
    updated: int
    """The chain's last record."""
    started: int | None
    """Of the last attempt in this enqueueing."""
    ended: int | None
    """When it came to a final state."""
    error_type: str | None
    """Of the last error in this enqueueing, whether or not a later attempt went well."""
    error_message: str | None
    """At most 4,000 characters; the whole is in the ledger."""
    seq: int
    """Of the chain's last record."""


class Page(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of a list. It may hold fewer than asked for although more follow: look at the cursor alone."""

    items: list[JobRow]
    next_cursor: str | None
    seq: int
    """The ledger's sequence that this answer includes."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How jobs stood at a sequence of the ledger: no row is newer, and a job that changed meanwhile is left out."""

    items: list[JobRow]
    """Those that changed last, the newest change first."""
    total: int
    """How many there were at that sequence, with those that are left out."""
    seq: int


class Group(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The jobs that share a value."""

    key: str
    """"" for those that have none."""
    count: int
    newest: int
    """When the newest of them was created, µs."""
    example: str
    """The id of that one."""


class Bucket(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What happened in a span of time. Percentiles are off by at most 10 %; None where nothing was measured."""

    time: int
    """Its beginning, µs."""
    enqueued: int
    started: int
    succeeded: int
    failed: int
    cancelled: int
    skipped: int
    retried: int
    wait_p50: float | None
    """From the moment it could be claimed to its start."""
    wait_p99: float | None
    run_p50: float | None
    """From the start of an attempt to its end, whatever came of it."""
    run_p99: float | None


class Flow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the jobs of a Job get through."""

    job: str
    oldest: int | None
    """Since when the job has waited that has waited longest, µs; None where none waits."""
    wait: Percentiles | None
    """From the moment they could be claimed to their start; None where none was started."""
    run: Percentiles | None
    """Of each attempt that ended."""


class Lag(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far behind the ledger the projection is."""

    records: int
    """Sequences that the ledger has and the projection has not."""
    seconds: float
    """For how long it has not been up to date, as far as is known; grows while NATS is away."""
    complete: bool = True
    """It has been up to date since it was opened or begun anew; before, lists lack what was not read yet."""


class EndedJob(msgspec.Struct, frozen=True, array_like=True):
    """A job in a final state, for retention."""

    id: str
    job: str
    state: State
    ended: int
    seq: int
    over: int
    """µs; what its retention counts from: its end, or the time that it was planned for, if that is later."""
