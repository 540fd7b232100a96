"""A dispatcher in the test's own process, over one Bus: Webhooks are settings, receivers are on loopback."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec

from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus, EventMessage
from jetmill.client.client import Client
from jetmill.client.settings import ClientSettings
from jetmill.client.status import JobStatus
from jetmill.protocol.delivery import EndpointState, decode_endpoint, name_note
from jetmill.protocol.name import name_deliveries
from jetmill.protocol.record import JobSettings, SecretKey, WebhookSettings
from jetmill.protocol.state import FINAL
from jetmill_operator.dispatch.address import AddressPolicy
from jetmill_operator.dispatch.courier import Courier
from jetmill_operator.dispatch.desk import Desk, DeskOptions
from jetmill_operator.dispatch.guard import Guard
from jetmill_operator.dispatch.hook import Hooks
from jetmill_operator.dispatch.resolver import Resolver
from jetmill_operator.dispatch.router import WebhookRouter
from jetmill_operator.dispatch.secret import Secrets
from support.wait import eventually

NAMESPACE = "shop"
SECRET = b"correct horse battery staple"


def make_webhook(url: str, **given: object) -> WebhookSettings:
    """Sends all orders, signed; a delivery that fails is tried again twice, soon."""
    values: dict[str, object] = {
        "events": ["order.*"],
        "url": url,
        "secret": SecretKey(name="hook-secret", key="secret"),
        "timeout_seconds": 60.0,
        "delays": [0.05, 0.05],
    }
    return WebhookSettings(**(values | given))  # type: ignore[arg-type]


@dataclass
class Office:
    """What the dispatcher has, and the hands of the test."""

    bus: Bus
    client: Client
    hooks: Hooks
    desk: Desk
    router: WebhookRouter
    secrets: dict[str, dict[str, bytes]] = field(default_factory=dict)

    async def declare(
        self, name: str, webhook: WebhookSettings, *, uid: str = "", generation: int = 1, lease_seconds: float = 600.0
    ) -> None:
        """Declare a Webhook as the operator would; returns once it is served."""
        settings = JobSettings(
            job=name_deliveries(name),
            uid=uid or f"uid-of-{name}",
            generation=generation,
            concurrency=10,
            executor="async",
            timeout_seconds=webhook.timeout_seconds + 30,
            lease_seconds=lease_seconds,
            max_retries=len(webhook.delays),
            payload_max_bytes=4_194_304,
            webhook=webhook,
        )
        await self.bus.admin.apply_job(settings)
        await eventually(lambda: self.is_served(settings), what=f"{name} to be served")

    def is_served(self, settings: JobSettings) -> bool:
        there = {hook.job: hook for hook in self.hooks.all()}
        hook = there.get(settings.job)
        return hook is not None and hook.settings == settings and self.desk.service is not None

    async def publish(self, event_type: str = "order.paid", *, event_id: str = "", **data: object) -> str:
        """Publish an event as an application would; its id."""
        event_id = event_id or secrets.token_hex(8)
        event = {"specversion": "1.0", "id": event_id, "source": "/shop", "type": event_type, "data": data}
        await self.bus.events.publish(event_type, msgspec.json.encode(event), event_id=event_id)
        return event_id

    async def last_time(self) -> int:
        """When the last event was stored, by the server's clock; µs."""
        until = await self.bus.events.last_seq()
        [event] = await self.bus.events.read(start=until)
        return event.time

    async def ended(self, count: int = 1, *, seconds: float = 60.0) -> list[JobStatus]:
        """Wait until so many deliveries are done with; all there are, oldest first."""

        async def look() -> list[JobStatus]:
            found = await self.deliveries()
            return found if sum(one.state in FINAL for one in found) >= count else []

        ended: list[JobStatus] = await eventually(look, seconds=seconds, every_seconds=0.05)
        return ended

    async def deliveries(self) -> list[JobStatus]:
        """Every delivery in the ledger, oldest first."""
        until, ids = await self.bus.ledger.last_seq(), dict[str, None]()
        async for entries in self.bus.ledger.follow(until=until):
            ids |= {entry.id: None for entry in entries if entry.record.job.startswith("wh--")}
        return [await self.client.status(one) for one in ids]

    async def state(self, name: str) -> EndpointState | None:
        """What the note of an endpoint says."""
        note = await self.bus.notes.read(name_note(name))
        return None if note is None else decode_endpoint(note.data)


@asynccontextmanager
async def open_office(
    url: str, *, namespace: str = NAMESPACE, bus: Bus | None = None, round_seconds: float = 0.1
) -> AsyncIterator[Office]:
    """A dispatcher that works until the block ends."""
    own = bus or await connect(BusOptions(url=url, namespace=namespace))
    await own.admin.apply_namespace()
    held: dict[str, dict[str, bytes]] = {"hook-secret": {"secret": SECRET}}

    async def read(_namespace: str, name: str) -> Mapping[str, bytes] | None:
        return held.get(name)

    resolver = Resolver()
    guard = Guard(AddressPolicy(allow=["127.0.0.0/8"]), resolver.resolve)
    hooks = Hooks(lambda: Courier(guard, schemes=("http", "https")))
    options = DeskOptions(ClientSettings(url=url, namespace=namespace), grace_seconds=1.0, round_seconds=round_seconds)
    desk, router = Desk(own, hooks, Secrets(read), options), WebhookRouter(own, hooks)
    tasks = [asyncio.create_task(work.run()) for work in (router, desk)]
    client = Client(bus=own)
    try:
        yield Office(own, client, hooks, desk, router, held)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await hooks.close()
        resolver.close()
        await client.close()
        if bus is None:
            await own.link.close()


def make_message(event: Mapping[str, object], *, seq: int = 1, time: int = 1) -> EventMessage:
    """An event where it lies."""
    return EventMessage(str(event.get("type", "")), seq, time, msgspec.json.encode(event))
