"""The client for code that has no event loop: the same methods, each waiting for its answer.

It runs a `Client` on a loop in a thread of its own, so it can be used from any thread, and from many at once. On a
coroutine use `Client` itself: waiting here would stop the loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from jetmill.bus.ports import TraceLine
from jetmill.client.client import Client
from jetmill.client.declaration import JobHandler, Registry, default_registry
from jetmill.client.desk import EventKeywords
from jetmill.client.handle import JobHandle
from jetmill.client.option import CallKeywords, CallOptions
from jetmill.client.settings import ClientSettings
from jetmill.client.status import JobStats, JobStatus, JobSummary, Transition
from jetmill.client.submission import Item, Payload
from jetmill.errors import JetmillError
from jetmill.protocol.event import Event
from jetmill.protocol.record import JobSettings, Presence

if TYPE_CHECKING:
    from types import TracebackType

    from jetmill.client.event import BaseEvent

T = TypeVar("T")


class SyncJobHandle:
    """The id of a job, and the ways to ask for it by the client that enqueued it; each waits for its answer."""

    __slots__ = ("_client", "created", "id", "job")

    def __init__(self, client: SyncClient, handle: JobHandle) -> None:
        self._client = client
        self.id = handle.id
        self.job = handle.job
        self.created = handle.created

    def __repr__(self) -> str:
        return f"<job {self.job} {self.id}>"

    def status(self) -> JobStatus:
        """Where it stands."""
        return self._client.status(self.id)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for its result; JobFailedError if it ended otherwise, TimeoutError."""
        return self._client.result(self.id, timeout)

    def wait(self, timeout: float | None = None) -> Transition:
        """Wait until it is done with; TimeoutError."""
        return self._client.wait(self.id, timeout)

    def cancel(self) -> Transition:
        """Cancel it, before or while it runs."""
        return self._client.cancel(self.id)


class SyncClient:
    """`Client` for threads. What each method means and raises stands there."""

    def __init__(
        self, settings: ClientSettings | None = None, *, registry: Registry = default_registry, by: str | None = None
    ) -> None:
        self._client = Client(settings, registry=registry, by=by)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="jetmill-client", daemon=True)
        self._closing = threading.Lock()
        self._closed = False
        self._thread.start()

    def __enter__(self) -> Self:
        self._call(self._client.connect())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave, and end the thread; idempotent."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            if self._thread.is_alive():
                asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result()
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()

    def enqueue(
        self, job: str | JobHandler[..., Any], payload: Payload = None, /, **options: Unpack[CallKeywords]
    ) -> SyncJobHandle:
        """Enqueue one call."""
        return SyncJobHandle(self, self._call(self._client.enqueue(job, payload, **options)))

    def submit(self, handler: JobHandler[..., Any], payload: bytes, *, options: CallOptions) -> SyncJobHandle:
        """Enqueue an encoded payload of a handler."""
        return SyncJobHandle(self, self._call(self._client.submit(handler, payload, options=options)))

    def enqueue_many(
        self,
        job: str | JobHandler[..., Any],
        calls: Iterable[Payload | Item],
        *,
        options: CallOptions | None = None,
    ) -> list[SyncJobHandle | JetmillError]:
        """Enqueue many calls: one handle or error for each, in order."""
        answers = self._call(self._client.enqueue_many(job, list(calls), options=options))
        return [SyncJobHandle(self, answer) if isinstance(answer, JobHandle) else answer for answer in answers]

    def status(self, job_id: str) -> JobStatus:
        """All that the ledger knows of a job."""
        return self._call(self._client.status(job_id))

    def payload(self, job_id: str) -> Any:
        """The payload of a job."""
        return self._call(self._client.payload(job_id))

    def result(self, job_id: str, timeout: float | None = None) -> Any:
        """Wait for the result of a job."""
        return self._call(self._client.result(job_id, timeout))

    def wait(self, job_id: str, timeout: float | None = None) -> Transition:
        """Wait until a job is done with."""
        return self._call(self._client.wait(job_id, timeout))

    def wait_many(
        self,
        job_ids: Iterable[str],
        timeout: float | None = None,
        *,
        on_final: Callable[[Transition], None] | None = None,
    ) -> list[Transition]:
        """Wait until all are done with; `on_final` is called on the client's thread."""
        return self._call(self._client.wait_many(list(job_ids), timeout, on_final=on_final))

    def jobs(self) -> list[JobSettings]:
        """The Jobs that are declared."""
        return self._call(self._client.jobs())

    def stats(self, job: str | None = None) -> list[JobStats]:
        """What waits and runs."""
        return self._call(self._client.stats(job))

    def workers(self) -> list[Presence]:
        """The worker processes that live."""
        return self._call(self._client.workers())

    def stream(
        self, *, start: int | None = None, job: str | None = None, job_id: str | None = None
    ) -> Iterator[Transition]:
        """Transitions as they happen, without an end; break out of the loop to stop."""
        return self._iterate(self._client.stream(start=start, job=job, job_id=job_id))

    def logs(self, job_id: str, *, live: bool = False, kind: str = "log") -> Iterator[TraceLine]:
        """The log lines of a job."""
        return self._iterate(self._client.logs(job_id, live=live, kind=kind))

    def cancel(self, job_id: str) -> Transition:
        """Cancel a job."""
        return self._call(self._client.cancel(job_id))

    def retry(self, job_id: str) -> Transition:
        """Enqueue a finished job once more."""
        return self._call(self._client.retry(job_id))

    def discard(self, job_id: str) -> Transition:
        """Give up a failed job for good."""
        return self._call(self._client.discard(job_id))

    def reschedule(
        self, job_id: str, *, at: datetime | None = None, delay: float | timedelta | None = None
    ) -> Transition:
        """Move a scheduled job to another time."""
        return self._call(self._client.reschedule(job_id, at=at, delay=delay))

    def trigger(
        self,
        name: str,
        payload: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the option's name everywhere
    ) -> SyncJobHandle:
        """Enqueue a job of a ScheduledJob now."""
        return SyncJobHandle(self, self._call(self._client.trigger(name, payload, id=id)))

    def broadcast(self, topic: str, message: Any) -> None:
        """Send a message to everyone who listens to a topic now."""
        self._call(self._client.broadcast(topic, message))

    def send_to_user(self, user: str, message: Any) -> None:
        """Send a message to one user, at every screen that he has open."""
        self._call(self._client.send_to_user(user, message))

    def publish(self, event: str | BaseEvent | Event, data: Any = None, /, **attributes: Unpack[EventKeywords]) -> str:
        """Publish an event."""
        return self._call(self._client.publish(event, data, **attributes))

    def list(
        self,
        *,
        job: str | None = None,
        state: str | Iterable[str] | None = None,
        reason: str | Iterable[str] | None = None,
        since: datetime | timedelta | None = None,
        limit: int | None = 100,
    ) -> list[JobSummary]:
        """Jobs by their last change, the newest first."""
        return self._call(self._client.list(job=job, state=state, reason=reason, since=since, limit=limit))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._closed or threading.current_thread() is self._thread:
            coroutine.close()
            if self._closed:
                raise JetmillError("this client is closed", cure="make another one")
            raise JetmillError("a SyncClient would wait for its own thread", cure="use Client on an event loop")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # an interrupt in the caller's thread ends the call as well
            raise

    def _iterate(self, items: AsyncIterator[T]) -> Iterator[T]:
        async def step() -> T:
            return await anext(items)

        async def close() -> None:
            shut = getattr(items, "aclose", None)
            if shut is not None:
                await shut()

        try:
            while True:
                try:
                    item = self._call(step())
                except StopAsyncIteration:
                    return
                yield item
        finally:
            if not self._closed:
                self._call(close())
