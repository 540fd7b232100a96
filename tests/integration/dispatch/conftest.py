"""A nats-server for the session; each test has a namespace of its own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from support.dispatch import Office, open_office
from support.nats import NatsServer


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
async def office(nats: NatsServer) -> AsyncIterator[Office]:
    """A dispatcher in a fresh namespace."""
    async with open_office(nats.url, namespace=f"t-{secrets.token_hex(6)}") as office:
        yield office
