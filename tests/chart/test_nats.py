"""The NATS users of the chart, on a real server: each can do its work, and cannot touch what is another's."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGHUP, SIGTERM
from typing import Any

import httpx
import msgspec
import pytest
from httpx import AsyncClient

from factories import make_data, make_hint, make_job_id, make_settings
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.client.declaration import Registry, job
from jetmill.client.settings import ClientSettings
from jetmill.errors import BusError, PermissionDeniedError
from jetmill.ledger.verify import verify
from jetmill.protocol.deadletter import DeadLetter, encode_dead_letter
from jetmill.protocol.event import EventPattern
from jetmill.protocol.record import ErrorInfo
from jetmill.protocol.retry import RetryPolicy
from jetmill.protocol.state import State
from jetmill.worker import Worker, WorkerSettings
from jetmill_operator.reconcile.account import connect_accounts
from support.chart import Manifest, find, render
from support.dispatch import make_webhook
from support.dispatcher import DispatcherProcess
from support.gateway import serve
from support.nats import NatsServer, find_binary
from support.receiver import Receiver, reply
from support.wait import eventually, soon

pytestmark = pytest.mark.integration
JOB = "mixed"
VALUES = {"namespaces": [{"name": "shop"}, {"name": "billing"}]}


@pytest.fixture(scope="module")
def manifests() -> list[Manifest]:
    return render(VALUES)


@pytest.fixture(scope="module")
def server(manifests: list[Manifest], tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path_factory.mktemp("chart"), config=users_of(manifests)) as server:
        yield server


def users_of(manifests: list[Manifest]) -> str:
    return str(find(manifests, "Secret", "jetmill-nats-users")["stringData"]["users.conf"])


def login(manifests: list[Manifest], secret: str) -> dict[str, str]:
    """What a Secret of the chart says, as options of a connection."""
    data = find(manifests, "Secret", f"jetmill-nats-{secret}")["stringData"]
    return {"user": data["user"], "password": data["password"], "inbox_prefix": data["inboxPrefix"]}


@asynccontextmanager
async def connected(server: NatsServer, namespace: str, **options: str) -> AsyncIterator[Bus]:
    bus = await connect(BusOptions(url=server.url, namespace=namespace, **options))
    try:
        yield bus
    finally:
        await bus.link.close()


@asynccontextmanager
async def operating(server: NatsServer, manifests: list[Manifest], namespace: str) -> AsyncIterator[Bus]:
    """The operator, logged in to the account of a namespace, with its streams made."""
    options = login(manifests, "operator")
    options["user"] += f"-{namespace}"
    async with connected(server, namespace, **options) as bus:
        await bus.admin.apply_namespace()
        for name in (JOB, "other"):
            await bus.admin.apply_job(make_settings(name, lease_seconds=30.0))
        yield bus


@pytest.fixture
async def shop(server: NatsServer, manifests: list[Manifest]) -> AsyncIterator[Bus]:
    async with operating(server, manifests, "shop") as bus:
        yield bus


@pytest.fixture
async def billing(server: NatsServer, manifests: list[Manifest]) -> AsyncIterator[Bus]:
    async with operating(server, manifests, "billing") as bus:
        yield bus


def make_registry(started: asyncio.Event) -> Registry:
    registry = Registry()
    failed: list[int] = []

    @job(name=JOB, registry=registry, retry=RetryPolicy(max_retries=3, initial_delay_seconds=0.1))
    async def mixed(kind: str, data: str = "") -> Any:
        if kind == "fails once" and not failed:
            failed.append(1)
            raise RuntimeError("once")
        if kind == "waits":
            started.set()
            await asyncio.Event().wait()
        return data

    return registry


async def test_a_worker_and_a_producer_are_refused_nothing_that_they_need(
    server: NatsServer, manifests: list[Manifest], shop: Bus
) -> None:
    started = asyncio.Event()
    registry = make_registry(started)
    worker, producer = (
        ClientSettings(url=server.url, namespace="shop", **login(manifests, f"{part}-shop"))  # type: ignore[arg-type]
        for part in ("worker", "producer")
    )
    before = len(server.log)
    async with (
        Worker(settings=WorkerSettings(connection=worker, jobs=(JOB,), concurrency=4), registry=registry),
        Client(producer, registry=registry) as client,
    ):
        small = await client.enqueue(JOB, {"kind": "plain", "data": "small"})
        big = await client.enqueue(JOB, {"kind": "plain", "data": "x" * 700_000})
        again = await client.enqueue(JOB, {"kind": "fails once"})
        assert [await soon(handle.result()) for handle in (small, big, again)] == ["small", "x" * 700_000, ""]
        running = await client.enqueue(JOB, {"kind": "waits"})
        await soon(started.wait())
        await client.cancel(running.id)
        assert (await soon(client.wait(running.id))).state is State.CANCELLED
        assert (await client.status(again.id)).attempt == 2
        assert [stats.job for stats in await client.stats()] == [JOB, "other"]
        assert len(await client.workers()) == 1
    assert not (await verify(shop)).violations
    assert "Violation" not in server.log[before:], server.log[before:]


async def test_a_gateway_is_refused_nothing_that_it_needs(
    server: NatsServer, manifests: list[Manifest], shop: Bus, billing: Bus
) -> None:
    """Lists, acts, follows, sends and hears, in each namespace's account by a login of its own."""
    options = login(manifests, "gateway")
    settings = ClientSettings(url=server.url, **options)  # type: ignore[arg-type]
    trunk = await connect_accounts(settings.bus_options(), ("shop", "billing"))
    before = len(server.log)
    topics = ["namespace", "workers", "event:*", "topic:news"]
    async with (
        serve(server.url, trunk=trunk, namespaces=("shop", "billing")) as gateway,
        gateway.client() as client,
        client.stream("GET", "/api/v1/stream/sse", params={"topic": topics, "namespace": "shop"}) as stream,
    ):
        heard = aiter(stream.aiter_lines())
        assert stream.status_code == 200
        made = await client.post(
            "/api/v1/jobs",
            json={"job": JOB, "payload": {"kind": "x" * 700_000}},
            params={"namespace": "shop"},
        )
        assert made.status_code == 201, made.text
        where = f"/api/v1/jobs/{made.json()['id']}"
        for path in (
            where,
            f"{where}/payload",
            f"{where}/history",
            f"{where}/logs",
            "/api/v1/queues",
            "/api/v1/workers",
        ):
            answer = await client.get(path, params={"namespace": "shop"})
            assert answer.status_code == 200, answer.text
        sent = await client.post(
            "/api/v1/stream/messages", json={"topic": "news", "message": 1}, params={"namespace": "shop"}
        )
        assert sent.status_code < 300, sent.text
        await soon(hear(heard, "news"))
        await look_after_events(client, shop)
        cancelled = await client.post(f"{where}/cancel", params={"namespace": "shop"})
        assert cancelled.status_code < 300, cancelled.text
        await eventually(lambda: listed(client, "shop", made.json()["id"]))
        assert not await listed(client, "billing", made.json()["id"])
        assert (await client.get("/readyz")).status_code == 200
    assert "Violation" not in server.log[before:], server.log[before:]


async def look_after_events(client: httpx.AsyncClient, shop: Bus) -> None:
    """Publish, search, and settle what a subscription gave up."""
    query = {"namespace": "shop"}
    made = await client.post("/api/v1/events", json={"type": "order.placed", "data": {"n": 1}}, params=query)
    assert made.status_code == 201, made.text
    seq = made.json()["seq"]
    await shop.subscriptions.apply("mails", patterns=[EventPattern("order.*")])
    letter = DeadLetter(
        subscription="mails",
        seq=seq,
        attempts=1,
        error=ErrorInfo(type="ValueError", message="no"),
        event=(await shop.events.read(start=seq))[0].data,
    )
    await shop.subscriptions.bury("mails", seq, encode_dead_letter(letter))
    for path in ("/api/v1/events", f"/api/v1/events/{seq}", "/api/v1/events/dead", "/api/v1/subscriptions"):
        answer = await client.get(path, params=query)
        assert answer.status_code == 200, answer.text
    asked = {"subscription": "mails", "seq": seq, "action": "retry"}
    assert (await client.post("/api/v1/events/dead", json=asked, params=query)).status_code == 204
    assert (await client.delete("/api/v1/subscriptions/mails", params=query)).status_code == 204


async def test_a_dispatcher_is_refused_nothing_that_it_needs(
    server: NatsServer, manifests: list[Manifest], shop: Bus, tmp_path: Path
) -> None:
    """Every work of it: deliveries, routing, transitions; each would fail and be begun again if it were refused."""
    options = login(manifests, "dispatcher")
    before = len(server.log)
    environ = {
        "JETMILL_NATS_URL": server.url,
        "JETMILL_NATS_USER": options["user"],
        "JETMILL_NATS_PASSWORD": options["password"],
        "JETMILL_NATS_INBOX_PREFIX": options["inbox_prefix"],
        "JETMILL_NATS_ACCOUNTS": "shop",
        "JETMILL_DISPATCH_SCHEMES": "http",
        "JETMILL_DISPATCH_PORTS": "*",
        "JETMILL_DISPATCH_ALLOW": "127.0.0.0/8",
    }
    async with Receiver.serve() as receiver:
        webhook = make_webhook(receiver.url, secret=None, serial="subject")
        settings = make_settings("wh--orders", lease_seconds=30.0, concurrency=4, max_retries=2, webhook=webhook)
        await shop.admin.apply_job(settings)
        with DispatcherProcess.start(tmp_path, environ) as process:
            await process.says("worker_started")
            for number, text in enumerate(("small", "x" * 200_000)):
                event = {"specversion": "1.0", "id": f"{number}", "source": "/shop", "type": "order.paid"}
                data = msgspec.json.encode(event | {"subject": "one", "data": {"text": text}})
                await shop.events.publish("order.paid", data, event_id=f"order-{number}")
            await receiver.received(2)
            receiver.answer = reply(500)
            data = msgspec.json.encode({"specversion": "1.0", "id": "3", "source": "/shop", "type": "order.paid"})
            await shop.events.publish("order.paid", data, event_id="order-3")
            await receiver.received(5)
            process.send(SIGTERM)
            assert await process.wait() == 0
            assert "work_failed" not in process.log, process.log
    await shop.admin.remove_job("wh--orders")
    assert "Violation" not in server.log[before:], server.log[before:]


async def hear(lines: AsyncIterator[str], text: str) -> None:
    """Wait for a line with a message to a topic."""
    async for line in lines:
        if line.startswith("data:") and '"messages"' in line and text in line:
            return
    raise AssertionError(f"the stream ended without {text}")


async def listed(client: AsyncClient, namespace: str, job_id: str) -> bool:
    answer = await client.get("/api/v1/jobs", params={"namespace": namespace})
    assert answer.status_code == 200, answer.text
    return job_id in {item["id"] for item in answer.json()["items"]}


async def test_the_streams_of_another_namespace_are_not_there(
    server: NatsServer, manifests: list[Manifest], shop: Bus, billing: Bus
) -> None:
    """Even asked for by their names, by each login of `shop`, whatever it asks for."""
    job_id = make_job_id()
    seq = await billing.ledger.append(job_id, make_data(), expected=0)
    await billing.queue.publish(make_hint(job=JOB))
    for part in ("worker", "producer"):
        async with connected(server, "billing", **login(manifests, f"{part}-shop")) as thief:
            taken: list[object] = []
            thief.queue.pull(JOB, "normal", taken.append).want(1)
            for asked in (
                thief.ledger.append(job_id, make_data(), expected=seq),
                thief.queue.publish(make_hint(job=JOB)),
                thief.ledger.read(job_id),
                thief.queue.last_seq(JOB),
                thief.queue.hinted(JOB),
                thief.admin.apply_job(make_settings(JOB, max_retries=99)),
                thief.admin.remove_job(JOB),
                anext(aiter(thief.ledger.follow())),
            ):
                with pytest.raises(BusError):
                    await soon(asked)
            assert taken == []
    assert (await billing.queue.depth(JOB)).ready == 1
    last = await billing.ledger.read(job_id)
    assert last is not None
    assert last.seq == seq


@pytest.mark.parametrize("part", ["worker", "producer", "gateway"])
async def test_in_its_own_namespace_a_login_makes_and_removes_nothing(
    server: NatsServer, manifests: list[Manifest], shop: Bus, part: str
) -> None:
    seq = await shop.ledger.append(make_job_id(), make_data(), expected=0)
    options = login(manifests, part if part == "gateway" else f"{part}-shop")
    options["user"] = f"{part}-shop"
    async with connected(server, "shop", **options) as bus:
        for asked in (
            bus.admin.apply_namespace(replicas=3),
            bus.admin.remove_job(JOB),
            bus.ledger.purge(make_job_id(), up_to=seq),
        ):
            with pytest.raises(PermissionDeniedError):
                await soon(asked)
        with pytest.raises(BusError):
            await soon(bus.admin.apply_job(make_settings(JOB, max_retries=99)))
    settings = await shop.admin.settings(JOB)
    assert settings is not None
    assert settings.max_retries != 99


async def test_nobody_logs_in_without_a_password(server: NatsServer, shop: Bus) -> None:
    with pytest.raises(BusError):
        await soon(connect(BusOptions(url=server.url, namespace="shop")))


async def test_a_namespace_that_is_added_needs_no_restart(tmp_path: Path, manifests: list[Manifest]) -> None:
    """The file changes, the server is signalled, as the reloader does it; who is connected stays."""
    more = render({"namespaces": [*VALUES["namespaces"], {"name": "new"}]})
    old = {name: login(manifests, name)["password"] for name in ("operator", "worker-shop", "producer-shop")}
    text = users_of(more)
    for name, password in old.items():
        text = text.replace(login(more, name)["password"], password)
    users = tmp_path / "users.conf"
    users.write_text(users_of(manifests))
    with NatsServer.start(tmp_path, config=f'include "{users.name}"') as server:
        async with operating(server, manifests, "shop") as shop:
            users.write_text(text)
            server.send(SIGHUP)
            await eventually(lambda: can_log_in(server, login(more, "worker-new")))
            assert await shop.admin.settings(JOB) is not None
            assert shop.link.connected_seconds > 0


async def can_log_in(server: NatsServer, options: dict[str, str]) -> bool:
    try:
        async with connected(server, "new", **options):
            return True
    except BusError:
        return False


@pytest.mark.parametrize("replicas", [1, 3])
def test_the_server_accepts_the_whole_configuration(tmp_path: Path, replicas: int) -> None:
    manifests = render({"nats": {"replicas": replicas}})
    for part in (
        find(manifests, "ConfigMap", "jetmill-nats")["data"],
        find(manifests, "Secret", "jetmill-nats-users")["stringData"],
    ):
        for name, text in part.items():
            (tmp_path / name).write_text(text)
    done = subprocess.run(
        [find_binary(), "-t", "-c", str(tmp_path / "nats.conf")],
        env={**os.environ, "POD_NAME": "jetmill-nats-0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
