"""Where the suite runs: one namespace on one adapter, with the few things that only its adapter can do."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol

from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.memory import MemoryWorld, find_world
from jetmill.bus.ports import Bus
from support.wait import eventually

if TYPE_CHECKING:
    from nats.js import JetStreamContext


class Place(Protocol):
    """What tests ask of the place where they run."""

    url: str
    namespace: str
    replicas: int

    async def connect(self, *, namespace: str | None = None) -> Bus:
        """Another Bus, of the same namespace unless told otherwise; closed with the test."""
        ...

    async def pass_time(self, seconds: float) -> None:
        """Let the bus's clock go on by that much."""
        ...

    async def settle(self, bus: Bus) -> None:
        """Wait until the server has taken what this bus sent, subscriptions included."""
        ...

    async def fill_ledger(self, bus: Bus) -> None:
        """Let the ledger take nothing more."""
        ...

    async def close(self) -> None:
        """Close every Bus that was made here."""
        ...


class _Connections:
    """A fresh namespace and its connections."""

    replicas = 1

    def __init__(self, url: str) -> None:
        self.namespace = f"t-{secrets.token_hex(6)}"
        self.url = url
        self._buses: list[Bus] = []

    async def connect(self, *, namespace: str | None = None) -> Bus:
        bus = await connect(BusOptions(url=self.url, namespace=namespace or self.namespace))
        self._buses.append(bus)
        return bus

    async def close(self) -> None:
        for bus in self._buses:
            await bus.link.close()


class MemoryPlace(_Connections):
    """A world in this process, whose clock is moved."""

    def __init__(self) -> None:
        super().__init__(f"memory://{secrets.token_hex(6)}")

    @property
    def world(self) -> MemoryWorld:
        return find_world(self.url.removeprefix("memory://"), namespace=self.namespace)

    async def pass_time(self, seconds: float) -> None:
        self.world.clock.move(seconds)
        await asyncio.sleep(0)

    async def settle(self, bus: Bus) -> None:
        await bus.link.flush()

    async def fill_ledger(self, bus: Bus) -> None:
        self.world.faults.full = True


async def _is_heard_of(bus: Bus, url: str) -> None:
    """Wait until a server knows what this Bus listens to: servers tell each other in order, but later."""
    import nats

    nobody = f"probe-{secrets.token_hex(6)}"
    heard: list[str] = []
    stop = bus.signals.on_drain(nobody, drain=lambda: heard.append(nobody), undrain=lambda: None)
    client = await nats.connect(url)

    async def knock() -> list[str]:
        await client.publish(bus.subjects.drain(nobody))
        await client.flush()
        return heard

    try:
        await eventually(knock)
    finally:
        await client.close()
        stop()


class JetStreamPlace(_Connections):
    """A namespace on a nats-server, where time passes by itself."""

    def __init__(self, url: str, *, replicas: int = 1) -> None:
        super().__init__(url)
        self.replicas = replicas

    async def pass_time(self, seconds: float) -> None:
        [bus, *_] = self._buses
        end = bus.link.now() + round(seconds * 1_000_000)
        await eventually(lambda: bus.link.now() >= end)

    async def settle(self, bus: Bus) -> None:
        await bus.link.flush()
        for url in self.url.split(","):
            await _is_heard_of(bus, url)

    async def fill_ledger(self, bus: Bus) -> None:
        from nats.js.api import DiscardPolicy

        async with self._administer() as js:
            info = await js.stream_info(bus.subjects.ledger_stream)
            info.config.max_msgs = info.state.messages
            info.config.discard = DiscardPolicy.NEW
            await js.update_stream(info.config)

    async def close(self) -> None:
        """And take the streams away: eight replicated ones cost three servers 1 % of a core for as long as they are."""
        await super().close()
        namespaces = {self.namespace, *(bus.subjects.namespace for bus in self._buses)}
        async with self._administer() as js:
            names = [info.config.name or "" for info in await js.streams_info()]
            gone = [name for name in names if any(f"jm_{namespace}_" in name for namespace in namespaces)]
            await asyncio.gather(*(js.delete_stream(name) for name in gone))

    @asynccontextmanager
    async def _administer(self) -> AsyncIterator[JetStreamContext]:
        import nats

        client = await nats.connect(self.url.split(","))
        try:
            yield client.jetstream()
        finally:
            await client.close()
