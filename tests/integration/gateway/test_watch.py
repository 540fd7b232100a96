"""The websocket, the server-sent events and the messages of a whole gateway: who may watch what, and how it ends."""

from __future__ import annotations

import base64
import json
import time
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill_operator.gateway.stream.topic import Kind
from jetmill_operator.gateway.web.watcher import NEEDS
from support.gateway import NAMESPACE, OTHER, RunningGateway, TableReviewer
from support.screen import watch
from support.stream import Tally, append
from support.wait import eventually, soon

pytestmark = pytest.mark.integration


async def refusal(gateway: RunningGateway, token: str = "", **options: Any) -> tuple[int, dict[str, Any]]:
    """The status and the problem that a handshake is refused with."""
    with pytest.raises(InvalidStatus) as refused:
        async with watch(gateway, token, **options):
            pass
    response = refused.value.response
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, dict(json.loads(response.body or b"{}"))


TOPICS = {
    Kind.NAMESPACE: "namespace",
    Kind.JOBS: "jobs:mail",
    Kind.STATE: "state:failed",
    Kind.JOB: "job:{id}",
    Kind.LOG: "log:{id}",
    Kind.PROGRESS: "progress:{id}",
    Kind.EVENT: "event:*",
    Kind.WORKERS: "workers",
    Kind.QUEUES: "queues",
    Kind.TOPIC: "topic:news",
    Kind.USER: "user",
}


def test_every_kind_of_topic_has_its_right() -> None:
    assert NEEDS.keys() == TOPICS.keys() == set(Kind)


@pytest.mark.parametrize("user", ["viewer", "editor", "stranger", "mailer", "admin", "nobody"])
async def test_each_watches_just_what_a_right_allows(
    gateway: RunningGateway, reviewer: TableReviewer, sdk: Client, user: str
) -> None:
    handle = await sdk.enqueue("mail")
    other = await sdk.enqueue("report")
    async with watch(gateway, f"token-of-{user}") as client:
        for kind, text in TOPICS.items():
            right = NEEDS[kind]
            for job_id, job in ((handle.id, "mail"), (other.id, "report")):
                named = "mail" if kind is Kind.JOBS else job if kind in (Kind.JOB, Kind.LOG, Kind.PROGRESS) else ""
                allowed = right is None or any(
                    (user, right.verb, right.resource, NAMESPACE, one) in reviewer.grants for one in {"", named}
                )
                answer = await client.ask(text.format(id=job_id))
                assert (answer["type"], answer.get("code")) == (
                    ("subscribed", None) if allowed else ("error", "forbidden")
                ), (user, text, job)


@pytest.mark.parametrize("token", ["", "garbage"])
async def test_without_an_accepted_token_no_handshake_succeeds(gateway: RunningGateway, token: str) -> None:
    status, problem = await refusal(gateway, token)
    assert status == 401
    assert problem["type"].endswith("/unauthenticated")


async def test_a_token_may_come_in_the_query_in_a_subprotocol_or_as_a_ticket(gateway: RunningGateway) -> None:
    token = "token-of-viewer"
    async with watch(gateway, query=f"?token={token}") as client:
        assert (await client.ask("namespace"))["type"] == "subscribed"
    offered = "base64url.bearer.authorization.k8s.io." + base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    protocols = [Subprotocol(offered), Subprotocol("jetmill.v1")]
    async with watch(gateway, subprotocols=protocols) as client:
        assert client.socket.subprotocol == "jetmill.v1"
        assert (await client.ask("namespace"))["type"] == "subscribed"
    async with gateway.client(token) as http:
        ticket = (await http.post("/api/v1/stream/tickets")).json()["ticket"]
    async with watch(gateway, query=f"?ticket={ticket}") as client:
        assert (await client.ask("namespace"))["type"] == "subscribed"
        assert (await client.ask("namespace", namespace=OTHER))["code"] == "forbidden"
        assert (await client.ask("topic:news"))["type"] == "subscribed"
    assert (await refusal(gateway, query=f"?ticket={ticket}"))[0] == 401


async def test_who_may_watch_a_single_job_gets_a_ticket_as_well(gateway: RunningGateway) -> None:
    async with gateway.client("token-of-mailer") as http:
        ticket = (await http.post("/api/v1/stream/tickets")).json()["ticket"]
    async with watch(gateway, query=f"?ticket={ticket}") as client:
        assert (await client.ask("jobs:mail"))["type"] == "subscribed"
        assert (await client.ask("namespace"))["code"] == "forbidden"


async def test_who_sends_frames_faster_than_anybody_has_to_is_sent_away(gateway: RunningGateway) -> None:
    async with watch(gateway, "token-of-viewer") as eager, watch(gateway, "token-of-viewer") as other:
        with suppress(ConnectionClosed):
            for _ in range(2_000):
                await eager.say("ping")
        await eventually(lambda: eager.code == 4429)
        assert (await other.ask("namespace"))["type"] == "subscribed"


async def test_a_page_of_another_site_cannot_use_a_session(gateway: RunningGateway) -> None:
    async with gateway.client() as http:
        response = await http.post("/api/v1/session", json={"token": "token-of-viewer"})
        cookie = "; ".join(part.partition(";")[0] for part in response.headers.get_list("set-cookie"))
    own = {"Cookie": cookie, "Origin": gateway.url}
    async with watch(gateway, headers=own) as client:
        assert (await client.ask("namespace"))["type"] == "subscribed"
    foreign = {"Cookie": cookie, "Origin": "https://evil.example"}
    status, problem = await refusal(gateway, headers=foreign)
    assert status == 403
    assert problem["type"].endswith("/foreign-origin")


async def test_while_the_api_server_is_away_the_handshake_says_try_later(
    gateway: RunningGateway, reviewer: TableReviewer
) -> None:
    reviewer.away = True
    status, problem = await refusal(gateway, "token-of-viewer")
    assert status == 503
    assert problem["type"].endswith("/access-unavailable")


async def test_a_websocket_elsewhere_finds_nothing(gateway: RunningGateway) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(gateway.url.replace("http://", "ws://") + "/api/v1/nothing"):
            pass
    assert refused.value.response.status_code == 404


async def test_jobs_are_watched_live_from_enqueue_to_cancel(gateway: RunningGateway, sdk: Client) -> None:
    async with watch(gateway, "token-of-viewer") as client:
        await client.ask("jobs:mail")
        handle = await sdk.enqueue("mail")
        await sdk.cancel(handle.id)
        await eventually(lambda: len(client.seen.get("jobs:mail", [])) >= 2)
        items = [item for frame in client.of_type("events") for item in frame["items"]]
        assert [(item["id"], item["state"]) for item in items] == [(handle.id, "queued"), (handle.id, "cancelled")]


async def test_a_session_ends_when_its_token_does(gateway: RunningGateway, reviewer: TableReviewer, bus: Bus) -> None:
    identity = reviewer.tokens["token-of-viewer"]
    reviewer.tokens["short"] = msgspec.structs.replace(identity, expires=time.time() + 6)
    async with watch(gateway, "short") as client:
        await client.ask("namespace")
        await eventually(lambda: client.code == 4401)


async def test_a_gateway_that_ends_closes_with_1012(gateway: RunningGateway) -> None:
    async with watch(gateway, "token-of-viewer") as client:
        await client.ask("namespace")
        gateway.parts.backplane.shut()
        await eventually(lambda: client.code == 1012)
        assert client.socket.close_reason == "the gateway restarts"
    async with watch(gateway, "token-of-viewer") as late:
        await eventually(lambda: late.code == 1013)


async def test_a_message_over_rest_reaches_who_listens(gateway: RunningGateway) -> None:
    async with watch(gateway, "token-of-viewer") as viewer, gateway.client("token-of-editor") as http:
        await viewer.ask("topic:news")
        await viewer.ask("user")
        for body in ({"topic": "news", "message": {"n": 1}}, {"user": "viewer", "message": "hello"}):
            assert (await http.post("/api/v1/stream/messages", json=body)).status_code == 202
        await eventually(lambda: len(viewer.of_type("messages")) == 2)
        told = {frame["topic"]: frame["items"][0] for frame in viewer.of_type("messages")}
        assert (told["topic:news"]["data"], told["user:viewer"]["data"]) == ({"n": 1}, "hello")
        assert told["topic:news"]["by"] == "editor"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": 1},
        {"topic": "news", "user": "ada", "message": 1},
        {"topic": "No Topic", "message": 1},
        {"user": "", "message": 1},
        {"topic": "news", "message": "x" * 70_000},
        {"topic": "news", "message": 1, "more": 1},
    ],
)
async def test_a_message_that_cannot_be_is_refused(local: RunningGateway, body: dict[str, Any]) -> None:
    async with local.client() as http:
        response = await http.post("/api/v1/stream/messages", json=body)
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


# Server-sent events


async def read_events(
    gateway: RunningGateway, query: str, *, token: str, until: int, last_id: str = ""
) -> tuple[Tally, str]:
    """Read until a sequence of `namespace` was told; what came, and the last id."""
    tally = Tally()
    async with (
        gateway.client(token, **({"Last-Event-ID": last_id} if last_id else {})) as http,
        http.stream("GET", f"/api/v1/stream/sse?{query}") as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            last_id = value if name == "id" else last_id
            if name == "data":
                tally.add(value)
                if tally.cursor.get("namespace", 0) >= until:
                    break
    return tally, last_id


async def test_events_are_sent_and_resumed(gateway: RunningGateway, bus: Bus) -> None:
    before = await bus.ledger.last_seq()
    first = await append(bus, 100)
    query = f"topic=namespace&topic=workers&after={before}"
    tally, last_id = await soon(read_events(gateway, query, token="token-of-viewer", until=first[-1]))
    tally.check("namespace", first)
    assert last_id.split(",")[0] == str(first[-1])
    second = await append(bus, 100)
    again, _ = await soon(read_events(gateway, query, token="token-of-viewer", until=second[-1], last_id=last_id))
    again.check("namespace", second)
    await eventually(lambda: not gateway.parts.backplane.sessions, what="who has gone is forgotten")


@pytest.mark.parametrize(
    ("token", "query", "last_id", "status", "slug"),
    [
        ("", "topic=namespace", "", 401, "unauthenticated"),
        ("token-of-nobody", "topic=namespace", "", 403, "forbidden"),
        ("token-of-viewer", "", "", 400, "invalid-request"),
        ("token-of-viewer", "topic=nothing", "", 400, "invalid-parameter"),
        ("token-of-viewer", "topic=namespace&other=1", "", 400, "invalid-parameter"),
        ("token-of-viewer", "topic=namespace&after=x", "", 400, "invalid-parameter"),
        ("token-of-viewer", "topic=namespace&namespace=A.B", "", 400, "invalid-parameter"),
        ("token-of-viewer", "topic=namespace", "1,2", 400, "invalid-parameter"),
        ("token-of-viewer", "topic=namespace", "-1", 400, "invalid-parameter"),
        ("token-of-viewer", "&".join(["topic=workers"] * 21), "", 400, "invalid-parameter"),
        ("token-of-viewer", "topic=workers&topic=namespace&topic=workers", "", 400, "invalid-parameter"),
        ("token-of-viewer", "topic=user&topic=user:viewer", "", 400, "invalid-parameter"),
        ("token-of-stranger", f"topic=namespace&namespace={NAMESPACE}", "", 403, "forbidden"),
    ],
)
async def test_what_cannot_be_sent_is_a_problem(
    gateway: RunningGateway, token: str, query: str, last_id: str, status: int, slug: str
) -> None:
    async with gateway.client(token, **({"Last-Event-ID": last_id} if last_id else {})) as http:
        response = await http.get(f"/api/v1/stream/sse?{query}")
    assert (response.status_code, response.json()["type"].rpartition("/")[2]) == (status, slug)
    await eventually(lambda: not gateway.parts.backplane.sessions)


async def test_streams_are_counted(local: RunningGateway, bus: Bus) -> None:
    async with watch(local) as client, local.client() as http:
        await client.ask("namespace")
        await append(bus, 3)
        await eventually(lambda: len(client.seen.get("namespace", [])) == 3)
        text = (await http.get("/metrics")).text
    assert "jetmill_gateway_stream_clients 1.0" in text
    assert 'jetmill_gateway_stream_events_total{result="delivered"} 3.0' in text
