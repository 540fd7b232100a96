"""A gateway over a real nats-server, in a namespace of its own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from support.gateway import Stand, open_stand
from support.nats import NatsServer


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path_factory.mktemp("gateway")) as server:
        yield server


@pytest.fixture
async def stand(nats_server: NatsServer) -> AsyncIterator[Stand]:
    async with open_stand(nats_server.url, f"g-{secrets.token_hex(6)}") as stand:
        yield stand
