"""The nats-server of dev: on the data it had, on the port it had, and never there without dev."""

from __future__ import annotations

import asyncio
import signal
import sys

import psutil
import pytest

from jetmill.bus.connect import BusOptions, connect
from jetmill.errors import ConfigError, PermissionDeniedError
from jetmill_operator.dev.lock import take_folder, take_store
from jetmill_operator.dev.server import HOST, DevServer, is_free
from jetmill_operator.dev.tether import build_command
from support.dev import is_gone
from support.nats import find_free_port
from support.wait import PROCESS_SECONDS, eventually, soon

pytestmark = pytest.mark.integration


@pytest.fixture
async def start(tmp_path):
    servers = []

    async def start(port: int = 0) -> DevServer:
        server = DevServer(tmp_path, port=port)
        servers.append(server)
        await server.start()
        return server

    yield start
    for server in servers:
        await server.stop()


async def is_served(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_it_comes_back_on_the_same_port_and_leaves_nothing_running(start):
    first = await start()
    assert await is_served(first.port)
    await first.stop()
    assert not await is_served(first.port)
    second = await start()
    assert second.port == first.port
    assert second.process.pid != first.process.pid


async def test_a_port_that_was_asked_for_and_is_taken_is_an_error_with_its_cure(start):
    first = await start()
    with pytest.raises(ConfigError, match=f"port {first.port} is taken"):
        await DevServer(first.data / "..", port=first.port).start()


async def test_a_port_that_was_used_last_time_and_is_taken_now_is_replaced(start, tmp_path):
    first = await start()
    other = tmp_path / "other"
    other.mkdir()
    (other / "port").write_text(str(first.port))
    second = DevServer(other)
    await second.start()
    try:
        assert second.port != first.port
    finally:
        await second.stop()


async def test_who_does_not_know_the_token_is_refused(start):
    server = await start()
    for url in (f"nats://{HOST}:{server.port}", f"nats://{'0' * 32}@{HOST}:{server.port}"):
        with pytest.raises(PermissionDeniedError) as refused:
            await connect(BusOptions(url=url))
        assert "0" * 32 not in str(refused.value)
    bus = await connect(BusOptions(url=server.url))
    await bus.link.close()


async def test_the_token_stays_and_only_its_owner_may_read_it(start, tmp_path):
    (tmp_path / "nats.conf").touch(0o644)
    first = await start()
    url = first.url
    await first.stop()
    second = await start()
    assert second.url == url
    for name in ("token", "nats.conf"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert first.token in (tmp_path / "nats.conf").read_text()


async def test_every_write_is_synced(start):
    server = await start()
    assert "sync_interval: always" in (server.data / "nats.conf").read_text()


async def test_a_store_that_a_server_still_closes_is_waited_for(start, tmp_path):
    server = await start()
    with pytest.raises(ConfigError, match="still holds"):
        await take_store(tmp_path, seconds=0.1)
    waiting = asyncio.create_task(take_store(tmp_path))
    await server.stop()
    (await soon(waiting)).close()


def test_only_one_dev_works_on_a_data_folder(tmp_path):
    import os

    lock = take_folder(tmp_path)
    with pytest.raises(ConfigError, match=rf"another jetmill dev \(process {os.getpid()}\) works on"):
        take_folder(tmp_path)
    lock.close()
    take_folder(tmp_path).close()


async def test_what_is_no_nats_configuration_is_said_with_the_server_s_own_words(tmp_path):
    (tmp_path / "store").write_text("a file where a folder should be")
    with pytest.raises(ConfigError, match="nats-server ended with status 1"):
        await DevServer(tmp_path).start()


def test_a_free_port_is_told_from_one_that_is_taken():
    import socket

    port = find_free_port()
    with socket.create_server((HOST, port)):
        assert not is_free(port)
    assert is_free(port)


PARENT = """
import asyncio, signal, sys
from jetmill_operator.dev import tether
if sys.argv[1] == "pipe":
    tether_source = open(tether.__file__).read().replace('sys.platform == "linux"', "False")
    exec_name = sys.argv[2] + "/piped.py"
    open(exec_name, "w").write(tether_source)
    tether.__file__ = exec_name
async def main():
    command = tether.build_command([sys.executable, "-c", "import time; time.sleep(600)"], sign=signal.SIGKILL)
    child = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    print(child.pid, flush=True)
    await child.wait()
asyncio.run(main())
"""


@pytest.mark.parametrize("way", ["kernel", "pipe"])
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has both ways; elsewhere dev uses the pipe")
async def test_what_is_tethered_dies_with_its_parent_even_by_sigkill(tmp_path, way):
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, way, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = psutil.Process(int(await soon(parent.stdout.readline(), seconds=PROCESS_SECONDS)))
    try:
        await eventually(
            lambda: "time.sleep(600)" in " ".join(child.cmdline()), seconds=PROCESS_SECONDS, what="the program itself"
        )
        parent.kill()
        await parent.wait()
        await eventually(lambda: is_gone(child))
    finally:
        if not is_gone(child):
            child.kill()


async def test_a_tether_to_a_parent_that_is_gone_already_ends_at_once():
    command = build_command([sys.executable, "-c", "import time; time.sleep(600)"], sign=signal.SIGTERM)
    command[command.index("-S") + 3] = "1"  # not our process id
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
    assert await soon(process.wait(), seconds=PROCESS_SECONDS) == 128 + signal.SIGTERM
