"""A cluster in memory over a real nats-server: what reconcilers do, step by step."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from jetmill.bus.connect import BusOptions, connect_trunk
from jetmill.bus.ports import Trunk
from support.nats import NatsServer
from support.site import Site


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path_factory.mktemp("operator")) as server:
        yield server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[NatsServer]:
    """For tests that kill it."""
    with NatsServer.start(tmp_path) as server:
        yield server


@pytest.fixture
async def trunk(nats_server: NatsServer) -> AsyncIterator[Trunk]:
    trunk = await connect_trunk(BusOptions(url=nats_server.url))
    yield trunk
    await trunk.close()


@pytest.fixture
def site(trunk: Trunk) -> Site:
    """In a namespace of its own."""
    return Site(trunk, namespace=f"o-{secrets.token_hex(6)}")
