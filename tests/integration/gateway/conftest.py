"""A gateway over a real nats-server; who may what is in a table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from factories import make_plan
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.protocol.record import WebhookSettings
from support.gateway import NAMESPACE, RunningGateway, TableReviewer, declare, make_reviewer, serve
from support.nats import NatsServer


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
