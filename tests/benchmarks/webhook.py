"""`make bench-webhook`: how fast events become requests, by a dispatcher in a process of its own.

One nats-server (`sync_interval: always`, as one that stands alone must), one dispatcher, one receiver that answers at
once, all on this machine. First a flood: so many events as fast as they are taken, from the first publish to the last
request. Then a steady stream: the time from an event's publish to its arrival, all that Jetmill adds, and on which part
of the way it was spent, by when the server stored the event, the delivery and its claim. Requests are not signed, for
there is no cluster to read a Secret from; a signature takes 10 µs. What the disk takes for a sync, measured just
before, says what can be expected. Prints the figures and writes build/bench/webhook.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import msgspec
import psutil

from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.protocol.event import parse_pattern
from jetmill.protocol.identity import id_from_key
from jetmill.protocol.record import JobSettings
from jetmill.protocol.state import State
from support.dispatch import make_webhook
from support.dispatcher import DispatcherProcess
from support.nats import NatsServer
from support.wait import eventually

ROOT = Path(__file__).parents[2]
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
UID = "u"
STAGES = ("publish", "route", "claim", "send", "settle")
"""Until the event, the delivery and its claim are stored, the request has come, and its outcome is stored."""


class Sink(asyncio.Protocol):
    """Answers every request at once, and notes when it came."""

    def __init__(self, arrived: dict[str, float]) -> None:
        self._arrived = arrived
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, rest = self._buffer.partition(b"\r\n\r\n")
            fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
            named = {name.lower(): value for name, value in fields.items()}
            length = int(named[b"content-length"])
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            self._arrived.setdefault(named[b"ce-id"].decode(), time.perf_counter())
            assert self._transport is not None
            self._transport.write(ANSWER)


async def publish(bus: Bus, event_id: str) -> None:
    event = {"specversion": "1.0", "id": event_id, "source": "/shop", "type": "order.paid", "data": {"amount": 700}}
    await bus.events.publish("order.paid", msgspec.json.encode(event), event_id=event_id)


async def flood(bus: Bus, arrived: dict[str, float], count: int, *, name: str) -> float:
    """Deliveries a second."""
    arrived.clear()
    began = time.perf_counter()
    for start in range(0, count, 500):
        await asyncio.gather(*(publish(bus, f"{name}-{number}") for number in range(start, min(start + 500, count))))
    await eventually(lambda: len(arrived) >= count, seconds=600, every_seconds=0.05)
    return count / (max(arrived.values()) - began)


async def stream(bus: Bus, arrived: dict[str, float], *, rate: float, seconds: float) -> dict[str, list[float]]:
    """The seconds from publish to arrival (`all`), and those of each part of the way, sorted."""
    first_event, first_record = await bus.events.last_seq() + 1, await bus.ledger.last_seq() + 1
    published: dict[str, float] = {}
    loop, count = asyncio.get_running_loop(), int(rate * seconds)
    began = loop.time()
    tasks = []
    for number in range(count):
        due = began + number / rate
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
        published[f"stream-{number}"] = time.perf_counter()
        tasks.append(asyncio.create_task(publish(bus, f"stream-{number}")))
    await asyncio.gather(*tasks)
    await eventually(lambda: published.keys() <= arrived.keys(), seconds=120, every_seconds=0.05)
    offset = time.time() - time.perf_counter()  # the server's clock is this machine's
    stored = await read_events(bus, first_event, count)
    ledger = await read_ledger(bus, first_record, count)
    ways = {"all": [(moment, arrived[key]) for key, moment in published.items()]}
    for key, moment in published.items():
        job = ledger[id_from_key("webhook", UID, "/shop", key)]
        came, marks = arrived[key] + offset, [job[state] for state in (State.QUEUED, State.RUNNING, State.SUCCEEDED)]
        steps = [moment + offset, stored[key], *marks[:2], came, marks[2]]
        for name, way in zip(STAGES, pairwise(steps), strict=True):
            ways.setdefault(name, []).append(way)
    return {name: sorted(end - begin for begin, end in pairs) for name, pairs in ways.items()}


async def read_events(bus: Bus, start: int, count: int) -> dict[str, float]:
    """When each of the next `count` events was stored, by its id; seconds since the epoch."""
    times: dict[str, float] = {}
    async with aclosing(bus.events.follow(start=start, pattern=parse_pattern("order.paid"))) as lists:  # type: ignore[type-var]
        async for messages in lists:
            times |= {msgspec.json.decode(one.data)["id"]: one.time / 1e6 for one in messages}
            if len(times) >= count:
                return times
    raise AssertionError("the events ended")


async def read_ledger(bus: Bus, start: int, count: int) -> dict[str, dict[State, float]]:
    """When each job of the next `count` came to each of its states, by its id; once all have ended."""
    times: dict[str, dict[State, float]] = {}
    ended = 0
    async with aclosing(bus.ledger.follow(start=start)) as lists:  # type: ignore[type-var]
        async for entries in lists:
            for entry in entries:
                job = times.setdefault(entry.id, {})
                job[entry.record.state] = entry.time / 1e6
                ended += entry.record.final and State.QUEUED in job
            if ended >= count:
                return times
    raise AssertionError("the ledger ended")


def time_syncs(file: Path, *, count: int = 1_000) -> list[float]:
    """The seconds of each of so many writes of 600 bytes that are synced one after another, sorted."""
    seconds = []
    with file.open("ab", buffering=0) as disk:
        for _ in range(count):
            began = time.perf_counter()
            disk.write(b"x" * 600)
            os.fsync(disk.fileno())
            seconds.append(time.perf_counter() - began)
    return sorted(seconds)


async def measure(given: argparse.Namespace) -> dict[str, float]:
    count, rate, seconds = given.count, given.rate, given.seconds
    sync = "always" if given.sync == "always" else None
    with tempfile.TemporaryDirectory() as folder, NatsServer.start(Path(folder), sync_interval=sync) as server:
        bus = await connect(BusOptions(url=server.url, namespace="shop"))
        await bus.admin.apply_namespace()
        syncs = time_syncs(Path(folder) / "sync")
        arrived: dict[str, float] = {}
        sink = await asyncio.get_running_loop().create_server(lambda: Sink(arrived), "127.0.0.1", 0)
        webhook = make_webhook(f"http://127.0.0.1:{sink.sockets[0].getsockname()[1]}/", secret=None)
        slots = given.concurrency
        settings = JobSettings(job="wh--orders", uid=UID, concurrency=slots, executor="async", webhook=webhook)
        await bus.admin.apply_job(settings)
        environ = {
            "JETMILL_NATS_URL": server.url,
            "JETMILL_DISPATCH_SCHEMES": "http",
            "JETMILL_DISPATCH_PORTS": "*",
            "JETMILL_DISPATCH_ALLOW": "127.0.0.0/8",
        }
        with DispatcherProcess.start(Path(folder), environ) as process:
            await process.says("worker_started")
            await flood(bus, arrived, 500, name="warm")
            pids = {"dispatcher": process.pid, "server": server.pid, "publisher_and_receiver": os.getpid()}
            before = {name: _cpu_seconds(pid) for name, pid in pids.items()}
            per_second = await flood(bus, arrived, count, name="flood")
            spent = {name: _cpu_seconds(pid) - before[name] for name, pid in pids.items()}
            before = {name: _cpu_seconds(pid) for name, pid in pids.items()}
            ways = await stream(bus, arrived, rate=rate, seconds=seconds)
            busy = {name: _cpu_seconds(pid) - before[name] for name, pid in pids.items()}
        sink.close()
        await bus.link.close()
    return {
        "deliveries": count,
        "deliveries_per_second": round(per_second),
        "cpu_ms_per_delivery": round(spent["dispatcher"] / count * 1000, 2),
        **{f"cpu_ms_of_{name}": round(spent[name] / count * 1000, 2) for name in ("server", "publisher_and_receiver")},
        "sync_p50_ms": _at(syncs, 0.5, digits=2),
        "sync_p99_ms": _at(syncs, 0.99, digits=2),
        "stream_per_second": rate,
        "p50_ms": _at(ways["all"], 0.5),
        "p99_ms": _at(ways["all"], 0.99),
        "max_ms": _at(ways["all"], 1),
        **{f"{name}_p{round(part * 100)}_ms": _at(ways[name], part) for name in STAGES for part in (0.5, 0.99)},
        **{f"stream_cores_of_{name}": round(used / seconds, 2) for name, used in busy.items()},
    }


def _at(seconds: list[float], part: float, *, digits: int = 1) -> float:
    """Milliseconds."""
    return round(seconds[int(len(seconds) * part) - 1] * 1000, digits)


def _cpu_seconds(pid: int) -> float:
    """What a process has computed so far: on a machine that does other things as well, the figure that stands."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--concurrency", type=int, default=200, help="of the Webhook")
    parser.add_argument("--sync", choices=["always", "default"], default="always", help="when nats-server syncs")
    given = parser.parse_args()
    figures = asyncio.run(measure(given))
    path = ROOT / "build/bench/webhook.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n")
    for name, value in figures.items():
        print(f"{name:32} {value:g}")


if __name__ == "__main__":
    main()
