"""A nats-server for the session, one of its own for tests that kill it, and Buses that are closed with the test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from support.nats import NatsServer
from support.raw import Raw

OpenBus = Callable[..., Awaitable[Bus]]


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """For tests that do it no harm."""
    with NatsServer.start(tmp_path_factory.mktemp("adapters")) as server:
        yield server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[NatsServer]:
    """For tests that kill it; every write is synced."""
    with NatsServer.start(tmp_path, sync_interval="always") as server:
        yield server


@pytest.fixture
async def open_bus() -> AsyncIterator[OpenBus]:
    """Make Buses: `await open_bus(server)` in a fresh namespace, unless `namespace` is given."""
    buses: list[Bus] = []

    async def open_one(server: Any, **options: Any) -> Bus:
        namespace = options.pop("namespace", None) or f"a-{secrets.token_hex(6)}"
        bus = await connect(BusOptions(url=server.url, namespace=namespace, **options))
        buses.append(bus)
        return bus

    yield open_one
    for bus in buses:
        await bus.link.close()


@pytest.fixture
async def bus(shared_server: NatsServer, open_bus: OpenBus) -> Bus:
    """On the shared server, its namespace applied."""
    bus = await open_bus(shared_server)
    await bus.admin.apply_namespace()
    return bus


@pytest.fixture
async def own_bus(own_server: NatsServer, open_bus: OpenBus) -> Bus:
    """On the server that the test may kill."""
    bus = await open_bus(own_server)
    await bus.admin.apply_namespace()
    return bus


@pytest.fixture
async def raw(shared_server: NatsServer) -> AsyncIterator[Raw]:
    """The hand of an administrator on the shared server."""
    async with Raw.connect(shared_server.url) as raw:
        yield raw
