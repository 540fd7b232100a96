"""The HTTP client, and what can go wrong between it and a gateway: logging in, gateways that come and go, and none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from jetmill.errors import BusError, ConfigError, DisconnectedError, InputError, NoAnswerError, PermissionDeniedError
from jetmill.http import HttpClient, HttpSettings
from jetmill.http.settings import settings_from_env
from support.gateway import NAMESPACE, RunningGateway, serve
from support.nats import NatsServer, find_free_port
from support.wait import eventually, soon

pytestmark = pytest.mark.integration


async def test_it_acts_as_whoever_the_token_is_of(gateway: RunningGateway, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("token-of-viewer\n")
    async with HttpClient(HttpSettings(url=gateway.url, token_file=str(file))) as client:
        with pytest.raises(PermissionDeniedError, match="viewer may not create jobs/runs"):
            await client.enqueue("mail", {})
        file.write_text("token-of-editor\n")  # replaced, as a kubelet does
        handle = await client.enqueue("mail", {"n": 1})
        assert (await client.status(handle.id)).user == "editor"
        with pytest.raises(PermissionDeniedError):
            await client.payload(handle.id)
        with pytest.raises(InputError, match="knows who you are"):
            await client.enqueue("mail", {}, user="root")
        await client.cancel(handle.id)
    async with HttpClient(HttpSettings(url=gateway.url, token="garbage")) as stranger:
        with pytest.raises(PermissionDeniedError):
            await stranger.workers()


async def test_who_is_held_back_waits_as_long_as_he_is_told(nats: NatsServer) -> None:
    async with (
        serve(nats.url, None, rate_per_second=20.0, rate_burst=2) as gateway,
        HttpClient(HttpSettings(url=gateway.url, namespace=NAMESPACE, patience_seconds=30)) as client,
    ):
        assert len(await asyncio.gather(*(client.stats() for _ in range(6)))) == 6


async def test_a_gateway_that_is_not_there_yet_is_waited_for_and_one_that_never_comes_is_said(nats: NatsServer) -> None:
    port = find_free_port()
    async with HttpClient(HttpSettings(url=f"http://127.0.0.1:{port}", namespace=NAMESPACE)) as client:
        waiting = asyncio.create_task(client.stats())
        async with serve(nats.url, None, port=port):
            assert await soon(waiting)
    async with HttpClient(HttpSettings(url=f"http://127.0.0.1:{port}", patience_seconds=0.2)) as client:
        with pytest.raises(DisconnectedError):
            await client.stats()


async def test_a_stream_outlives_its_gateway(nats: NatsServer) -> None:
    port = find_free_port()
    settings = HttpSettings(url=f"http://127.0.0.1:{port}", namespace=NAMESPACE)
    async with HttpClient(settings) as client:
        seen: list[str] = []

        async def follow() -> None:
            async for one in client.stream(start=1, job="mail"):
                seen.append(f"{one.id} {one.state}")  # noqa: PERF401 - it is looked at meanwhile

        async with serve(nats.url, None, port=port):
            first = await client.enqueue("mail", {})
            following = asyncio.create_task(follow())
            await eventually(lambda: f"{first.id} queued" in seen)
        async with serve(nats.url, None, port=port):
            second = await client.enqueue("mail", {})
            await eventually(lambda: f"{second.id} queued" in seen)
            assert len(seen) == len(set(seen)), "nothing comes twice"
            for handle in (first, second):
                await client.cancel(handle.id)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_a_subscription_outlives_its_gateway_and_ends_with_its_client(nats: NatsServer) -> None:
    port, heard = find_free_port(), list[int]()
    settings = HttpSettings(url=f"http://127.0.0.1:{port}", namespace=NAMESPACE, patience_seconds=30)
    async with HttpClient(settings) as client:
        async with serve(nats.url, None, port=port):
            subscription = await client.subscribe("leaf.*", lambda event: heard.append(event.data))
            await client.publish("leaf.made", 1)
            await eventually(lambda: heard == [1])
        async with serve(nats.url, None, port=port):
            await client.publish("leaf.made", 2)
            await eventually(lambda: (heard, subscription.handled) == ([1, 2], 2))
    async with serve(nats.url, None, port=port), HttpClient(settings) as another:
        await another.publish("leaf.made", 3)
        async with await another.subscribe("leaf.*", lambda event: heard.append(event.data), start="all"):
            await eventually(lambda: heard == [1, 2, 1, 2, 3], what="what the closed client would have heard twice")


async def test_a_durable_subscription_is_refused_with_what_to_use_instead() -> None:
    async with HttpClient(HttpSettings(url="http://127.0.0.1:1")) as client:
        with pytest.raises(InputError, match="durable") as caught:
            await client.subscribe("doc.*", print, durable="mails")
    assert "Webhook" in caught.value.cure


async def test_what_is_no_gateway_is_said() -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, HttpClient(HttpSettings(url=f"http://127.0.0.1:{port}", patience_seconds=0.1)) as client:
        with pytest.raises(NoAnswerError, match="no gateway"):
            await client.stats()


async def test_nats_away_is_an_error_of_the_bus(tmp_path: Path) -> None:
    with NatsServer.start(tmp_path) as own:
        async with (
            serve(own.url, None) as gateway,
            HttpClient(HttpSettings(url=gateway.url, namespace=NAMESPACE, patience_seconds=0.5)) as client,
        ):
            own.kill()
            with pytest.raises(BusError):
                await client.status("x")


def test_settings_say_all_that_is_wrong_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        HttpSettings(url="nats://x", namespace="A B", token="x", token_file="/no/such/file")
    for part in ("url", "namespace", "more than one way", "/no/such/file"):
        assert part in str(caught.value)
    given = settings_from_env({"JETMILL_GATEWAY_URL": "https://jobs.example", "JETMILL_NAMESPACE": "shop"}, token="t")
    assert (given.url, given.namespace, given.token) == ("https://jobs.example", "shop", "t")
    assert "'t'" not in repr(given)


def test_importing_jetmill_loads_no_http() -> None:
    code = "import sys, jetmill, jetmill.client.client; assert 'httpx' not in sys.modules; jetmill.HttpClient"
    subprocess.run([sys.executable, "-c", code], check=True)
