"""A gateway on a real nats-server, workers that run real handlers, and the machine's Chromium."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.client.declaration import Registry, job
from jetmill.client.settings import ClientSettings
from jetmill.worker import JobContext, Worker, WorkerSettings
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import JOB
from jetmill_operator.gateway.access.identity import Identity
from support.browser import Window, find_chromium, open_window
from support.declare import make_body
from support.gateway import NAMESPACE, RunningGateway, TableReviewer, declare, serve
from support.nats import NatsServer

READS = (
    "list jobs",
    "get jobs",
    "get jobs/runs",
    "list jobs/runs",
    "watch jobs/runs",
    "list jobs/workers",
    "list jobs/queues",
    "get jobs/logs",
)
WRITES = ("create jobs/runs", "create jobs/cancel", "create jobs/retry", "create jobs/discard")
SECRETS = ("get jobs/payload", "get jobs/result")
JOBS = ("send-email", "import-orders", "charge")


@dataclass
class Stage:
    """What plays behind the page."""

    nats: NatsServer
    bus: Bus
    client: Client
    gate: asyncio.Event
    """Handlers of `import-orders` wait for it."""
    healed: asyncio.Event
    """Until it is set, `charge` fails."""
    start_worker: Callable[[], Any]


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
async def stage(tmp_path: Any) -> AsyncIterator[Stage]:
    """A namespace on a server of its own, with three Jobs and a worker to be started."""
    async with AsyncExitStack() as stack:
        nats = stack.enter_context(NatsServer.start(tmp_path / "nats"))
        bus = await connect(BusOptions(url=nats.url, namespace=NAMESPACE))
        stack.push_async_callback(bus.link.close)
        await declare(bus, *JOBS, max_retries=0, lease_seconds=60.0)
        registry = Registry()
        gate, healed = asyncio.Event(), asyncio.Event()
        _declare_handlers(registry, gate, healed)
        connection = ClientSettings(url=nats.url, namespace=NAMESPACE, run_jobs=False)

        async def start_worker() -> Worker:
            settings = WorkerSettings(connection=connection, jobs=JOBS, grace_seconds=0.0, stop_seconds=0.2)
            worker = Worker(settings=settings, registry=registry)
            await worker.start()
            stack.push_async_callback(worker.close)
            return worker

        yield Stage(nats, bus, Client(bus=bus, registry=registry), gate, healed, start_worker)


def _declare_handlers(registry: Registry, gate: asyncio.Event, healed: asyncio.Event) -> None:
    @job(registry=registry, name="send-email")
    async def send_email(to: str, ctx: JobContext) -> dict[str, str]:
        ctx.log(f"sending to {to}")
        if to == "nobody":
            raise LookupError("there is nobody of that name")
        return {"sent": to}

    @job(registry=registry, name="import-orders")
    async def import_orders(ctx: JobContext, lines: int = 100) -> int:
        ctx.progress(0.4, f"{lines * 4 // 10} of {lines} lines")
        ctx.log("opened the file", source="orders.csv")
        await gate.wait()
        return lines

    @job(registry=registry, name="charge")
    async def charge(card: str) -> str:
        if not healed.is_set():
            raise ConnectionError(f"the bank hung up on card {card}")
        return "charged"


@pytest.fixture
def reviewer() -> TableReviewer:
    """One who may look, and one who may do everything."""
    reviewer = TableReviewer()
    for name in ("viewer", "editor"):
        reviewer.tokens[f"token-of-{name}"] = Identity(name=name, groups=("system:authenticated",))
        reviewer.allow(name, *READS)
    reviewer.allow("editor", *WRITES, *SECRETS)
    return reviewer


@pytest.fixture
async def cluster() -> LocalCluster:
    """What is declared, as the operator left it."""
    cluster = LocalCluster()
    for name in JOBS:
        body = make_body(name, handler=f"tasks:{name.replace('-', '_')}")
        body["metadata"].pop("uid")
        await cluster.apply(JOB, body, manager="kubectl")
    return cluster


@pytest.fixture
async def gateway(stage: Stage, cluster: LocalCluster, reviewer: TableReviewer) -> AsyncIterator[RunningGateway]:
    """One that asks who somebody is."""
    async with serve(stage.nats.url, reviewer, cluster=cluster, namespaces=(NAMESPACE,)) as running:
        yield running


@pytest.fixture
async def local(stage: Stage, cluster: LocalCluster) -> AsyncIterator[RunningGateway]:
    """One that asks nobody, as `jetmill dev` has it."""
    async with serve(stage.nats.url, None, cluster=cluster, namespaces=(NAMESPACE,)) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    program = find_chromium()
    playwright = pytest.importorskip("playwright.async_api", reason="make browser installs it")
    async with playwright.async_playwright() as driver:
        running = await driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        await running.close()


Open = Callable[..., AbstractAsyncContextManager[Window]]


@pytest.fixture
def window_on(browser: Any) -> Open:
    """Open a window on a gateway."""

    def open_on(running: RunningGateway, **options: Any) -> AbstractAsyncContextManager[Window]:
        return open_window(browser, running.url, **options)

    return open_on
