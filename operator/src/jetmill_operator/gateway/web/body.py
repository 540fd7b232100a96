"""What goes in and out as JSON: camelCase, times in RFC 3339 (UTC), what is not known left out. Unknown names in bodies
that come in are refused.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec

from jetmill.client.concurrency import ConcurrencyPolicy
from jetmill.client.option import MAX_SECONDS
from jetmill.client.status import JobStatus, Transition
from jetmill.protocol.record import Band
from jetmill.protocol.state import Reason, State
from jetmill_operator.gateway.web.problem import Problem

MAX_BULK = 1_000
Text = Annotated[str, msgspec.Meta(max_length=256)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)]


class In(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What comes in."""


class Out(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What goes out."""


class CreateJob(In, frozen=True, kw_only=True):
    """One call of a Job."""

    job: Text
    """The Job's name."""
    payload: dict[str, Any] = {}
    """Argument names to values."""
    id: Text | None = None
    """An id of your own (an RFC 1123 label): the same id again is the same job."""
    priority: Band | None = None
    delay_seconds: Seconds | None = None
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """When it may start; not together with `delaySeconds`."""
    max_retries: Annotated[int, msgspec.Meta(ge=0)] | None = None
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=MAX_SECONDS)] | None = None
    labels: dict[str, str] | None = None
    start_by: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Not started by then, it is skipped as `expired`."""
    concurrency_key: Text | None = None
    """Of the namespace's jobs with this key one at a time is begun and not done with."""
    concurrency_policy: ConcurrencyPolicy | None = None


class CreateJobs(In, frozen=True, kw_only=True):
    """Many calls, of one Job or of several."""

    jobs: Annotated[list[CreateJob], msgspec.Meta(min_length=1, max_length=MAX_BULK)]


class Reschedule(In, frozen=True, kw_only=True):
    """When a scheduled job is to start: one of both."""

    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    delay_seconds: Seconds | None = None


class Login(In, frozen=True, kw_only=True):
    """What a browser logs in with."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=16_384)]
    """Of a ServiceAccount: `kubectl create token NAME --audience=jetmill`."""


class ErrorBody(Out, frozen=True, kw_only=True):
    """What went wrong in an attempt."""

    type: str
    message: str
    traceback: str = ""


class TransitionBody(Out, frozen=True, kw_only=True):
    """One record of a job's history."""

    id: str
    job: str
    state: State
    reason: Reason | None = None
    enqueueing: int
    """Counts from 1; a person's retry begins the next."""
    attempt: int
    crashes: int
    time: datetime
    seq: int
    """Its place in the ledger."""
    by: str
    worker: str | None = None
    due: datetime | None = None
    error: ErrorBody | None = None


class Attempt(Out, frozen=True, kw_only=True):
    """One run of a handler."""

    enqueueing: int
    attempt: int
    worker: str | None = None
    started: datetime
    ended: datetime | None = None
    state: State
    """What followed the run; `running` while nothing did."""
    reason: Reason | None = None
    error: ErrorBody | None = None


class JobBody(Out, frozen=True, kw_only=True):
    """All that the ledger knows of a job, but for its payload and its result, which need rights of their own."""

    id: str
    namespace: str
    job: str
    state: State
    reason: Reason | None = None
    enqueueing: int
    attempt: int
    crashes: int
    priority: Band
    enqueued: datetime
    scheduled_for: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    duration_seconds: float | None = None
    worker: str | None = None
    error: ErrorBody | None = None
    max_retries: int | None = None
    timeout_seconds: float | None = None
    start_by: datetime | None = None
    user: str | None = None
    trace: str | None = None
    labels: dict[str, str] = {}
    concurrency_key: str | None = None
    concurrency_policy: ConcurrencyPolicy | None = None
    schedule: str | None = None
    has_result: bool = False
    seq: int
    """The ledger's sequence of the last record."""
    attempts: list[Attempt] = []
    links: dict[str, str] = {}


class HistoryBody(Out, frozen=True, kw_only=True):
    """A job's records, oldest first."""

    items: list[TransitionBody]


class PayloadBody(Out, frozen=True, kw_only=True):
    """What a job was called with."""

    payload: Any


class ResultBody(Out, frozen=True, kw_only=True):
    """What a job returned."""

    state: State
    result: Any


class LogLine(Out, frozen=True, kw_only=True):
    """A log line, or a report of progress."""

    time: datetime
    seq: int
    data: Any


class LogBody(Out, frozen=True, kw_only=True):
    """The lines of a job, oldest first; they are kept for a day."""

    items: list[LogLine]


class BulkItem(Out, frozen=True, kw_only=True):
    """What became of one of many."""

    index: int
    id: str | None = None
    created: bool | None = None
    problem: Problem | None = None


class BulkBody(Out, frozen=True, kw_only=True):
    """What became of each, in the order in which they were given."""

    items: list[BulkItem]


class CauseBody(Out, frozen=True, kw_only=True):
    """One finding."""

    code: str
    """Constant, for programs."""
    text: str
    cure: str = ""
    """What to do."""


class CausesBody(Out, frozen=True, kw_only=True):
    """Why something does not run, or where it stands; empty: nothing keeps it."""

    items: list[CauseBody]
    looked: datetime
    """When."""


class WorkerBody(Out, frozen=True, kw_only=True):
    """A worker process that lives."""

    worker: str
    jobs: list[str]
    missing: list[str] = []
    slots: int
    busy: int
    running: list[str] = []
    started: datetime | None = None
    host: str = ""
    pod: str = ""
    version: str = ""
    draining: bool = False
    stopping: bool = False


class WorkersBody(Out, frozen=True, kw_only=True):
    """The worker processes of a namespace."""

    items: list[WorkerBody]


class LatencyBody(Out, frozen=True, kw_only=True):
    """How long it took, in seconds, off by at most a tenth: half of them at most `p50`."""

    count: int
    p50: float
    p95: float
    p99: float


class QueueBody(Out, frozen=True, kw_only=True):
    """What waits and runs of one Job, who works on it, and how its jobs get through."""

    job: str
    ready: int
    in_flight: int
    delayed: int
    workers: int
    slots: int
    busy: int
    suspended: bool
    oldest_seconds: float | None = None
    """How long the job has waited that could start and has waited longest; left out where none does."""
    wait: LatencyBody | None = None
    """From the moment that a job could start to its start; left out where none was started in the window."""
    run: LatencyBody | None = None
    """Of each attempt that ended in the window, however it did."""


class QueuesBody(Out, frozen=True, kw_only=True):
    """The queues of a namespace, by name."""

    items: list[QueueBody]
    window_seconds: int | None = None
    """What `wait` and `run` were measured over. Left out while the lists are not complete: then ages and latencies are
    left out as well.
    """


class TriggerBody(Out, frozen=True, kw_only=True):
    """Which events enqueue a job."""

    event: str
    expression: str | None = None
    payload: str


class SettingsBody(Out, frozen=True, kw_only=True):
    """What counts for the jobs of one Job, as it was declared; what was not is left out."""

    job: str
    generation: int
    uid: str
    carrier: str | None = None
    """The Job whose workers serve this one too."""
    handler: str | None = None
    command: list[str] | None = None
    concurrency: int | None = None
    executor: str | None = None
    timeout_seconds: float | None = None
    lease_seconds: float
    max_retries: int | None = None
    initial_delay_seconds: float | None = None
    factor: float | None = None
    max_delay_seconds: float | None = None
    jitter: bool | None = None
    payload_schema: Any = None
    payload_max_bytes: int
    succeeded_seconds: float
    failed_seconds: float
    suspend: bool
    triggers: list[TriggerBody]


class AllSettingsBody(Out, frozen=True, kw_only=True):
    """The Jobs of a namespace, by name."""

    items: list[SettingsBody]


class ServerBody(Out, frozen=True, kw_only=True):
    """What this gateway is."""

    version: str
    namespaces: list[str]
    default_namespace: str | None = None
    """The one that is meant where a request names none, if you may see it."""
    auth: str
    connected: bool
    max_body_bytes: int
    max_bulk: int


class RightBody(Out, frozen=True, kw_only=True):
    """Whether somebody may do something."""

    verb: str
    resource: str
    allowed: bool
    description: str


class AccessBody(Out, frozen=True, kw_only=True):
    """Who asks, and what they may in a namespace."""

    user: str
    groups: list[str]
    method: str
    namespace: str
    rights: list[RightBody]


class SessionBody(Out, frozen=True, kw_only=True):
    """A session that was begun."""

    user: str
    expires: datetime
    csrf_token: str
    """To be sent as `X-CSRF-Token` with whatever changes something."""


class TicketBody(Out, frozen=True, kw_only=True):
    """A ticket for one stream."""

    ticket: str
    expires: datetime


def build_job(status: JobStatus, *, path: str) -> JobBody:
    """What is said of a job; `path` is that of the jobs, with the prefix that the client sees."""
    own = f"{path}/{status.id}"
    suffix = f"?namespace={status.namespace}"
    names = ("history", "payload", "result", "logs", "why", "cancel", "retry", "discard", "reschedule")
    return JobBody(
        id=status.id,
        namespace=status.namespace,
        job=status.job,
        state=status.state,
        reason=status.reason,
        enqueueing=status.enqueueing,
        attempt=status.attempt,
        crashes=status.crashes,
        priority=status.priority,
        enqueued=status.enqueued,
        scheduled_for=status.scheduled_for,
        started=status.started,
        finished=status.finished,
        duration_seconds=status.duration_seconds,
        worker=status.worker,
        error=_build_error(status.error),
        max_retries=status.max_retries,
        timeout_seconds=status.timeout_seconds,
        start_by=status.start_by,
        user=status.user,
        trace=status.trace,
        labels=status.labels,
        concurrency_key=status.concurrency_key,
        concurrency_policy=status.concurrency_policy,
        schedule=status.schedule,
        has_result=status.result is not None or status.result_ref is not None,
        seq=status.history[-1].seq,
        attempts=build_attempts(status.history),
        links={"self": own + suffix} | {name: f"{own}/{name}{suffix}" for name in names},
    )


def build_transition_body(transition: Transition) -> TransitionBody:
    """What is said of one record."""
    return TransitionBody(
        id=transition.id,
        job=transition.job,
        state=transition.state,
        reason=transition.reason,
        enqueueing=transition.enqueueing,
        attempt=transition.attempt,
        crashes=transition.crashes,
        time=transition.time,
        seq=transition.seq,
        by=transition.by,
        worker=transition.worker,
        due=transition.due,
        error=_build_error(transition.error),
    )


def build_attempts(history: list[Transition]) -> list[Attempt]:
    """The runs in a history: each begins with a `running` and ends with what follows it but for `cancelling`."""
    runs: list[Attempt] = []
    for index, record in enumerate(history):
        if record.state is not State.RUNNING:
            continue
        after = next((later for later in history[index + 1 :] if later.state is not State.CANCELLING), None)
        runs.append(
            Attempt(
                enqueueing=record.enqueueing,
                attempt=record.attempt,
                worker=record.worker,
                started=record.time,
                ended=None if after is None else after.time,
                state=record.state if after is None else after.state,
                reason=None if after is None else after.reason,
                error=None if after is None else _build_error(after.error),
            )
        )
    return runs


def _build_error(error: Any) -> ErrorBody | None:
    return None if error is None else ErrorBody(type=error.type, message=error.message, traceback=error.traceback)
