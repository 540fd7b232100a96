"""What goes over the wire: camelCase, times in RFC 3339 UTC. Built from what the client says, by field names."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from jetmill.client.concurrency import ConcurrencyPolicy
from jetmill.client.status import JobStatus, Transition
from jetmill.protocol.record import Band
from jetmill.protocol.state import Reason, State

T = TypeVar("T", bound=msgspec.Struct)


class Output(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """An answer; what is not known is left out."""


class Input(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A request's body; a field that nobody reads is refused."""


def build(kind: type[T], source: object) -> T:
    """The answer of a kind with what `source` has under the same field names."""
    return msgspec.convert(source, kind, from_attributes=True)


class ErrorView(Output, frozen=True, kw_only=True):
    """What went wrong, for people."""

    type: str
    message: str
    traceback: str = ""


class TransitionView(Output, frozen=True, kw_only=True):
    """One record of a job: what happened, when, by whom."""

    id: str
    job: str
    state: State
    reason: Reason | None = None
    attempt: int
    crashes: int
    enqueueing: int
    time: datetime
    seq: int
    """Its place in the ledger: `after=SEQ` on a list waits until the list knows it."""
    by: str
    worker: str | None = None
    due: datetime | None = None
    error: ErrorView | None = None


class AttemptView(Output, frozen=True, kw_only=True):
    """One run of a job."""

    number: int
    enqueueing: int
    worker: str | None = None
    started: datetime
    ended: datetime | None = None
    state: State
    """What it ended in; while it runs, `running` or `cancelling`."""
    reason: Reason | None = None
    error: ErrorView | None = None


class JobView(Output, frozen=True, kw_only=True):
    """A job with its whole history; what it was called with, and what it returned, are rights of their own."""

    id: str
    job: str
    namespace: str
    state: State
    reason: Reason | None = None
    attempt: int
    crashes: int
    enqueueing: int
    priority: Band
    enqueued: datetime
    scheduled_for: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    duration_seconds: float | None = None
    worker: str | None = None
    error: ErrorView | None = None
    max_retries: int | None = None
    timeout_seconds: float | None = None
    start_by: datetime | None = None
    user: str | None = None
    trace: str | None = None
    labels: dict[str, str] = {}
    concurrency_key: str | None = None
    concurrency_policy: ConcurrencyPolicy | None = None
    schedule: str | None = None
    seq: int = 0
    """Of its last record."""
    history: list[TransitionView] = []
    attempts: list[AttemptView] = []
    links: dict[str, str] = {}


class HistoryView(Output, frozen=True, kw_only=True):
    """Every record of a job, oldest first."""

    items: list[TransitionView]


class PayloadView(msgspec.Struct, frozen=True, kw_only=True):
    """What a job was called with."""

    id: str
    payload: Any


class ResultView(msgspec.Struct, frozen=True, kw_only=True):
    """What a job returned."""

    id: str
    result: Any


class LineView(Output, frozen=True, kw_only=True):
    """A log line or a progress report of a job."""

    seq: int
    time: datetime
    data: Any


class LinesView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Lines, oldest first; `after=next` on the next request goes on behind them."""

    items: list[LineView]
    next: int | None = None


class CreateJob(Input, frozen=True, kw_only=True):
    """A job to be enqueued."""

    job: str
    """The Job's name."""
    payload: dict[str, Any] = {}
    """What it is called with: argument names to values."""
    id: str | None = None
    """The caller's own id: the same id again is the same job."""
    priority: Literal["high", "normal", "low"] | int | None = None
    delay_seconds: Annotated[float, msgspec.Meta(ge=0, le=315_360_000)] | None = None
    at: datetime | None = None
    max_retries: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=315_360_000)] | None = None
    start_by: datetime | None = None
    labels: dict[str, str] | None = None
    concurrency_key: str | None = None
    concurrency_policy: ConcurrencyPolicy | None = None


MAX_BULK = 1_000


class CreateJobs(Input, frozen=True, kw_only=True):
    """Many jobs to be enqueued."""

    items: Annotated[list[CreateJob], msgspec.Meta(min_length=1, max_length=MAX_BULK)]


class CreatedView(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What became of one item of many."""

    index: int
    id: str | None = None
    created: bool | None = None
    """False: there was a job of that id already, and that is the one."""
    problem: Any = None
    """Why not, as a problem."""


class CreatedManyView(msgspec.Struct, frozen=True, kw_only=True):
    """One result for each item, in order."""

    items: list[CreatedView]


class Reschedule(Input, frozen=True, kw_only=True):
    """When a scheduled job is to run instead: one of both."""

    at: datetime | None = None
    delay_seconds: Annotated[float, msgspec.Meta(ge=0, le=315_360_000)] | None = None


class ServerView(Output, frozen=True, kw_only=True):
    """What answers here."""

    version: str
    namespaces: list[str]
    """Those that are served; the first is meant where a request names none."""
    auth: str
    connected: bool
    """To NATS."""
    time: datetime


class WorkerView(Output, frozen=True, kw_only=True):
    """A worker process that lives."""

    worker: str
    jobs: list[str]
    missing: list[str] = []
    slots: int
    busy: int
    running: list[str] = []
    service_seconds: float
    started: datetime | None = None
    host: str = ""
    pid: int = 0
    pod: str = ""
    version: str = ""
    draining: bool = False
    stopping: bool = False


class WorkersView(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    items: list[WorkerView]


class QueueView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What waits and runs of one Job, and who works on it."""

    job: str
    ready: int
    in_flight: int
    delayed: int
    workers: int
    slots: int
    busy: int
    suspended: bool


class QueuesView(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, by the Job's name."""

    items: list[QueueView]


def view_transition(transition: Transition) -> TransitionView:
    """A record as it goes over the wire."""
    return build(TransitionView, transition)


def view_job(status: JobStatus, *, links: dict[str, str]) -> JobView:
    """A job as it goes over the wire."""
    view = build(JobView, status)
    seq = status.history[-1].seq
    return msgspec.structs.replace(view, seq=seq, attempts=build_attempts(status.history), links=links)


def build_attempts(history: list[Transition]) -> list[AttemptView]:
    """The runs that a chain tells of, oldest first. A takeover begins another run of the same attempt. Pure."""
    attempts: list[AttemptView] = []
    for index, record in enumerate(history):
        if record.state is not State.RUNNING:
            continue
        end = next((one for one in history[index + 1 :] if one.state is not State.CANCELLING), None)
        last = end or history[-1]
        attempts.append(
            AttemptView(
                number=record.attempt,
                enqueueing=record.enqueueing,
                worker=record.worker,
                started=record.time,
                ended=None if end is None else end.time,
                state=last.state,
                reason=last.reason,
                error=None if last.error is None else build(ErrorView, last.error),
            )
        )
    return attempts
