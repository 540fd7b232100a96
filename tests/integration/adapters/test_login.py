"""Every way to reach a server and to log in: the whole round trip, and again after the server was restarted."""

from __future__ import annotations

import secrets
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from factories import JOB, make_settings
from jetmill.bus.connect import BusOptions
from jetmill.bus.connect import connect as bus_connect
from jetmill.client.client import Client
from jetmill.client.declaration import Registry
from jetmill.client.settings import ClientSettings
from jetmill.errors import BusError, ConfigError, PermissionDeniedError
from jetmill.protocol.state import State
from support.identity import Certificates, Operator, make_nkey, public
from support.nats import NatsServer, find_free_port
from support.taker import Taker
from support.wait import eventually

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float':DeprecationWarning"),  # nats-py's own call
]

Place = tuple[NatsServer, dict[str, Any]]
"""A server, and the settings of a client that may use it."""


@contextmanager
def by_tls(folder: Path) -> Iterator[Place]:
    made = Certificates.make(folder)
    with NatsServer.start(folder, config=made.config()) as server:
        yield server, {"url": server.url.replace("nats:", "tls:"), "tls_ca": str(made.ca)}


@contextmanager
def by_websocket(folder: Path) -> Iterator[Place]:
    port = find_free_port()
    with NatsServer.start(folder, config=f'websocket {{listen: "127.0.0.1:{port}", no_tls: true}}') as server:
        yield server, {"url": f"ws://127.0.0.1:{port}"}


@contextmanager
def by_secure_websocket(folder: Path) -> Iterator[Place]:
    made, port = Certificates.make(folder), find_free_port()
    config = f'websocket {{listen: "127.0.0.1:{port}", {made.config()}}}'
    with NatsServer.start(folder, config=config) as server:
        yield server, {"url": f"wss://127.0.0.1:{port}", "tls_ca": str(made.ca)}


@contextmanager
def by_nkey(folder: Path) -> Iterator[Place]:
    pair = make_nkey()
    seed = folder / "user.nk"
    seed.write_bytes(pair.seed)
    with NatsServer.start(folder, config=f"authorization {{users: [{{nkey: {public(pair)}}}]}}") as server:
        yield server, {"url": server.url, "nkey_seed": str(seed)}


@contextmanager
def by_credentials(folder: Path) -> Iterator[Place]:
    operator = Operator()
    with NatsServer.start(folder, config=operator.config()) as server:
        yield server, {"url": server.url, "credentials": str(operator.write_credentials(folder / "ada.creds"))}


@contextmanager
def by_token(folder: Path) -> Iterator[Place]:
    with NatsServer.start(folder, config='authorization {token: "s3cret"}') as server:
        yield server, {"url": server.url, "token": "s3cret"}


@contextmanager
def by_password_in_the_url(folder: Path) -> Iterator[Place]:
    config = 'authorization {users: [{user: "ada", password: "s3cret"}]}'
    with NatsServer.start(folder, config=config) as server:
        yield server, {"url": server.url.replace("//", "//ada:s3cret@")}


WAYS = [
    by_tls,
    by_websocket,
    by_secure_websocket,
    by_nkey,
    by_credentials,
    by_token,
    by_password_in_the_url,
]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with request.param(tmp_path) as place:
        yield place


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Any]]:
    namespace = f"t-{secrets.token_hex(6)}"
    async with AsyncExitStack() as stack:

        async def connect(**settings: Any) -> Client:
            client = Client(ClientSettings(namespace=namespace, **settings), registry=Registry())
            return await stack.enter_async_context(client)

        yield connect


async def test_a_job_is_enqueued_read_and_delivered_also_after_a_restart(place: Place, connect: Any) -> None:
    server, settings = place
    client = await connect(**settings)
    bus = await client.connect()
    await bus.admin.apply_namespace()
    await bus.admin.apply_job(make_settings(lease_seconds=3))
    first = await client.enqueue(JOB, {"to": "ada"})
    taker = Taker(bus, want=10)  # the first may come twice
    assert (await taker.next()).id == first.id
    server.kill()
    await eventually(lambda: not bus.link.connected)
    server.restart()
    await eventually(lambda: bus.link.connected)
    second = await client.enqueue(JOB, {"to": "bob"})
    await eventually(lambda: second.id in taker.ids)
    other = await connect(**settings)
    status = await other.status(first.id)
    assert (status.state, status.payload) == (State.QUEUED, {"to": "ada"})


@pytest.mark.parametrize("way", [by_nkey, by_credentials, by_token, by_password_in_the_url])
async def test_who_logs_in_as_somebody_else_is_refused(way: Any, tmp_path: Path, connect: Any) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for folder in (mine, other):
        folder.mkdir()
    with way(mine) as (server, settings), way(other) as (_, strange):
        wrong = {**strange, "url": server.url}
        if "token" in settings:
            wrong["token"] = "wrong"
        with pytest.raises(PermissionDeniedError) as refused:
            await connect(**wrong)
        assert "s3cret" not in str(refused.value)


async def test_a_server_of_another_ca_is_not_trusted(tmp_path: Path, connect: Any) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    stranger = Certificates.make(folder)
    with by_tls(tmp_path) as (_, settings), pytest.raises(BusError, match="certificate verify failed"):
        await connect(**{**settings, "tls_ca": str(stranger.ca)})
    assert ssl.create_default_context(cafile=str(stranger.ca)).verify_mode is ssl.CERT_REQUIRED


FRESH = """
import asyncio, sys
from jetmill.bus.connect import BusOptions, connect
async def main():
    for url in sys.argv[1:]:
        bus = await connect(BusOptions(url))
        assert bus.link.connected
        await bus.link.close()
asyncio.run(main())
"""


def test_a_websocket_works_after_a_plain_connection_that_did_without_its_library(tmp_path: Path) -> None:
    with by_websocket(tmp_path) as (server, settings):
        done = subprocess.run(
            [sys.executable, "-c", FRESH, server.url, settings["url"], server.url],
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("library", "options", "cure"),
    [
        ("aiohttp", {"url": "ws://127.0.0.1:1"}, "jetmill[websocket]"),
        ("nkeys", {"url": "nats://127.0.0.1:1", "nkey_seed": "seed.nk"}, "jetmill[nkeys]"),
        ("nkeys", {"url": "nats://127.0.0.1:1", "credentials": "ada.creds"}, "jetmill[nkeys]"),
    ],
)
async def test_a_library_that_is_missing_is_named_with_the_extra_that_has_it(
    monkeypatch: pytest.MonkeyPatch, library: str, options: dict[str, str], cure: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError) as missing:
        await bus_connect(BusOptions(**options))
    assert library in missing.value.message
    assert cure in missing.value.cure
