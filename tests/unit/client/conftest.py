"""A client on a world in memory whose clock stands, with workers that a test drives by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from jetmill.bus.memory import MemoryClock, MemoryWorld
from jetmill.client.client import Client
from jetmill.client.declaration import Registry
from support.bench import Hand, MemoryBench


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
async def bench() -> AsyncIterator[MemoryBench]:
    bench = MemoryBench(MemoryWorld("shop", clock=MemoryClock(frozen=True)))
    await bench.prepare(payload_max_bytes=1_000_000)
    yield bench
    await bench.bus.link.close()


@pytest.fixture
async def client(bench: MemoryBench, registry: Registry) -> AsyncIterator[Client]:
    async with Client(bus=bench.bus, registry=registry, by="ada") as client:
        yield client


@pytest.fixture
async def hand(bench: MemoryBench) -> Hand:
    return await bench.hand()
