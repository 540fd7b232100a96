"""`jetmill dispatcher` as a process: it begins, works and ends in order."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from support.dispatcher import DispatcherProcess
from support.nats import NatsServer
from support.wait import eventually

pytestmark = pytest.mark.integration


async def test_it_is_ready_once_nats_is_there_and_ends_when_it_is_told_to(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)
    try:
        with DispatcherProcess.start(tmp_path, {"JETMILL_NATS_URL": server.url}) as process:
            await process.says("dispatcher_started")
            assert (process.get("/livez"), process.get("/readyz")) == (200, 503)
            server.restart()
            await process.says("namespace_opened")
            await eventually(lambda: process.get("/readyz") == 200, what="to be ready")
            assert process.measure("jetmill_dispatcher_namespaces") == 1
            assert process.measure("jetmill_nats_connected") == 1
            process.send(signal.SIGTERM)
            assert await process.wait() == 0
            assert process.find("dispatcher_stopped") is not None
    finally:
        server.kill()


async def test_settings_that_cannot_be_meant_end_it_before_it_begins(tmp_path: Path) -> None:
    environ = {"JETMILL_NATS_URL": "nats://127.0.0.1:1", "JETMILL_DISPATCH_ALLOW": "everything"}
    with DispatcherProcess.start(tmp_path, environ) as process:
        assert await process.wait() == 2
        assert "'everything' is no network" in process.log
