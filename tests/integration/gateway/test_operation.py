"""One action on all jobs that fit: on as many as was confirmed, whatever becomes of clients, gateways and NATS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
import structlog

from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.client.submission import Item
from jetmill_operator.gateway.web.operation import KEY, MAX_RUNNING, Operation, Operations
from support.gateway import RunningGateway, TableReviewer, declare, serve
from support.nats import NatsServer
from support.wait import eventually, soon

pytestmark = pytest.mark.integration
PATH = "/api/v1/operations"


@pytest.fixture
async def namespace(nats: NatsServer, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A namespace for each test: operations act on all that fits."""
    name = f"o-{abs(hash(request.node.name)) % 10**10}"
    bus = await connect(BusOptions(url=nats.url, namespace=name))
    await declare(bus, "mail", "report")
    yield name
    await bus.link.close()


@pytest.fixture
async def bus(nats: NatsServer, namespace: str) -> AsyncIterator[Bus]:
    bus = await connect(BusOptions(url=nats.url, namespace=namespace))
    yield bus
    await bus.link.close()


@pytest.fixture
async def local(nats: NatsServer, bus: Bus, namespace: str) -> AsyncIterator[RunningGateway]:
    async with serve(nats.url, None, namespaces=(namespace,)) as running:
        yield running


async def enqueue(sdk: Client, count: int, job: str = "mail") -> list[str]:
    handles = await sdk.enqueue_many(job, [Item({"n": n}, labels={"tenant": "acme"}) for n in range(count)])
    return [handle.id for handle in handles]  # type: ignore[union-attr]


async def begin(http: httpx.AsyncClient, sdk: Client, **body: Any) -> httpx.Response:
    after = await (await sdk.connect()).ledger.last_seq()
    return await http.post(PATH, json={"after": after, **body})


async def ended(http: httpx.AsyncClient, name: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        body = (await http.get(f"{PATH}/{name}")).json()
        return None if body["state"] == "running" else body

    found: dict[str, Any] = await eventually(look, what="the operation to end")
    return found


async def test_all_that_fit_are_acted_on_and_no_others(local: RunningGateway, sdk: Client) -> None:
    mails = await enqueue(sdk, 150)
    reports = await enqueue(sdk, 5, "report")
    wanted = {"action": "cancel", "filter": {"job": ["mail"], "label": {"tenant": "acme"}, "state": ["open"]}}
    async with local.client() as http:
        asked = await begin(http, sdk, **wanted)
        problem = asked.json()
        assert (asked.status_code, problem["type"].rpartition("/")[2], problem["count"]) == (409, "confirm-count", 150)
        assert (await http.post(f"{PATH}/preview", json=wanted)).json()["count"] == 150
        begun = await begin(http, sdk, **wanted, confirm=150)
        assert begun.status_code == 202
        assert begun.headers["location"].startswith(f"{PATH}/{begun.json()['id']}?namespace=")
        body = await ended(http, begun.json()["id"])
        facts = {name: body[name] for name in ("state", "total", "done", "changed", "skipped", "failed", "by")}
        assert facts == {
            "state": "done",
            "total": 150,
            "done": 150,
            "changed": 150,
            "skipped": 0,
            "failed": 0,
            "by": "local",
        }
        assert body["filter"] == wanted["filter"]
        assert (await http.get(PATH)).json()["items"] == [body]
    assert {(await sdk.status(one)).state for one in mails} == {"cancelled"}
    assert {(await sdk.status(one)).state for one in reports} == {"queued"}


async def test_what_ended_well_runs_again_only_where_its_state_is_named(local: RunningGateway, sdk: Client) -> None:
    for one in await enqueue(sdk, 3):
        await sdk.cancel(one)
    async with local.client() as http:
        assert (await begin(http, sdk, action="retry", filter={"state": ["succeeded"]})).json()["count"] == 0
        begun = await begin(http, sdk, action="retry", filter={}, confirm=3)
        assert (await ended(http, begun.json()["id"]))["changed"] == 3
        later = await begin(http, sdk, action="reschedule", filter={}, delaySeconds=60, confirm=0)
        assert (await ended(http, later.json()["id"]))["total"] == 0


async def test_a_job_that_has_moved_on_is_skipped(bus: Bus, sdk: Client) -> None:
    operations = Operations(bus)
    first, second = await enqueue(sdk, 2)
    await sdk.cancel(first)
    one = await operations.begin("discard", [first, second, "nothing"], by="ada", described={})
    found = await eventually(lambda: one if one.state != "running" else None)
    assert (found.changed, found.skipped, found.failed) == (0, 3, 0)


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ({"action": "explode"}, 400, "invalid-request"),
        ({"action": "cancel", "filter": {"sate": ["queued"]}}, 400, "invalid-request"),
        ({"action": "cancel", "filter": {"state": ["sleeping"]}}, 400, "invalid-parameter"),
        ({"action": "cancel", "filter": {"error": "no"}}, 400, "invalid-request"),
        ({"action": "cancel", "at": "2030-01-01T00:00:00Z", "confirm": 0}, 422, "invalid-input"),
        ({"action": "reschedule", "confirm": 0}, 422, "invalid-input"),
        ({"action": "cancel", "confirm": 7}, 409, "confirm-count"),
    ],
)
async def test_what_cannot_be_meant_does_nothing(
    local: RunningGateway, sdk: Client, body: dict[str, Any], status: int, slug: str
) -> None:
    async with local.client() as http:
        answer = await http.post(PATH, json=body)
        assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (status, slug)
        assert (await http.get(PATH)).json() == {"items": []}
        assert (await http.get(f"{PATH}/nothing")).status_code == 404
        assert (await http.post(f"{PATH}/nothing/cancel")).status_code == 404


class Halting(Operations):
    """Tells when it has begun to act, and goes on when it may."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus)
        self.gate = asyncio.Event()

    async def _run(self, one: Operation, ids: list[str], due: int | None) -> None:
        await self.gate.wait()
        await super()._run(one, ids, due)


async def test_any_gateway_tells_of_it_and_stops_it(bus: Bus, nats: NatsServer, sdk: Client, namespace: str) -> None:
    ids = await enqueue(sdk, 200)
    running = Halting(bus)
    one = await running.begin("cancel", ids, by="ada", described={})
    async with serve(nats.url, None, namespaces=(namespace,)) as other, other.client() as http:
        assert (await http.get(f"{PATH}/{one.id}")).json()["state"] == "running"
        stopped = await http.post(f"{PATH}/{one.id}/cancel")
        assert (stopped.status_code, stopped.json()["stopping"]) == (202, True)
        await running._write(one)  # it hears of it at its next word
        running.gate.set()
        body = await ended(http, one.id)
    assert body["state"] == "cancelled"
    assert body["done"] < 200
    assert body["changed"] == sum([(await sdk.status(job)).state == "cancelled" for job in ids])


async def test_a_gateway_that_ends_says_how_far_it_came(bus: Bus, sdk: Client) -> None:
    ids = await enqueue(sdk, 1_000)
    operations = Operations(bus)
    one = await operations.begin("cancel", ids, by="ada", described={})
    await eventually(lambda: one.changed)
    await soon(operations.close())
    found = await Operations(bus).find(one.id)
    assert found is not None
    assert (found.state, found.why) == ("interrupted", "the gateway that ran it ended")
    assert 0 < found.changed < 1_000
    again = await operations.begin("cancel", ids, by="ada", described={})
    await eventually(lambda: again.state == "done", what="the rest")
    assert again.done == 1_000
    assert {(await sdk.status(job)).state for job in ids} == {"cancelled"}


async def test_one_that_was_killed_is_found_silent(bus: Bus) -> None:
    now = bus.link.now()
    silent = Operation(id="a", action="cancel", by="ada", total=9, done=4, begun=now, heard=now - 60_000_000)
    fresh = Operation(id="b", action="cancel", by="ada", total=9, begun=now, heard=now)
    await bus.notes.write(KEY, msgspec.json.encode([silent, fresh]), expected=0)
    states = {one.id: one.state for one in await Operations(bus).all()}
    assert states == {"a": "interrupted", "b": "running"}


async def test_a_note_that_is_none_of_ours_keeps_nobody_from_beginning(bus: Bus) -> None:
    await bus.notes.write(KEY, b"{", expected=0)
    operations = Operations(bus)
    assert await operations.all() == []
    one = await operations.begin("cancel", [], by="ada", described={})
    await eventually(lambda: one.state == "done")
    assert [each.id for each in await operations.all()] == [one.id]


async def test_only_so_many_run_at_once(bus: Bus) -> None:
    operations = Halting(bus)
    for _ in range(MAX_RUNNING):
        await operations.begin("cancel", [], by="ada", described={})
    with pytest.raises(Exception, match="operations run here already"):
        await operations.begin("cancel", [], by="ada", described={})
    operations.gate.set()
    await eventually(lambda: not operations._tasks)


async def test_it_needs_the_actions_right_in_the_whole_namespace_and_is_audited(
    nats: NatsServer, reviewer: TableReviewer
) -> None:
    body = {"action": "cancel", "filter": {"user": "nobody-at-all"}, "confirm": 0}
    with structlog.testing.capture_logs() as lines:
        async with serve(nats.url, reviewer) as gateway:
            statuses = {}
            for user in ("viewer", "editor", "mailer", "stranger"):
                async with gateway.client(f"token-of-{user}") as http:
                    statuses[user] = (await http.post(PATH, json=body)).status_code
            async with gateway.client("token-of-editor") as editor, gateway.client("token-of-viewer") as viewer:
                name = (await editor.get(PATH)).json()["items"][0]["id"]
                await ended(editor, name)
                assert (await viewer.get(f"{PATH}/{name}")).status_code == 200
                assert (await viewer.post(f"{PATH}/{name}/cancel")).status_code == 403
                assert (await editor.post(f"{PATH}/{name}/cancel")).status_code == 202
    assert statuses == {"viewer": 403, "editor": 202, "mailer": 403, "stranger": 403}
    audit = [
        (one["user"], one["right"], one["decision"]) for one in lines if one["event"] == "audit" and one["path"] == PATH
    ]
    assert ("editor", "create jobs/cancel", "allowed") in audit
    assert ("viewer", "create jobs/cancel", "denied") in audit
    ended_line = next(one for one in lines if one["event"] == "operation_ended")
    assert (ended_line["user"], ended_line["state"]) == ("editor", "done")
