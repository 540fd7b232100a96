"""What a handler is told of its job, and what it can do: `JobContext`, injected by its annotation.

The context knows nothing of the bus. What it does goes through a `Host`: the worker's, or in a child process one that
asks the worker over a pipe. So the same handler runs on the loop, on a thread or in a process. Times are aware
datetimes in UTC, made when they are asked for.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Generator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec


class JobFacts(msgspec.Struct, frozen=True, gc=False):
    """The plain facts of one attempt; this much goes to a child process. Times in µs."""

    id: str
    job: str
    attempt: int
    namespace: str
    worker: str
    enqueued: int
    scheduled: int
    started: int
    timeout_seconds: float
    user: str | None = None
    labels: dict[str, str] | None = None
    trace: str | None = None
    slot: int | None = None


class Host(Protocol):
    """What carries out a context's wishes; safe to call from any thread."""

    def trace(self, facts: JobFacts, kind: str, data: bytes) -> None:
        """Note a progress report or a log line."""
        ...

    async def enqueue(self, facts: JobFacts, job: Any, payload: Mapping[str, Any], options: Mapping[str, Any]) -> str:
        """Enqueue another job and give its id."""
        ...

    async def publish(self, facts: JobFacts, event_type: str, data: Any) -> str:
        """Publish an event and give its id."""
        ...

    def wait_for(self, coroutine: Any) -> Any:
        """Wait for one of the above on a thread that is not the loop's."""
        ...


class CancelFlag:
    """Whether the attempt is to stop: a flag to look at, or to wait for (`await ctx.cancelled`, `.wait(seconds)`)."""

    __slots__ = ("_event", "_futures", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._futures: list[asyncio.Future[None]] = []

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait on a thread; tell whether it is to stop."""
        return self._event.wait(timeout_seconds)

    def __await__(self) -> Generator[Any, None, None]:
        return self._until_set().__await__()

    async def _until_set(self) -> None:
        with self._lock:
            if self._event.is_set():
                return
            future = asyncio.get_running_loop().create_future()
            self._futures.append(future)
        await future

    def set(self) -> None:
        """Say that it is to stop; idempotent, called on the loop."""
        with self._lock:
            self._event.set()
            futures, self._futures = self._futures, []
        for future in futures:
            if not future.done():
                future.set_result(None)


class JobContext:
    """The job that runs now."""

    __jetmill_inject__ = True
    __slots__ = ("_cancelled", "_host", "facts")

    def __init__(self, facts: JobFacts, host: Host) -> None:
        self.facts = facts
        self._host = host
        self._cancelled: CancelFlag | None = None

    @property
    def id(self) -> str:
        """The job's id."""
        return self.facts.id

    @property
    def job(self) -> str:
        """The Job that declares it."""
        return self.facts.job

    @property
    def namespace(self) -> str:
        """The namespace it lives in."""
        return self.facts.namespace

    @property
    def worker(self) -> str:
        """The worker process that runs it."""
        return self.facts.worker

    @property
    def attempt(self) -> int:
        """Counts from 1."""
        return self.facts.attempt

    @property
    def user(self) -> str | None:
        """Who enqueued it, if the caller said so."""
        return self.facts.user

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the call."""
        return self.facts.labels or {}

    @property
    def trace(self) -> str | None:
        """The caller's W3C `traceparent`."""
        return self.facts.trace

    @property
    def enqueued(self) -> datetime:
        """When it was enqueued."""
        return to_datetime(self.facts.enqueued)

    @property
    def scheduled(self) -> datetime:
        """When this attempt was due: the time it was enqueued for, or that the retry was put off to."""
        return to_datetime(self.facts.scheduled)

    @property
    def slot(self) -> datetime | None:
        """The time of the calendar that this job of a ScheduledJob stands for, whenever it runs; None: of none."""
        return None if self.facts.slot is None else to_datetime(self.facts.slot)

    @property
    def started(self) -> datetime:
        """When this attempt started."""
        return to_datetime(self.facts.started)

    @property
    def deadline(self) -> datetime:
        """When this attempt is stopped."""
        return self.started + timedelta(seconds=self.facts.timeout_seconds)

    @property
    def cancelled(self) -> CancelFlag:
        """Whether to stop (the job was cancelled, ran too long, or its worker ends): a flag, and awaitable."""
        if self._cancelled is None:
            self._cancelled = CancelFlag()
        return self._cancelled

    def progress(self, fraction: float, message: str = "") -> None:
        """Report how far it is, between 0 and 1; may be lost, and is never waited for."""
        report = {
            "fraction": min(1.0, max(0.0, float(fraction))),
            "message": message,
            "attempt": self.facts.attempt,
            "time": now_us(),
        }
        self._host.trace(self.facts, "progress", msgspec.json.encode(report))

    def log(self, message: str, level: str = "info", **fields: Any) -> None:
        """Note a line in the job's log, with fields; may be lost, and is never waited for."""
        line = {"level": level, "message": message, "attempt": self.facts.attempt, "time": now_us()}
        if fields:
            line["fields"] = fields
        self._host.trace(self.facts, "log", msgspec.json.encode(line, enc_hook=str))

    async def enqueue(self, job: Any, payload: Mapping[str, Any] | None = None, **options: Any) -> str:
        """Enqueue a job (a handler or a Job's name) on the worker's own connection; the id of the new job.

        `options` are those of a call: id, priority, delay, at, max_retries, timeout, labels, user.
        """
        return await self._host.enqueue(self.facts, job, payload or {}, options)

    def enqueue_sync(self, job: Any, payload: Mapping[str, Any] | None = None, **options: Any) -> str:
        """As `enqueue`, for a handler on a thread or in a process."""
        return str(self._host.wait_for(self._host.enqueue(self.facts, job, payload or {}, options)))

    async def publish(self, event: Any, data: Any = None) -> str:
        """Publish an event of the application, by its type and data or as a BaseEvent; its id. Its source is the Job,
        its subject the job.
        """
        return await self._host.publish(self.facts, *_open(event, data))

    def publish_sync(self, event: Any, data: Any = None) -> str:
        """As `publish`, for a handler on a thread or in a process."""
        return str(self._host.wait_for(self._host.publish(self.facts, *_open(event, data))))

    def stop(self) -> None:
        """Raise the flag; what the worker calls."""
        self.cancelled.set()


def _open(event: Any, data: Any) -> tuple[str, Any]:
    return (event, data) if isinstance(event, str) else (event.type, event.data)


current: contextvars.ContextVar[JobContext | None] = contextvars.ContextVar("jetmill_job", default=None)
"""The context of the job that runs here; logs take their ids from it."""


def current_job() -> JobContext | None:
    """The context of the job that runs here, for code that has no parameter for it."""
    return current.get()


def now_us() -> int:
    """µs since the Unix epoch, by this machine's clock."""
    return time.time_ns() // 1000


def to_datetime(microseconds: int) -> datetime:
    """An aware datetime in UTC."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
