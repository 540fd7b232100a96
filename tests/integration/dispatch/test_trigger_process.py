"""`jetmill dispatcher` routes events to jobs, tells of them, and counts: several processes do it once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from factories import make_settings
from jetmill.bus.connect import BusOptions, connect
from jetmill.client.client import Client
from jetmill.protocol.record import TriggerSettings
from support.dispatcher import DispatcherProcess
from support.nats import NatsServer
from support.wait import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path) as server:
        yield server


@pytest.fixture
async def client(server: NatsServer) -> AsyncIterator[Client]:
    bus = await connect(BusOptions(url=server.url, namespace="shop"))
    await bus.admin.apply_namespace()
    trigger = TriggerSettings(event="order.*", expression="event.data.amount > 100")
    await bus.admin.apply_job(make_settings("check-fraud", triggers=[trigger]))
    yield Client(bus=bus)
    await bus.link.close()


@pytest.mark.timeout(600)
async def test_events_become_jobs_once_whoever_routes_them_and_whoever_is_killed(
    client: Client, server: NatsServer, tmp_path: Path
) -> None:
    environ = {"JETMILL_NATS_URL": server.url}
    with ExitStack() as stack:
        processes = [stack.enter_context(DispatcherProcess.start(tmp_path, environ)) for _ in range(2)]
        for process in processes:
            await process.says("namespace_opened")
        for number in range(40):
            await client.publish("order.placed", {"amount": 95 + number}, id=f"e{number}")
        await client.publish("order.placed", {}, id="odd")

        async def count() -> int:
            return len(await client.list(job="check-fraud", limit=None))

        async def has(wanted: int) -> bool:
            return await count() == wanted

        await eventually(lambda: has(34), seconds=120, every_seconds=0.1, what="34 jobs")
        for metric in ("jobs_triggered_total", "filter_failures_total", "transitions_published_total"):
            await eventually(lambda metric=metric: _sum(processes, metric) > 0, what=metric)  # type: ignore[misc]
        victim = next(one for one in processes if one.measure("jetmill_dispatcher_jobs_triggered_total"))
        victim.kill()
        for number in range(40, 60):
            await client.publish("order.placed", {"amount": 95 + number}, id=f"e{number}")
        await eventually(lambda: has(54), seconds=120, every_seconds=0.1, what="54 jobs")
    assert await count() == 54


def _sum(processes: list[DispatcherProcess], metric: str) -> float:
    return sum(process.measure(f"jetmill_dispatcher_{metric}") for process in processes)
