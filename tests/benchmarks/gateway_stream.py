"""The streams' part of `make bench-gateway`: a thousand sockets that each get every event, on one gateway.

A gateway in a process of its own on a real nats-server; this process publishes at a steady rate and holds the sockets.
Each delivery is counted and timed from the server's own timestamp of the record to the moment its frame was read, and
each socket's sequences are compared with what was published: figures of an incomplete run are refused. Writes
`deliveries_per_second`, `delivery_p99_ms`, `socket_kb` into `build/bench/gateway.json`, beside what others wrote.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import msgspec
import psutil
import uvloop

from benchmarks.gateway_process import GatewayProcess
from factories import make_data, make_job_id
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.interpreter import calm_collector
from support.nats import NatsServer
from support.rawsocket import RawSocket

ROOT = Path(__file__).parents[2]
NAMESPACE = "bench"
_KNOWN_FRAMES = 64


class _Item(msgspec.Struct):
    seq: int
    time: datetime


class _Frame(msgspec.Struct):
    type: str
    items: list[_Item] = []


class Audience:
    """All sockets, and what each of them got: frames are decoded once, for they are the same for all."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Frame] = {}
        self.frames: dict[RawSocket, list[_Frame]] = {}
        self.came: list[tuple[_Frame, int]] = []
        self.subscribed = 0
        self.last_seq: dict[RawSocket, int] = {}
        self.gaps = 0

    def hear(self, socket: RawSocket, text: bytes, now: int) -> None:
        frame = self._known.get(text)
        if frame is None:
            frame = msgspec.json.decode(text, type=_Frame)
            if len(self._known) >= _KNOWN_FRAMES:
                del self._known[next(iter(self._known))]
            self._known[text] = frame
        if frame.type == "events":
            self.frames[socket].append(frame)
            self.came.append((frame, now))
            self.last_seq[socket] = frame.items[-1].seq
        elif frame.type == "subscribed":
            self.subscribed += 1
        elif frame.type == "gap":
            self.gaps += 1

    async def gather(self, url: str, count: int) -> list[RawSocket]:
        """Connect and subscribe."""
        sockets: list[RawSocket] = []
        for start in range(0, count, 50):
            part = await asyncio.gather(*(RawSocket.connect(url, self.hear) for _ in range(min(50, count - start))))
            for socket in part:
                self.frames[socket] = []
                socket.send('{"op":"subscribe","topic":"namespace"}')
            sockets += part
        while self.subscribed < count:
            await asyncio.sleep(0.01)
        return sockets

    def count(self, wanted: list[int]) -> int:
        """Deliveries; SystemExit if a socket lacks anything, or got anything twice."""
        for place, frames in enumerate(self.frames.values()):
            seen = [item.seq for frame in frames for item in frame.items]
            if seen != wanted:
                raise SystemExit(f"socket {place} got {len(seen)} of {len(wanted)}: not the same sequences")
        return len(wanted) * len(self.frames)

    def percentiles(self) -> tuple[float, float]:
        """p50 and p99 of all deliveries, ms, from the server's timestamp on."""
        times = {id(frame): [round(item.time.timestamp() * 1e6) for item in frame.items] for frame, _ in self.came}
        counts: Counter[int] = Counter()
        for frame, now in self.came:
            counts.update((now - sent) // 1000 for sent in times[id(frame)])
        total, passed = sum(counts.values()), 0
        found: list[float] = []
        for latency in sorted(counts):
            passed += counts[latency]
            while len(found) < 2 and passed >= total * (0.5, 0.99)[len(found)]:
                found.append(float(latency + 1))
        return found[0], found[1]


async def publish(bus: Bus, *, rate: int, seconds: float) -> list[int]:
    """Records at a steady rate; their sequences."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    futures: list[asyncio.Future[int]] = []
    while (passed := loop.time() - begun) < seconds:
        due = round(passed * rate) - len(futures)
        futures += [bus.ledger.append(make_job_id(), make_data(by="client:bench"), expected=0) for _ in range(due)]
        await asyncio.sleep(0.005)
    return sorted(await asyncio.gather(*futures))


async def measure(nats: NatsServer, *, sockets: int, rate: int, seconds: float) -> dict[str, float]:
    """One run."""
    bus = await connect(BusOptions(url=nats.url, namespace=NAMESPACE))
    await bus.admin.apply_namespace()
    with GatewayProcess.start(nats.url, namespace=NAMESPACE) as gateway:
        process = psutil.Process(gateway.pid)
        audience = Audience()
        opened = await audience.gather(gateway.stream_url, 1)
        before = process.memory_info().rss
        opened += await audience.gather(gateway.stream_url, sockets - 1)
        idle = process.memory_info().rss
        cpu, begun = sum(process.cpu_times()[:2]), time.monotonic()
        wanted = await publish(bus, rate=rate, seconds=seconds)
        while any(audience.last_seq.get(socket) != wanted[-1] for socket in opened):
            await asyncio.sleep(0.01)
        took = time.monotonic() - begun
        cpu = sum(process.cpu_times()[:2]) - cpu
        loaded = process.memory_info().rss
    deliveries = audience.count(wanted)
    p50, p99 = audience.percentiles()
    await bus.link.close()
    return {
        "sockets": sockets,
        "events_per_second": round(len(wanted) / took, 1),
        "deliveries_per_second": round(deliveries / took),
        "delivery_p50_ms": p50,
        "delivery_p99_ms": p99,
        "socket_kb": round((idle - before) / max(1, sockets - 1) / 1000, 1),
        "loaded_socket_kb": round((loaded - before) / max(1, sockets - 1) / 1000, 1),
        "gateway_cpu": round(cpu / took, 2),
        "gaps": audience.gaps,
    }


def write(figures: dict[str, float]) -> None:
    """Beside what the other part of the benchmark wrote."""
    path = ROOT / "build" / "bench" / "gateway.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**found, **figures}, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    calm_collector()  # a pause of whoever measures is none of the gateway's
    with tempfile.TemporaryDirectory() as folder, NatsServer.start(Path(folder)) as nats:
        figures = uvloop.run(measure(nats, sockets=options.sockets, rate=options.rate, seconds=options.seconds))
    write(figures)
    for name, value in figures.items():
        print(f"{name:24} {value:>12,}")


if __name__ == "__main__":
    main()
