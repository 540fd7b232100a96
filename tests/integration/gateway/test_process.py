"""The gateway as a process: probes, metrics, its end, and what it refuses to start with."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from jetmill.errors import ConfigError
from jetmill_operator.gateway.server import Gateway
from support.gateway import Stand, make_gateway_settings, open_stand
from support.nats import NatsServer, find_free_port
from support.wait import eventually

pytestmark = pytest.mark.integration


async def test_it_is_live_ready_and_counted(stand: Stand) -> None:
    await stand.http.get("server")
    for path in ("/livez", "/readyz"):
        answer = await stand.http.get(stand.gateway.url + path)
        assert (answer.status_code, answer.text) == (200, "ok\n")
    metrics = (await stand.http.get(stand.gateway.url + "/metrics")).text
    assert 'jetmill_gateway_requests_total{method="GET",route="/api/v1/server",status="200"} 1.0' in metrics


async def test_without_nats_it_is_live_but_not_ready_and_says_so_to_whoever_asks(tmp_path: Path) -> None:
    with NatsServer.start(tmp_path) as server:
        async with open_stand(server.url, f"g-{secrets.token_hex(6)}") as stand:
            server.kill()

            async def is_away() -> bool:
                return (await stand.http.get(stand.gateway.url + "/readyz")).status_code == 503

            await eventually(is_away)
            assert (await stand.http.get(stand.gateway.url + "/livez")).status_code == 200
            assert (await stand.http.get("server")).json()["connected"] is False
            answer = await stand.http.get("jobs/a")
            assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (503, "bus-unavailable")
            assert answer.headers["retry-after"]
            server.restart()


async def test_a_port_that_is_taken_is_said(nats_server: NatsServer, stand: Stand) -> None:
    taken = make_gateway_settings(nats_server.url, stand.namespace, port=int(stand.gateway.url.rpartition(":")[2]))
    with pytest.raises(ConfigError, match="cannot listen on"):
        await Gateway(taken).run(signals=False)


def test_the_command_serves_until_it_is_told_to_stop(nats_server: NatsServer) -> None:
    port = find_free_port()
    environ = {**os.environ, "JETMILL_NATS_URL": nats_server.url, "JETMILL_LOG_FORMAT": "json"}
    arguments = [sys.executable, "-m", "jetmill", "gateway", "--auth", "none", "--port", str(port)]
    with subprocess.Popen(arguments, env=environ, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if b"gateway_started" in line:
                break
        answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/server?token=secret", trust_env=False)
        assert answer.status_code == 400
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(timeout=30) == 0
        assert b"gateway_stopped" in rest
        assert b"secret" not in rest


def test_letting_everybody_in_is_for_loopback_only(nats_server: NatsServer) -> None:
    environ = {**os.environ, "JETMILL_NATS_URL": nats_server.url}
    arguments = [sys.executable, "-m", "jetmill", "gateway", "--auth", "none", "--host", "0.0.0.0"]
    ended = subprocess.run(arguments, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "loopback" in ended.stderr
