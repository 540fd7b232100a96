"""A job that was enqueued, in the hand of who did it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from jetmill.client.status import JobStatus, Transition


class Asker(Protocol):
    """A client that can be asked for a job: over NATS or over HTTP."""

    async def status(self, job_id: str) -> JobStatus:
        """Where it stands."""
        ...

    async def result(self, job_id: str, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - as asyncio's own
        """Wait for its result."""
        ...

    async def wait(self, job_id: str, timeout: float | None = None) -> Transition:  # noqa: ASYNC109 - as above
        """Wait until it is done with."""
        ...

    async def cancel(self, job_id: str) -> Transition:
        """Cancel it."""
        ...


class JobHandle:
    """The id of a job, and the ways to ask for it by the client that enqueued it."""

    __slots__ = ("_client", "created", "id", "job")

    def __init__(self, client: Asker, *, id: str, job: str, created: bool) -> None:  # noqa: A002 - the word for it
        self._client = client
        self.id = id
        self.job = job
        self.created = created
        """False: there was a job of that id already, and that is the one."""

    def __repr__(self) -> str:
        return f"<job {self.job} {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobHandle) and (self.id, self.job) == (other.id, other.job)

    def __hash__(self) -> int:
        return hash((self.id, self.job))

    async def status(self) -> JobStatus:
        """Where it stands."""
        return await self._client.status(self.id)

    async def result(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - as asyncio's own wait_for
        """Wait for its result; JobFailedError if it ended otherwise, TimeoutError."""
        return await self._client.result(self.id, timeout=timeout)

    async def wait(self, timeout: float | None = None) -> Transition:  # noqa: ASYNC109 - as above
        """Wait until it is done with; TimeoutError."""
        return await self._client.wait(self.id, timeout=timeout)

    async def cancel(self) -> Transition:
        """Cancel it, before or while it runs."""
        return await self._client.cancel(self.id)
