"""`make bench-event`: how fast one process publishes events, and how fast a dispatcher makes jobs of them.

One nats-server (`sync_interval: always`, as one that stands alone must; `--sync default` for the other). Publishing is
`Client.publish`, so many at once, beside nats-py's `JetStreamContext.publish` of the same bytes with as many at once: a
floor that checks nothing and makes no ids. Both take turns, and the medians count. Then as many events, all of
which a trigger with a filter takes, are published to one dispatcher: from the first publish to the last job's record.
CPU is what the process itself has computed for one event, which other work on the machine does not change. Prints
the figures and writes build/bench/event.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import psutil

from factories import make_settings
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.protocol.event import Event, encode_event
from jetmill.protocol.record import TriggerSettings
from support.dispatcher import DispatcherProcess
from support.nats import NatsServer

ROOT = Path(__file__).parents[2]
DATA = {"order": 7, "amount": 700, "lines": [{"sku": "a-1", "count": 2}]}
AT_ONCE = 64
Publish = Callable[[int], Awaitable[Any]]


async def flood(publish: Publish, count: int) -> tuple[float, float]:
    """Events a second, and this process's milliseconds of CPU for each."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await publish(number)

    began, computed = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    took, spent = time.perf_counter() - began, time.process_time() - computed
    return count / took, spent / count * 1_000


async def measure_publish(server: NatsServer, bus: Bus, *, count: int, rounds: int) -> dict[str, float]:
    client = Client(bus=bus)
    connection = await nats.connect(server.url)
    jetstream = connection.jetstream()
    subject = bus.subjects.event("order.viewed")
    data = encode_event(Event(id="0" * 36, type="order.viewed", source="/jetmill/shop", data=DATA))
    contestants: dict[str, Publish] = {
        "publish": lambda _: client.publish("order.viewed", DATA),
        "nats_py": lambda _: jetstream.publish(subject, data, headers={"Content-Type": "application/json"}),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for publish in contestants.values():
        await flood(publish, 500)
    for _ in range(rounds):
        for name, publish in contestants.items():
            found[name].append(await flood(publish, count))
    await connection.close()
    figures: dict[str, float] = {}
    for name, some in found.items():
        figures[f"{name}_per_second"] = round(statistics.median(rate for rate, _ in some))
        figures[f"{name}_cpu_ms"] = round(statistics.median(cpu for _, cpu in some), 3)
    return figures


async def measure_trigger(server: NatsServer, bus: Bus, folder: Path, *, count: int) -> dict[str, float]:
    trigger = TriggerSettings(event="order.placed", expression="event.data.amount > 100", payload="data")
    await bus.admin.apply_job(make_settings("check-fraud", triggers=[trigger]))
    client = Client(bus=bus)
    with DispatcherProcess.start(folder, {"JETMILL_NATS_URL": server.url}) as process:
        await process.says("namespace_opened")
        await _flood_and_wait(client, bus, 500)
        before = _cpu_seconds(process.pid)
        took = await _flood_and_wait(client, bus, count)
        spent = _cpu_seconds(process.pid) - before
    return {"triggered_per_second": round(count / took), "dispatcher_cpu_ms": round(spent / count * 1_000, 3)}


async def _flood_and_wait(client: Client, bus: Bus, count: int) -> float:
    """The seconds from the first publish until the ledger has a job for each."""
    following = bus.ledger.follow(start=await bus.ledger.last_seq() + 1)
    began = time.perf_counter()
    flooding = asyncio.create_task(flood(lambda _: client.publish("order.placed", DATA), count))
    jobs: set[str] = set()
    async for entries in following:
        jobs |= {entry.id for entry in entries}
        if len(jobs) >= count:
            break
    took = time.perf_counter() - began
    await flooding
    return took


def _cpu_seconds(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


async def measure(count: int, rounds: int, sync: str | None) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name, NatsServer.start(Path(name), sync_interval=sync) as server:
        bus = await connect(BusOptions(url=server.url, namespace="shop"))
        await bus.admin.apply_namespace()
        figures = await measure_publish(server, bus, count=count, rounds=rounds)
        figures |= await measure_trigger(server, bus, Path(name), count=count)
        await bus.link.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sync", choices=["always", "default"], default="always")
    given = parser.parse_args()
    sync = "always" if given.sync == "always" else None
    figures = asyncio.run(measure(given.count, given.rounds, sync))
    path = ROOT / "build/bench/event.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n")
    for name, value in figures.items():
        print(f"{name:24} {value:g}")


if __name__ == "__main__":
    main()
