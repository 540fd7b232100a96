"""A nats-server for the session, and per test a connection and a stream of its own."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jetmill.bus.jetstream import wire
from jetmill.bus.jetstream.link import Link, LinkOptions
from jetmill.bus.jetstream.read import Reader
from support.nats import NatsServer

Connect = Callable[..., Awaitable[Link]]


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """For tests that do it no harm."""
    with NatsServer.start(tmp_path_factory.mktemp("link")) as server:
        yield server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[NatsServer]:
    """For tests that kill it."""
    with NatsServer.start(tmp_path) as server:
        yield server


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Make links that are closed with the test."""
    links: list[Link] = []

    async def connect_link(server: NatsServer, **options: Any) -> Link:
        link = await Link.connect(LinkOptions(url=server.url, **options))
        links.append(link)
        return link

    yield connect_link
    for link in links:
        await link.close()


@pytest.fixture
async def link(shared_server: NatsServer, connect: Connect) -> Link:
    return await connect(shared_server)


@pytest.fixture
async def reader(link: Link) -> Reader:
    return Reader(link)


class Stream:
    """A stream named `name` on `<name>.>`."""

    def __init__(self, link: Link, name: str) -> None:
        self.link = link
        self.name = name

    async def add(self, **config: Any) -> None:
        defaults = {"name": self.name, "subjects": [f"{self.name}.>"], "allow_direct": True, "allow_atomic": True}
        await self.ask(f"STREAM.CREATE.{self.name}", {**defaults, **config})

    async def add_consumer(self, name: str = "c", **config: Any) -> None:
        defaults = {"durable_name": name, "ack_policy": "explicit", "max_ack_pending": 10_000}
        request = {"stream_name": self.name, "config": {**defaults, **config}}
        await self.ask(f"CONSUMER.DURABLE.CREATE.{self.name}.{name}", request)

    async def consumer_info(self, name: str = "c") -> Any:
        return await self.ask(f"CONSUMER.INFO.{self.name}.{name}", {})

    async def ask(self, method: str, request: Any) -> Any:
        frame = await self.link.request(f"$JS.API.{method}", msgspec.json.encode(request))
        wire.raise_for_error(frame.payload, method)
        return msgspec.json.decode(frame.payload)


@pytest.fixture
async def stream(link: Link) -> Stream:
    stream = Stream(link, f"s{secrets.token_hex(4)}")
    await stream.add()
    return stream


@pytest.fixture
async def own_stream(own_server: NatsServer, connect: Connect) -> Stream:
    """On the server that the test may kill; `own_stream.link` is connected to it."""
    stream = Stream(await connect(own_server), "s")
    await stream.add()
    return stream
