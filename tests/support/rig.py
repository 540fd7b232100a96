"""A rig: one world in memory, a client, and workers that the test starts."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from jetmill.bus.connect import connect
from jetmill.bus.memory import MemoryWorld, find_world
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.client.declaration import JobHandler, Registry, job
from jetmill.client.settings import ClientSettings
from jetmill.client.status import JobStatus
from jetmill.protocol.record import JobSettings
from jetmill.worker import Worker, WorkerSettings
from support.wait import PROCESS_SECONDS, soon


class Rig:
    """One namespace in memory."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.url = f"memory://{secrets.token_hex(6)}"
        self.registry = Registry()
        self.connection = ClientSettings(url=self.url, run_jobs=False)
        self._stack = stack
        self.bus: Bus
        self.client: Client

    @property
    def world(self) -> MemoryWorld:
        return find_world(self.url.removeprefix("memory://"))

    async def open(self) -> None:
        self.bus = await connect(self.connection.bus_options())
        self._stack.push_async_callback(self.bus.link.close)
        self.client = Client(self.connection, registry=self.registry)
        self._stack.push_async_callback(self.client.close)
        await self.client.connect()

    def job(self, function: Any = None, **options: Any) -> Any:
        """Declare into the rig's registry."""
        if function is not None:
            return job(registry=self.registry)(function)
        return job(registry=self.registry, **options)

    async def declare(self, name: str, **settings: Any) -> None:
        """What a manifest says of a Job."""
        await self.bus.admin.apply_job(JobSettings(job=name, **settings))

    async def start(self, *, jobs: tuple[str, ...] = (), resources: Any = None, **settings: Any) -> Worker:
        """A worker that ends with the test, at once."""
        given: dict[str, Any] = {"grace_seconds": 0.0, "stop_seconds": 0.2, **settings}
        worker = Worker(
            settings=WorkerSettings(connection=self.connection, jobs=jobs, **given),
            registry=self.registry,
            resources=resources,
        )
        await worker.start()
        self._stack.push_async_callback(_close, worker)
        return worker

    async def run(self, target: JobHandler[..., Any] | str, payload: Any = None, **options: Any) -> JobStatus:
        """Enqueue a job and wait for its end."""
        handle = await self.client.enqueue(target, payload, **options)
        await soon(handle.wait(), seconds=PROCESS_SECONDS)
        return await handle.status()


async def _close(worker: Worker) -> None:
    if worker.service.bus.link.connected:
        await worker.close()


@asynccontextmanager
async def open_rig() -> AsyncIterator[Rig]:
    """A rig whose workers end with the block."""
    async with AsyncExitStack() as stack:
        rig = Rig(stack)
        await rig.open()
        yield rig
    await asyncio.sleep(0)
