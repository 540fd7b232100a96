"""Who asks: tokens, sessions, tickets; pages of other sites; how often; and an API server that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx
import pytest
import structlog
from litestar import WebSocket, websocket
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill_operator.gateway.access.identity import Identity
from jetmill_operator.gateway.access.rate import Limiter
from jetmill_operator.gateway.access.right import WATCH
from jetmill_operator.gateway.web.credential import CSRF_COOKIE, SESSION_COOKIE
from jetmill_operator.gateway.web.guard import STREAM, caller_of
from jetmill_operator.gateway.web.problem import BASE
from support.gateway import RunningGateway, TableReviewer, serve
from support.nats import NatsServer
from support.wait import eventually

JOBS = "/api/v1/jobs"


def slug_of(response: httpx.Response) -> str:
    return str(response.json()["type"]).removeprefix(BASE)


class Page:
    """A page of ours in a browser: it has cookies, and says where it comes from."""

    def __init__(self, gateway: RunningGateway, response: httpx.Response) -> None:
        self.cookies = "; ".join(f"{name}={value}" for name, value in response.cookies.items())
        self.csrf = response.json()["csrfToken"]
        self._gateway = gateway

    async def ask(self, method: str, path: str, *, csrf: str | None = None, **headers: str) -> httpx.Response:
        given = {"Cookie": self.cookies, "Sec-Fetch-Site": "same-origin"}
        if csrf is not None:
            given["X-CSRF-Token"] = csrf
        async with self._gateway.client(**(given | headers)) as client:
            return await client.request(method, path)


async def log_in(gateway: RunningGateway, user: str = "editor") -> Page:
    async with gateway.client() as client:
        response = await client.post("/api/v1/session", json={"token": f"token-of-{user}"})
    assert response.status_code == 201, response.text
    return Page(gateway, response)


async def test_a_session_stands_for_the_token_and_its_cookie_is_no_scripts(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        response = await client.post("/api/v1/session", json={"token": "token-of-viewer"})
    cookies = {one.split("=", 1)[0]: one for one in response.headers.get_list("set-cookie")}
    assert cookies.keys() == {SESSION_COOKIE, CSRF_COOKIE}
    for cookie in cookies.values():
        for part in ("Secure", "SameSite=strict", "Path=/"):
            assert part in cookie
        assert "Domain" not in cookie
    assert "HttpOnly" in cookies[SESSION_COOKIE]
    assert "token-of-viewer" not in str(cookies)
    page = Page(gateway, response)
    assert (await page.ask("GET", "/api/v1/access")).json()["user"] == "viewer"


async def test_what_changes_something_needs_the_sessions_own_text(gateway: RunningGateway, sdk: Client) -> None:
    page, other = await log_in(gateway), await log_in(gateway, "admin")
    path = f"{JOBS}/{(await sdk.enqueue('mail')).id}/cancel"
    for csrf in (None, "", "garbage", other.csrf):
        assert slug_of(await page.ask("POST", path, csrf=csrf)) == "foreign-origin"
    assert (await page.ask("POST", path, csrf=page.csrf)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "null"},
    ],
)
async def test_a_page_of_another_site_changes_nothing(
    gateway: RunningGateway, sdk: Client, headers: dict[str, str]
) -> None:
    page, handle = await log_in(gateway), await sdk.enqueue("mail")
    response = await page.ask("POST", f"{JOBS}/{handle.id}/cancel", csrf=page.csrf, **headers)
    assert slug_of(response) == "foreign-origin"
    assert (await sdk.status(handle.id)).state == "queued"


async def test_who_logs_out_is_out(gateway: RunningGateway) -> None:
    page = await log_in(gateway)
    response = await page.ask("DELETE", "/api/v1/session", csrf=page.csrf)
    assert response.status_code == 204
    assert all("Max-Age=0" in cookie for cookie in response.headers.get_list("set-cookie"))
    assert (await page.ask("GET", "/api/v1/access")).status_code == 401


async def test_a_session_holds_on_every_gateway_that_has_the_key(
    nats: NatsServer, bus: Bus, reviewer: TableReviewer, tmp_path: Any
) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"k" * 48)
    async with (
        serve(nats.url, reviewer, key_file=str(key)) as first,
        serve(nats.url, reviewer, key_file=str(key)) as second,
        serve(nats.url, reviewer) as stranger,
    ):
        page = await log_in(first)
        for gateway, status in ((second, 200), (stranger, 401)):
            async with gateway.client(Cookie=page.cookies) as client:
                assert (await client.get("/api/v1/access")).status_code == status


@websocket("/api/v1/echo", opt={"right": WATCH, STREAM: True})
async def echo(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.send_text(caller_of(socket).identity.name)
    await socket.close()


@pytest.fixture
async def streaming(nats: NatsServer, bus: Bus, reviewer: TableReviewer) -> AsyncIterator[RunningGateway]:
    async with serve(nats.url, reviewer, more=[echo]) as running:
        yield running


async def hear(gateway: RunningGateway, query: str = "", **headers: str) -> str:
    address = gateway.url.replace("http", "ws") + "/api/v1/echo" + query
    async with connect(address, additional_headers=headers, proxy=None) as socket:
        return str(await socket.recv())


async def refuse(gateway: RunningGateway, query: str = "", **headers: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await hear(gateway, query, **headers)
    assert caught.value.response.status_code in (401, 403)
    assert caught.value.response.headers["content-type"] == "application/problem+json"


async def test_a_ticket_opens_one_stream_once_and_grants_nothing(streaming: RunningGateway) -> None:
    async with streaming.client("token-of-viewer") as client:
        ticket = (await client.post("/api/v1/stream/tickets")).json()["ticket"]
        other = (await client.post("/api/v1/stream/tickets")).json()["ticket"]
    async with streaming.client("token-of-nobody") as client:
        worthless = (await client.post("/api/v1/stream/tickets")).json()["ticket"]
    await refuse(streaming, f"?ticket={worthless}")
    await refuse(streaming, f"?ticket={other}&namespace=office")
    assert await hear(streaming, f"?ticket={ticket}") == "viewer"
    await refuse(streaming, f"?ticket={ticket}")
    await refuse(streaming, "?ticket=garbage")


async def test_a_stream_takes_a_token_by_header_query_or_subprotocol_and_a_session_from_our_page_only(
    streaming: RunningGateway,
) -> None:
    page = await log_in(streaming)
    host = streaming.url
    assert await hear(streaming, Authorization="Bearer token-of-viewer") == "viewer"
    assert await hear(streaming, "?token=token-of-viewer") == "viewer"
    assert await hear(streaming, Cookie=page.cookies, Origin=host) == "editor"
    await refuse(streaming, Cookie=page.cookies, Origin="https://evil.example")
    await refuse(streaming, "?token=garbage")
    await refuse(streaming, Authorization="Bearer token-of-nobody")
    await refuse(streaming)


async def test_a_token_in_the_query_opens_streams_alone(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        assert (await client.get("/api/v1/access?token=token-of-viewer")).status_code == 401


async def test_while_the_api_server_is_away_nobody_is_told_that_a_token_is_bad(
    gateway: RunningGateway, reviewer: TableReviewer
) -> None:
    async with gateway.client("token-of-viewer") as known, gateway.client("token-of-editor") as fresh:
        assert (await known.get(f"{JOBS}/x")).status_code == 404
        reviewer.away = True
        assert (await known.get(f"{JOBS}/x")).status_code == 404  # what was answered just now still counts
        response = await fresh.get(f"{JOBS}/x")
        assert (response.status_code, slug_of(response)) == (503, "access-unavailable")
        assert int(response.headers["retry-after"]) >= 1
        # a right that nobody knows yet is not granted either
        assert (await known.post(f"{JOBS}/x/cancel")).status_code == 503
        reviewer.away = False
        assert (await fresh.get(f"{JOBS}/x")).status_code == 404


async def test_many_at_once_ask_the_api_server_once(gateway: RunningGateway, reviewer: TableReviewer) -> None:
    async with gateway.client("token-of-viewer") as client:
        await asyncio.gather(*(client.get(f"{JOBS}/x") for _ in range(40)))
    assert sorted(reviewer.asked) == ["token", "viewer get jobs/runs"]


async def test_who_asks_too_often_is_told_when_to_come_back(
    nats: NatsServer, bus: Bus, reviewer: TableReviewer
) -> None:
    async with serve(nats.url, reviewer, rate_per_second=0.01, rate_burst=5) as gateway:
        async with gateway.client("token-of-viewer") as client:
            answers = [await client.get(f"{JOBS}/x") for _ in range(6)]
        assert [one.status_code for one in answers] == [404] * 5 + [429]
        assert [one.headers["ratelimit-remaining"] for one in answers] == ["4", "3", "2", "1", "0", "0"]
        assert int(answers[-1].headers["retry-after"]) > 1
        async with gateway.client("token-of-editor") as client:
            assert (await client.get(f"{JOBS}/x")).status_code == 404


async def test_who_guesses_tokens_is_stopped(gateway: RunningGateway, reviewer: TableReviewer) -> None:
    gateway.parts.failures = Limiter(per_second=0.001, burst=10)
    statuses = []
    for number in range(15):
        async with gateway.client(f"guess-{number}") as client:
            statuses.append((await client.get(f"{JOBS}/x")).status_code)
    assert statuses == [401] * 10 + [429] * 5
    assert len(reviewer.asked) == 10


async def test_each_change_is_in_the_audit_log_and_no_secret_is(gateway: RunningGateway, sdk: Client) -> None:
    handle = await sdk.enqueue("mail")
    with structlog.testing.capture_logs() as lines:
        async with gateway.client("token-of-viewer") as client:
            await client.post(f"{JOBS}/{handle.id}/cancel")
        async with gateway.client("token-of-editor") as client:
            await client.post(f"{JOBS}/{handle.id}/cancel")
            await client.get(f"{JOBS}/{handle.id}?namespace=shop")
            await client.post(JOBS, json={"job": "mail", "payload": {"password": "hunter2"}})
        async with gateway.client() as client:
            await client.post("/api/v1/session", json={"token": "token-of-editor"})
    audit = [line for line in lines if line["event"] == "audit"]
    assert [(one["user"], one["right"], one["decision"], one["status"]) for one in audit[:3]] == [
        ("viewer", "create jobs/cancel", "denied", 403),
        ("editor", "create jobs/cancel", "allowed", 200),
        ("editor", "create jobs/runs", "allowed", 201),
    ]
    assert audit[0]["job_id"] == handle.id
    for secret in ("hunter2", "token-of", "namespace=shop", "Bearer"):
        assert secret not in str(lines)


async def test_a_gateway_that_asks_nobody_is_for_this_machine_alone(local: RunningGateway, sdk: Client) -> None:
    path = f"{JOBS}/{(await sdk.enqueue('mail')).id}"
    async with local.client() as client:
        assert (await client.get(path)).status_code == 200
        rebound = await client.get(path, headers={"Host": "evil.example:8420"})
        foreign = await client.post(f"{path}/cancel", headers={"Origin": "https://evil.example"})
        assert [slug_of(one) for one in (rebound, foreign)] == ["foreign-origin"] * 2
        assert (await client.post(f"{path}/cancel")).status_code == 200


async def test_only_namespaces_in_which_one_sees_something_are_told(
    gateway: RunningGateway, reviewer: TableReviewer
) -> None:
    reviewer.allow("worker-watcher", "list jobs/workers", namespace="office")
    reviewer.tokens["token-of-worker-watcher"] = Identity(name="worker-watcher")
    told = {}
    for user in ("viewer", "stranger", "worker-watcher", "admin", "nobody", "mailer"):
        async with gateway.client(f"token-of-{user}") as client:
            body = (await client.get("/api/v1/server")).json()
        told[user] = (body["namespaces"], body.get("defaultNamespace"))
    assert told == {
        "viewer": (["shop"], "shop"),
        "stranger": (["office"], None),
        "worker-watcher": (["office"], None),
        "admin": (["shop", "office"], "shop"),
        "nobody": ([], None),
        "mailer": ([], None),
    }


async def test_every_answer_keeps_pages_safe_and_can_be_told_apart(gateway: RunningGateway) -> None:
    async with gateway.client("token-of-viewer", **{"X-Request-Id": "from-the-proxy-1"}) as client:
        for path in ("/livez", "/nowhere", f"{JOBS}/x", "/api/v1/docs", "/api/v1/server"):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["x-request-id"] == "from-the-proxy-1"
            assert "access-control-allow-origin" not in headers
            assert "server" not in headers


async def _is_unready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 503


async def test_without_nats_it_lives_and_is_not_ready(nats: NatsServer, reviewer: TableReviewer, tmp_path: Any) -> None:
    with NatsServer.start(tmp_path) as own:
        async with serve(own.url, reviewer) as gateway, gateway.client("token-of-viewer") as client:
            assert (await client.get("/readyz")).status_code == 200
            own.kill()
            await eventually(partial(_is_unready, client), what="the gateway to notice")
            assert (await client.get("/livez")).status_code == 200
            assert "nats" in (await client.get("/readyz")).text
            response = await client.get(f"{JOBS}/x")
            assert (response.status_code, slug_of(response)) == (503, "bus-unavailable")
            assert "jetmill_nats_connected 0.0" in (await client.get("/metrics")).text


async def test_strangers_who_fail_lock_out_nobody_who_is_known(gateway: RunningGateway) -> None:
    gateway.parts.failures = Limiter(per_second=0.001, burst=10)
    async with gateway.client("token-of-viewer") as viewer, gateway.client("") as stranger:
        assert (await viewer.get("/api/v1/access")).status_code == 200
        statuses = [
            (await stranger.get("/api/v1/access", headers={"Authorization": f"Bearer guess-{number}"})).status_code
            for number in range(60)
        ]
        assert set(statuses) == {401, 429}
        assert (await viewer.get("/api/v1/access")).status_code == 200
