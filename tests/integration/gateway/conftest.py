"""A gateway over a real nats-server; who may what is in a table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from factories import make_plan
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.protocol.record import WebhookSettings
from support.gateway import NAMESPACE, RunningGateway, TableReviewer, declare, make_reviewer, serve
from support.nats import NatsServer

FOLDER = Path(__file__).parent
UNLIMITED: dict[str, Any] = {"rate_per_second": 100_000.0, "rate_burst": 100_000}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest of this folder first: what begins last and takes long is what all others wait for."""
    items.sort(key=lambda item: FOLDER not in item.path.parents or item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """With two Jobs, a schedule and a Webhook, once for all tests: none of them changes what is declared."""
    with NatsServer.start(tmp_path_factory.mktemp("nats")) as server:
        asyncio.run(_declare(server.url))
        yield server


async def _declare(url: str) -> None:
    bus = await connect(BusOptions(url=url, namespace=NAMESPACE))
    await declare(bus, "mail", "report")
    await Client(bus=bus).publish("doc.created", {"n": 1})
    plan = make_plan(schedule="mail", job="mail", expression="0 9 * * *", complete=True)
    await bus.ledger.append_plan("0f0e6c3c-0000-4000-8000-000000000001", plan, expected=0)
    webhook = WebhookSettings(events=["order.*"], url="http://127.0.0.1:1/")
    await declare(bus, "wh--mail", uid="uid-of-mail", max_retries=0, webhook=webhook)
    await bus.link.close()


@pytest.fixture
async def bus(nats: NatsServer) -> AsyncIterator[Bus]:
    bus = await connect(BusOptions(url=nats.url, namespace=NAMESPACE))
    yield bus
    await bus.link.close()


@pytest.fixture
def sdk(bus: Bus) -> Client:
    return Client(bus=bus)


@pytest.fixture
def reviewer() -> TableReviewer:
    return make_reviewer()


@pytest.fixture
async def gateway(nats: NatsServer, bus: Bus, reviewer: TableReviewer) -> AsyncIterator[RunningGateway]:
    async with serve(nats.url, reviewer) as running:
        yield running


@pytest.fixture
async def local(nats: NatsServer, bus: Bus) -> AsyncIterator[RunningGateway]:
    """One that asks nobody who they are."""
    async with serve(nats.url, None) as running:
        yield running


# One gateway for all tests of a module that change nothing in it and ask nothing of its limits: such a module marks its
# tests `asyncio(loop_scope="module")` and calls these by the names above.


@pytest.fixture(scope="module")
def one_reviewer() -> TableReviewer:
    return make_reviewer()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_bus(nats: NatsServer) -> AsyncIterator[Bus]:
    bus = await connect(BusOptions(url=nats.url, namespace=NAMESPACE))
    yield bus
    await bus.link.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_gateway(nats: NatsServer, one_reviewer: TableReviewer) -> AsyncIterator[RunningGateway]:
    async with serve(nats.url, one_reviewer, **UNLIMITED) as running:
        running.parts.failures = running.parts.limiter
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_local(nats: NatsServer) -> AsyncIterator[RunningGateway]:
    async with serve(nats.url, None, **UNLIMITED) as running:
        yield running
