"""`jetmill gateway` as a process: it begins, serves and ends in order."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from support.nats import NatsServer
from support.wait import PROCESS_SECONDS, eventually, soon

COMMAND = (sys.executable, "-m", "jetmill", "gateway")


class Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[dict[str, Any]] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.lines.append(json.loads(line) if line.startswith(b"{") else {"msg": line.decode()})

    def said(self, name: str) -> dict[str, Any] | None:
        return next((line for line in self.lines if line["msg"] == name), None)

    async def url(self) -> str:
        line = await eventually(
            lambda: self.said("gateway_started"), seconds=PROCESS_SECONDS, what="the gateway to listen"
        )
        return f"http://127.0.0.1:{line['port']}"

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        return await self.wait()

    async def wait(self) -> int:
        status = await soon(self._process.wait(), seconds=PROCESS_SECONDS)
        await soon(self._reading)
        return status


@asynccontextmanager
async def start(url: str, *flags: str) -> AsyncIterator[Process]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("JETMILL_", "KUBE"))}
    environ |= {"JETMILL_NATS_URL": url, "JETMILL_LOG_FORMAT": "json", "JETMILL_GATEWAY_PORT": "0"}
    process = Process(
        await asyncio.create_subprocess_exec(*COMMAND, *flags, env=environ, stderr=asyncio.subprocess.PIPE)
    )
    try:
        yield process
    finally:
        await process.end(signal.SIGKILL)


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=60.0) as client:
        return await client.get(url)


async def test_it_serves_until_it_is_told_to_stop(nats: NatsServer) -> None:
    async with start(nats.url, "--auth=none", "-n", "shop") as process:
        url = await process.url()

        async def is_ready() -> bool:
            return (await get(f"{url}/readyz")).status_code == 200

        await eventually(is_ready, seconds=PROCESS_SECONDS, what="the gateway to be ready")
        body = (await get(f"{url}/api/v1/server")).json()
        assert (body["namespaces"], body["auth"], body["connected"]) == (["shop"], "none", True)
        assert await process.end() == 0
        assert process.said("gateway_stopped") is not None


async def test_it_lives_before_nats_does_and_serves_when_it_comes(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    try:
        async with start(server.url, "--auth=none") as process:
            url = await process.url()
            assert (await get(f"{url}/livez")).status_code == 200
            assert (await get(f"{url}/readyz")).status_code == 503
            early = await get(f"{url}/api/v1/queues")
            assert (early.status_code, early.json()["type"].rsplit("/", 1)[-1]) == (503, "bus-unavailable")
            with pytest.raises(InvalidStatus) as refused:
                async with connect(f"{url.replace('http', 'ws')}/api/v1/stream", proxy=None):
                    pass
            response = refused.value.response
            assert (response.status_code, response.reason_phrase) == (503, "Service Unavailable")
            assert response.headers["content-type"] == "application/problem+json"
            assert json.loads(response.body or b"{}")["type"].endswith("/bus-unavailable")
            server.restart()

            async def is_ready() -> bool:
                return (await get(f"{url}/readyz")).status_code == 200

            await eventually(is_ready, seconds=PROCESS_SECONDS, what="the gateway to be ready")
            assert (await get(f"{url}/api/v1/server")).json()["connected"]
            assert await process.end(signal.SIGINT) == 0
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--auth=none", "--host=0.0.0.0"), "loopback only"),
        (("--auth=basic",), "is not kubernetes or none"),
        (("--auth=none", "--namespace=Shop"), "is no namespace"),
    ],
)
async def test_what_cannot_be_meant_ends_it_before_it_listens(
    nats: NatsServer, flags: tuple[str, ...], said: str
) -> None:
    async with start(nats.url, *flags) as process:
        assert await process.wait() == 2
    assert re.search(said, " ".join(str(line["msg"]) for line in process.lines))


async def test_a_port_that_is_taken_is_said(nats: NatsServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with start(nats.url, "--auth=none", f"--port={port}") as process:
            assert await process.wait() == 1
            assert process.said("gateway_failed") is not None
