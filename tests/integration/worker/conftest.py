"""A nats-server for these tests, a namespace for each, and workers that are processes."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.client.declaration import Registry
from jetmill.client.settings import ClientSettings
from jetmill.protocol.record import JobSettings
from support.nats import NatsServer
from support.skew import skew_clock
from support.wait import PROCESS_SECONDS, eventually

HERE = Path(__file__).parent


class WorkerProcess:
    """`jetmill worker`, as a supervisor starts it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def wait(self) -> int:
        return await asyncio.wait_for(self.process.wait(), 120)

    def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()


class Field:
    """One namespace on a real server."""

    def __init__(self, url: str, stack: AsyncExitStack, folder: Path) -> None:
        self.namespace = f"t-{secrets.token_hex(6)}"
        self.url = url
        self.folder = folder
        self.connection = ClientSettings(url=url, namespace=self.namespace)
        self.stack = stack
        self.bus: Bus
        self.client: Client

    async def open(self) -> None:
        self.bus = await connect(BusOptions(self.url, namespace=self.namespace))
        self.stack.push_async_callback(self.bus.link.close)
        await self.bus.admin.apply_namespace()
        self.client = Client(bus=self.bus, registry=Registry())
        self.stack.push_async_callback(self.client.close)

    async def declare(self, job: str, **settings: Any) -> None:
        await self.bus.admin.apply_job(JobSettings(job=job, handler=f"live_jobs:{job.replace('-', '_')}", **settings))

    async def spawn(
        self, *jobs: str, wait: bool = True, clock: str | Path | None = None, **environ: str
    ) -> WorkerProcess:
        """A worker process; it serves when this returns. `clock` is how wrong its wall clock is, see `skew_clock`."""
        before = {presence.worker for presence in await self.bus.presence.all()} if wait else set()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from jetmill.worker import run_worker; from jetmill.worker.settings import settings_from_env;"
            "raise SystemExit(run_worker(settings_from_env()))",
            env={
                **os.environ,
                "JETMILL_NATS_URL": self.url,
                "JETMILL_NAMESPACE": self.namespace,
                "JETMILL_JOBS": " ".join(jobs),
                "PYTHONPATH": str(HERE),
                "TEST_FOLDER": str(self.folder),
                **({} if clock is None else skew_clock(clock)),
                **environ,
            },
            stdin=asyncio.subprocess.DEVNULL,
        )
        worker = WorkerProcess(process)
        self.stack.push_async_callback(process.wait)
        self.stack.callback(worker.kill)
        if wait:
            await eventually(lambda: self._has_another(before), seconds=PROCESS_SECONDS, what="the worker's presence")
        return worker

    async def _has_another(self, before: set[str]) -> bool:
        return any(presence.worker not in before for presence in await self.bus.presence.all())

    async def wait_for_file(self, name: str) -> str:
        """What a handler wrote, once it did."""
        path = self.folder / name
        await eventually(path.exists, seconds=PROCESS_SECONDS, what=f"the handler's {name}")
        return path.read_text()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
async def field(server: NatsServer, tmp_path: Path) -> AsyncIterator[Field]:
    async with AsyncExitStack() as stack:
        field = Field(server.url, stack, tmp_path)
        await field.open()
        yield field
