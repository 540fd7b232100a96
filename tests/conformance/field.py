"""Where both clients are tried: a namespace with three Jobs, and a client over NATS or over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.client.declaration import Registry, job
from jetmill.client.flow import NonRetryable
from jetmill.client.settings import ClientSettings
from jetmill.http import HttpClient, HttpSettings
from jetmill.protocol.record import JobSettings
from jetmill.worker import JobContext, Worker, WorkerSettings
from support.gateway import serve
from support.nats import NatsServer

AnyClient = Client | HttpClient


@dataclass
class Field:
    """A namespace with three Jobs: `greet` works, `fail` fails, `wait` waits; a worker comes when it is called."""

    bus: Bus
    url: str
    namespace: str
    registry: Registry
    stack: AsyncExitStack
    gate: asyncio.Event

    async def work(self) -> None:
        connection = ClientSettings(url=self.url, namespace=self.namespace, run_jobs=False)
        settings = WorkerSettings(connection=connection, jobs=("greet", "fail", "wait"), grace_seconds=0.0)
        worker = Worker(settings=settings, registry=self.registry)
        await worker.start()
        self.stack.push_async_callback(worker.close)


@pytest.fixture
async def field(nats_server: NatsServer, request: pytest.FixtureRequest) -> AsyncIterator[Field]:
    async with AsyncExitStack() as stack:
        namespace = f"c-{abs(hash(request.node.nodeid)) % 10**12}"
        bus = await connect(BusOptions(url=nats_server.url, namespace=namespace))
        stack.push_async_callback(bus.link.close)
        await bus.admin.apply_namespace()
        registry, gate = Registry(), asyncio.Event()
        _declare(registry, gate)
        for name in ("greet", "fail", "wait"):
            await bus.admin.apply_job(JobSettings(job=name, max_retries=0, payload_max_bytes=900_000))
        yield Field(bus, nats_server.url, namespace, registry, stack, gate)


def _declare(registry: Registry, gate: asyncio.Event) -> None:
    @job(registry=registry, name="greet")
    async def greet(name: str, ctx: JobContext) -> dict[str, str]:
        ctx.log(f"greeting {name}")
        return {"said": f"hello {name}"}

    @job(registry=registry, name="fail")
    async def fail() -> None:
        raise NonRetryable("it cannot work")

    @job(registry=registry, name="wait")
    async def wait() -> int:
        await gate.wait()
        return 42


@pytest.fixture(params=["nats", "http"])
async def client(field: Field, request: pytest.FixtureRequest) -> AsyncIterator[AnyClient]:
    if request.param == "nats":
        async with Client(bus=field.bus, by="local") as over_nats:
            yield over_nats
        return
    async with (
        serve(field.url, None, namespaces=(field.namespace,), rate_per_second=10_000.0, rate_burst=10_000) as gateway,
        HttpClient(HttpSettings(url=gateway.url, namespace=field.namespace)) as over_http,
    ):
        yield over_http
