"""What docs/permissions.md grants is enough for a worker and a client, and no more than it says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from factories import make_data, make_hint, make_job_id, make_presence, make_settings
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus, Message
from jetmill.client.client import Client
from jetmill.client.declaration import Registry, job
from jetmill.client.handling import on
from jetmill.client.settings import ClientSettings
from jetmill.errors import BusError, PermissionDeniedError
from jetmill.ledger.verify import verify
from jetmill.protocol.event import Event
from jetmill.protocol.retry import RetryPolicy
from jetmill.protocol.state import State
from jetmill.worker import Worker, WorkerSettings
from jetmill_operator.policy.victim import DrainPlan
from jetmill_operator.scaler.drain import apply_drains
from jetmill_operator.scaler.observation import observe_queue
from support.nats import NatsServer
from support.wait import eventually, soon

pytestmark = pytest.mark.integration
NAMESPACE, JOB = "shop", "mixed"
GUIDE = Path(__file__).parents[3] / "docs" / "permissions.md"


def read_permissions(name: str) -> str:
    """A block of the guide, filled in."""
    block = re.search(rf"^:name: {name}\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert block is not None
    inbox = f"_INBOX_{name}"
    return re.sub(r"\bNS\b|(?<=_)NS(?=_)", NAMESPACE, block[1]).replace("JOB", JOB).replace('"INBOX.', f'"{inbox}.')


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    users = "\n".join(
        f'{{user: "{name}", password: "p", permissions: {{ {read_permissions(name)} }} }}'
        for name in ("worker", "client", "scaler")
    )
    config = f'accounts {{app {{jetstream: enabled, users: [{{user: "admin", password: "p"}}\n{users}]}}}}'
    with NatsServer.start(tmp_path_factory.mktemp("permission"), config=config) as server:
        yield server


def settings_of(server: NatsServer, user: str) -> ClientSettings:
    return ClientSettings(url=server.url, namespace=NAMESPACE, user=user, password="p", inbox_prefix=f"_INBOX_{user}")


@pytest.fixture
async def admin(server: NatsServer) -> AsyncIterator[Bus]:
    bus = await connect(BusOptions(url=server.url, namespace=NAMESPACE, user="admin", password="p"))
    await bus.admin.apply_namespace()
    await bus.admin.apply_job(make_settings(JOB, lease_seconds=10.0))
    await bus.admin.apply_job(make_settings("other"))
    yield bus
    await bus.link.close()


@pytest.fixture
async def worker_bus(server: NatsServer, admin: Bus) -> AsyncIterator[Bus]:
    bus = await connect(settings_of(server, "worker").bus_options())
    yield bus
    await bus.link.close()


def make_registry(gate: asyncio.Event) -> Registry:
    registry = Registry()

    @job(name=JOB, registry=registry, retry=RetryPolicy(max_retries=3, initial_delay_seconds=0.1))
    async def mixed(kind: str, data: str = "") -> Any:
        if kind == "fails once":
            failed.append(1)
            if len(failed) == 1:
                raise RuntimeError("once")
        if kind == "waits":
            gate.set()
            await asyncio.Event().wait()
        return data

    failed: list[int] = []
    return registry


async def test_a_worker_and_a_client_are_refused_nothing_that_they_need(server: NatsServer, admin: Bus) -> None:
    started = asyncio.Event()
    registry = make_registry(started)
    settings = WorkerSettings(connection=settings_of(server, "worker"), jobs=(JOB,), concurrency=4)
    large = "x" * 700_000
    before = len(server.log)
    async with (
        Worker(settings=settings, registry=registry) as worker,
        Client(settings_of(server, "client"), registry=registry) as client,
    ):
        small = await client.enqueue(JOB, {"kind": "plain", "data": "small"})
        big = await client.enqueue(JOB, {"kind": "plain", "data": large})
        again = await client.enqueue(JOB, {"kind": "fails once"})
        assert [await soon(handle.result()) for handle in (small, big, again)] == ["small", large, ""]
        running = await client.enqueue(JOB, {"kind": "waits"})
        await soon(started.wait())
        await client.cancel(running.id)
        assert (await soon(client.wait(running.id))).state is State.CANCELLED
        await admin.admin.apply_job(make_settings(JOB, lease_seconds=7.5))
        assert (await client.status(again.id)).attempt == 2
        heard: list[Message] = []
        admin.messages.on_message(heard.append)
        await admin.admin.all_settings()  # the server has taken the subscription
        await client.broadcast("news", 1)
        await client.send_to_user("ada", 1)
        await eventually(lambda: [message.name for message in heard] == ["news", "ada"])
        await eventually(lambda: presence_is(admin, [worker.id]))
    assert await admin.presence.all() == []
    assert not (await verify(admin)).violations
    assert "Violation" not in server.log[before:], server.log[before:]


async def test_events_are_handled_subscribed_to_and_read_by_those_who_may(server: NatsServer, admin: Bus) -> None:
    """A worker's handler that fails for good, and a client that subscribes both ways and reads again."""
    registry = make_registry(asyncio.Event())
    heard: list[Event] = []

    @on("order.*", name="worker-side", retry=0, registry=registry)
    async def fail(event: Event) -> None:
        raise ValueError("no such thing")

    async def take(event: Event) -> None:
        heard.append(event)

    settings = WorkerSettings(connection=settings_of(server, "worker"), jobs=(JOB,))
    before = len(server.log)
    async with (
        Worker(settings=settings, registry=registry),
        Client(settings_of(server, "client"), registry=Registry()) as client,
        await client.subscribe("order.*", take),
        await client.subscribe("order.*", take, durable="client-side", start="all"),
    ):
        await client.publish("order.placed", {"n": 1})
        await eventually(lambda: len(heard) == 2)
        await eventually(lambda: admin.subscriptions.dead("worker-side"))
        assert [event.data async for event in client.events.read("order.*")] == [{"n": 1}]
    assert "Violation" not in server.log[before:], server.log[before:]
    await admin.subscriptions.remove("worker-side")


async def test_an_autoscaler_is_refused_nothing_that_it_needs(server: NatsServer, admin: Bus) -> None:
    registry = make_registry(asyncio.Event())
    settings = WorkerSettings(connection=settings_of(server, "worker"), jobs=(JOB,), concurrency=4)
    before = len(server.log)
    bus = await connect(settings_of(server, "scaler").bus_options())
    woken: list[str] = []
    bus.signals.on_wake(woken.append, job=JOB)
    assert (await bus.queue.tails())[JOB] == await admin.queue.last_seq(JOB)
    async with (
        Worker(settings=settings, registry=registry) as worker,
        Client(settings_of(server, "client"), registry=registry) as client,
    ):
        await soon((await client.enqueue(JOB, {"kind": "plain", "data": "small"})).result())
        seen = await observe_queue(bus, JOB)
        assert (seen.fault, [one.worker for one in seen.workers]) == ("", [worker.id])
        plan = DrainPlan(ask=(worker.id,), victims=(worker.id,))
        await eventually(lambda: apply_drains(bus, plan))
        waiting = await client.enqueue(JOB, {"kind": "plain", "data": "waits"})
        await apply_drains(bus, DrainPlan(undo=(worker.id,)))
        assert await soon(waiting.result()) == "waits"
        await eventually(lambda: woken == [JOB, JOB])
    await bus.link.close()
    assert "Violation" not in server.log[before:], server.log[before:]


async def test_a_worker_may_not_have_others_drained(server: NatsServer, worker_bus: Bus, admin: Bus) -> None:
    told: list[str] = []
    admin.signals.on_drain("worker-1", drain=lambda: told.append("drain"), undrain=lambda: told.append("undrain"))
    await admin.admin.all_settings()  # the server has taken the subscription
    denied = server.log.count("Violation")
    worker_bus.signals.drain("worker-1")
    admin.signals.undrain("worker-1")
    await eventually(lambda: server.log.count("Violation") > denied and told)
    assert told == ["undrain"]


async def test_a_worker_may_ask_who_else_there_is(worker_bus: Bus, admin: Bus) -> None:
    """It fails no job for a handler that another one knows."""
    await admin.presence.put(make_presence("another"), ttl_seconds=30)
    assert [presence.worker for presence in await worker_bus.presence.all()] == ["another"]
    await admin.presence.remove("another")


async def presence_is(bus: Bus, workers: list[str]) -> bool:
    return [presence.worker for presence in await bus.presence.all()] == workers


async def test_a_worker_may_not_reach_beyond_its_jobs(server: NatsServer, worker_bus: Bus, admin: Bus) -> None:
    seq = await admin.ledger.append(make_job_id(), make_data(), expected=0)
    before = server.log.count("Violation")
    for asked in (
        worker_bus.queue.publish(make_hint(job="other")),
        worker_bus.queue.hinted("other"),
        worker_bus.admin.apply_namespace(),
        worker_bus.admin.remove_job(JOB),
        worker_bus.ledger.purge(make_job_id(), up_to=seq),
        anext(aiter(worker_bus.ledger.follow())),
    ):
        with pytest.raises(PermissionDeniedError) as denied:
            await soon(asked)
        assert denied.value.subject
        assert denied.value.subject in str(denied.value)
    await eventually(lambda: server.log.count("Violation") >= before + 6)  # it tells the client first
    assert await admin.admin.settings(JOB) is not None


async def test_a_worker_may_not_change_settings(worker_bus: Bus, admin: Bus) -> None:
    with pytest.raises(BusError):
        await soon(worker_bus.admin.apply_job(make_settings(JOB, max_retries=99)))
    settings = await admin.admin.settings(JOB)
    assert settings is not None
    assert settings.max_retries != 99


async def test_hints_of_another_job_do_not_come(worker_bus: Bus, admin: Bus) -> None:
    await admin.queue.publish(make_hint(job="other"))
    taken: list[object] = []
    worker_bus.queue.pull("other", "normal", taken.append).want(1)
    with pytest.raises(PermissionDeniedError):
        await soon(worker_bus.queue.last_seq("other"))
    assert taken == []

    async def is_ready() -> bool:
        return (await admin.queue.depth("other")).ready == 1

    await eventually(is_ready)
