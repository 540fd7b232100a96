"""A gateway as it runs: uvicorn on a free loopback port, over a real nats-server, and a client that speaks HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import httpx

from factories import make_settings
from jetmill.bus.connect import BusOptions, connect_trunk
from jetmill.bus.ports import Bus, Trunk
from jetmill.client.client import Client
from jetmill.client.settings import ClientSettings
from jetmill_operator.gateway.access.ports import Reviewer
from jetmill_operator.gateway.server import Gateway
from jetmill_operator.gateway.settings import GatewaySettings
from support.wait import soon

JOB = "send-email"


@dataclasses.dataclass(slots=True)
class Stand:
    """A gateway, the namespace that it serves, and whoever asks it."""

    gateway: Gateway
    trunk: Trunk
    bus: Bus
    http: httpx.AsyncClient
    namespace: str

    @property
    def client(self) -> Client:
        """What a program with NATS access would use."""
        return Client(bus=self.bus, by="client:test")

    async def declare(self, job: str = JOB, **settings: Any) -> None:
        await self.bus.admin.apply_job(make_settings(job, **settings))

    async def create(self, job: str = JOB, **body: Any) -> dict[str, Any]:
        answer = await self.http.post("jobs", json={"job": job, **body})
        assert answer.status_code in (200, 201), answer.text
        found: dict[str, Any] = answer.json()
        return found


def make_gateway_settings(url: str, *namespaces: str, **more: Any) -> GatewaySettings:
    """Those of a gateway on a free port that asks nobody."""
    values = {"port": 0, "auth": "none", "rate_per_second": 10_000.0, "rate_burst": 10_000, **more}
    return GatewaySettings(connection=ClientSettings(url=url), namespaces=namespaces, **values)


@contextlib.asynccontextmanager
async def run_gateway(settings: GatewaySettings, reviewer: Reviewer | None = None) -> AsyncIterator[Gateway]:
    """A gateway that listens; stopped in order at the end."""
    gateway = Gateway(settings, reviewer=reviewer)
    running = asyncio.create_task(gateway.run(signals=False))
    ready = asyncio.create_task(gateway.wait_until_ready())
    try:
        await soon(asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED))
        if running.done():
            running.result()
        yield gateway
    finally:
        ready.cancel()
        gateway.stop()
        await soon(running)


@contextlib.asynccontextmanager
async def open_stand(
    url: str, namespace: str, *, reviewer: Reviewer | None = None, **settings: Any
) -> AsyncIterator[Stand]:
    """A gateway over a namespace with one Job."""
    trunk = await connect_trunk(BusOptions(url=url))
    try:
        bus = trunk.open(namespace)
        await bus.admin.apply_namespace()
        await bus.admin.apply_job(make_settings(JOB))
        async with run_gateway(make_gateway_settings(url, namespace, **settings), reviewer) as gateway:
            base = f"{gateway.url}/api/v1/"
            async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=30) as http:
                yield Stand(gateway, trunk, bus, http, namespace)
    finally:
        await trunk.close()
