"""`JobTester`: a world in memory with the process's client on it, and the real worker when it is asked for.

The clock stands still until it is moved, so a test decides when a delay is over. Handlers run for real: on the loop,
on threads, in processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from jetmill.bus.memory import Faults, MemoryClock, MemoryWorld
from jetmill.bus.ports import Bus
from jetmill.client.ambient import use_client
from jetmill.client.client import Client
from jetmill.client.declaration import JobHandler, Registry, default_registry
from jetmill.client.inject import Inject
from jetmill.client.settings import ClientSettings
from jetmill.protocol.state import OPEN
from jetmill.testing.enqueued import EnqueuedJob, Where, read_enqueued
from jetmill.worker.settings import WorkerSettings
from jetmill.worker.worker import Worker

PATIENCE_SECONDS = 10.0


class JobTester:
    """Within `async with`, what the running event loop enqueues lands here, and nowhere else.

    `inline`: jobs run as soon as they are enqueued, without `drain`. `resources`: what a Worker takes under that name.
    Handlers are those of `registry`; jobs of other Jobs stay where they are.
    """

    def __init__(
        self,
        *,
        inline: bool = False,
        registry: Registry = default_registry,
        resources: Mapping[Any, Inject | Callable[..., Any]] | None = None,
        namespace: str = "testing",
    ) -> None:
        self.world = MemoryWorld(namespace, clock=MemoryClock(frozen=True))
        self._inline = inline
        self._registry = registry
        self._resources = resources
        self._buses: list[Bus] = []
        self._client: Client | None = None
        self._before: Client | None = None
        self._worker: Worker | None = None

    @property
    def client(self) -> Client:
        """The client that the application uses meanwhile."""
        assert self._client is not None, "use it within `async with`"
        return self._client

    @property
    def clock(self) -> MemoryClock:
        """The bus's clock: `clock.move(seconds)`; `JobTester.move` waits for running jobs first."""
        return self.world.clock

    @property
    def faults(self) -> Faults:
        """What can be made to go wrong."""
        return self.world.faults

    async def __aenter__(self) -> Self:
        self._client = Client(bus=self._connect(), registry=self._registry, by="client:test")
        await self._client.connect()
        self._before = use_client(self._client)
        if self._inline:
            self._worker = await self._start_worker()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        use_client(self._before)
        if self._worker is not None:
            await self._worker.close(grace_seconds=0.0)
        await self.client.close()
        for bus in self._buses:
            await bus.link.close()

    # --- what was enqueued

    def enqueued(self, job: str | JobHandler[..., Any] | None = None, where: Where | None = None) -> list[EnqueuedJob]:
        """The jobs that were enqueued, oldest first: of one Job, or all; those that fit `where`."""
        name = job.name if isinstance(job, JobHandler) else job
        return [one for one in read_enqueued(self.world) if name in (None, one.job) and one.fits(where)]

    def assert_enqueued(
        self, job: str | JobHandler[..., Any], where: Where | None = None, *, count: int | None = None
    ) -> list[EnqueuedJob]:
        """Assert that such a job was enqueued (exactly `count`, if given), whatever became of it; returns those.

        `where`: values that the payload must hold, or a function that tells.
        """
        found = self.enqueued(job, where)
        if (count is None and not found) or (count is not None and len(found) != count):
            name = job.name if isinstance(job, JobHandler) else job
            wanted = "a job" if count is None else f"{count} jobs"
            said = "" if where is None else f" where {where!r}"
            there = "\n".join(f"  {one}" for one in self.enqueued()) or "  nothing"
            raise AssertionError(f"{wanted} of {name}{said}: found {len(found)}. Enqueued was:\n{there}")
        return found

    def assert_not_enqueued(self, job: str | JobHandler[..., Any], where: Where | None = None) -> None:
        """Assert that no such job was enqueued."""
        self.assert_enqueued(job, where, count=0)

    # --- running them

    async def drain(self, *, delayed: bool = False, timeout_seconds: float = PATIENCE_SECONDS) -> list[EnqueuedJob]:
        """Run all that is due, and what that enqueues in turn, by a real worker; returns every job as it stands then.

        With `delayed` the clock goes on from one delayed job or retry to the next until none is left. TimeoutError with
        the jobs that still run after `timeout_seconds` of real time.
        """
        worker = self._worker or await self._start_worker()
        try:
            await self._wait_idle(timeout_seconds)
            while delayed and (due := self._next_hint()) is not None:
                self.clock.move(max(0, due - self.clock.now()) / 1_000_000)
                await self._wait_idle(timeout_seconds)
        finally:
            if worker is not self._worker:
                await worker.close(grace_seconds=0.0)
        return self.enqueued()

    async def move(self, seconds: float) -> None:
        """Let jobs in hand end, then set the clock forward. What becomes due runs at the next `drain`; inline, now."""
        if self._worker is not None:
            await self._wait_idle(PATIENCE_SECONDS)
        self.clock.move(seconds)
        if self._worker is not None:
            await self._wait_idle(PATIENCE_SECONDS)

    async def _wait_idle(self, timeout_seconds: float) -> None:
        try:
            async with asyncio.timeout(timeout_seconds):
                while not self._is_idle():
                    await self.world.settled.wait()
        except TimeoutError:
            left = "\n".join(f"  {one}" for one in self.enqueued() if one.state in OPEN)
            raise TimeoutError(f"after {timeout_seconds} s there is still work in hand:\n{left}") from None

    def _is_idle(self) -> bool:
        due = self._next_hint()
        served = (queue for job, queue in self.world.queues.items() if job in self._registry)
        return (due is None or due > self.clock.now()) and all(queue.is_idle() for queue in served)

    def _next_hint(self) -> int | None:
        hints = (queue.next_hint() for job, queue in self.world.queues.items() if job in self._registry)
        return min((due for due in hints if due is not None), default=None)

    async def _start_worker(self) -> Worker:
        connection = ClientSettings(url="memory://", namespace=self.world.subjects.namespace)
        worker = Worker(
            settings=WorkerSettings(connection=connection, grace_seconds=0.0),
            registry=self._registry,
            resources=self._resources,
            bus=self._connect(),
        )
        await worker.start()
        return worker

    def _connect(self) -> Bus:
        bus = self.world.connect()
        self._buses.append(bus)
        return bus
