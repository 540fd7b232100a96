"""Workers with handlers of events are killed at any moment: each event is handled all the same, at least once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from jetmill.bus.connect import BusOptions, connect
from jetmill.client.client import Client
from support.nats import NatsServer
from support.wait import eventually

pytestmark = [pytest.mark.faults, pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]
EVENTS = 120
MODULE = """
import os, time
from jetmill import Event, on

@on("order.*", name="orders", concurrency=4)
def take(event: Event) -> None:
    time.sleep(0.05)
    with open(os.environ["HANDLED"], "a") as file:
        file.write(f"{event.data['n']}\\n")
"""


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    with NatsServer.start(tmp_path) as server:
        bus = await connect(BusOptions(url=server.url, namespace="shop"))
        await bus.admin.apply_namespace()
        (tmp_path / "url").write_text(server.url)
        yield Client(bus=bus)
        await bus.link.close()


@contextmanager
def worker(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("JETMILL_")}
    environ |= {
        "JETMILL_NATS_URL": (folder / "url").read_text(),
        "JETMILL_NAMESPACE": "shop",
        "JETMILL_HEALTH_PORT": "0",
        "HANDLED": str(folder / "handled"),
    }
    with (folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jetmill", "worker", "--import", "handlers"],
            cwd=folder, env=environ, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()


async def test_no_event_is_missed_when_those_who_handle_it_are_killed(client: Client, tmp_path: Path) -> None:
    (tmp_path / "handlers.py").write_text(MODULE)
    handled = tmp_path / "handled"
    handled.touch()

    def count() -> int:
        return len(set(handled.read_text().split()))

    for number in range(EVENTS):
        await client.publish("order.placed", {"n": number})
    with ExitStack() as stack:
        for until in (20, 50):
            victim = stack.enter_context(worker(tmp_path))
            wanted = until + random.randrange(10)
            await eventually(lambda wanted=wanted: count() >= wanted, seconds=120, what="some to be handled")  # type: ignore[misc]
            victim.kill()
        stack.enter_context(worker(tmp_path))
        await eventually(lambda: count() == EVENTS, seconds=120, every_seconds=0.2, what="all to be handled")
    [info] = await client.events.subscriptions()
    assert info.waiting == 0
    assert await client.events.dead() == []
