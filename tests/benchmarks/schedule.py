"""How late slots start, and how long it takes to plan many schedules.

`python -m benchmarks.schedule [--slots N] [--schedules N]` prints what it measured on a nats-server of its own that
syncs every write. Lateness is by the server's timestamps: of the record `running`, against the time that the slot was
due.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jetmill import Worker, job
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.ledger.verify import verify
from jetmill.protocol.record import Entry, JobSettings
from jetmill.protocol.state import State
from jetmill_operator.calendar.zone import to_moment
from support.nats import NatsServer
from support.planning import AT_ONCE, build_schedule, plan_once

SECOND = 1_000_000
SCHEDULES = 20
"""For the lateness: each fires every two seconds."""


async def measure_lateness(url: str, slots: int) -> None:
    """Let so many slots fire, and read from the ledger when each of them started."""
    bus = await connect(BusOptions(url=url))
    now = bus.link.now()
    seconds = slots * 2 // SCHEDULES
    end = to_moment(now + (seconds + 10) * SECOND).isoformat()
    begin = to_moment(now + 10 * SECOND).isoformat()
    for number in range(SCHEDULES):
        spec: dict[str, Any] = {"every": "2s", "startAt": begin, "endAt": end}
        await plan_once(bus, build_schedule(number, "noop", created=now, **spec), by="planner:bench")

    @job
    async def noop() -> None:
        pass

    async with Worker(["noop"], url=url, concurrency=100):
        while bus.link.now() < now + (seconds + 12) * SECOND:
            await asyncio.sleep(0.5)
    late, due = list[float](), dict[str, int]()
    async for entries in bus.ledger.follow(until=await bus.ledger.last_seq()):
        for entry in entries:
            note_lateness(entry, due, late)
    late.sort()
    cuts = statistics.quantiles(late, n=100)
    print(
        f"lateness of {len(late)} slots: p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms, most {late[-1]:.0f} ms, "
        f"none early: {late[0] >= 0}"
    )
    report = await verify(bus)
    assert report.clean, report.violations[:3]
    await bus.link.close()


def note_lateness(entry: Entry, due: dict[str, int], late: list[float]) -> None:
    """Remember when a slot is due, and how late (ms) it started."""
    if entry.record.state is State.SCHEDULED:
        due[entry.id] = entry.record.due or 0
    elif entry.record.state is State.RUNNING and entry.id in due:
        late.append((entry.time - due[entry.id]) / 1_000)


async def measure_planning(url: str, count: int) -> None:
    """Plan so many schedules, then once more as after a restart."""
    for title in ("planned", "looked at again after a restart"):
        bus = await connect(BusOptions(url=url))
        bodies = [
            build_schedule(
                number, "noop", created=bus.link.now(), schedule=f"{number % 60} {number % 24} * * *", timeZone="UTC"
            )
            for number in range(1_000, 1_000 + count)
        ]
        begin, computed = time.perf_counter(), time.process_time()
        waiting = iter(bodies)
        await asyncio.gather(*(_plan_all(bus, waiting) for _ in range(AT_ONCE)))
        seconds = time.perf_counter() - begin
        spent = (time.process_time() - computed) / count * 1_000
        print(f"{count} schedules {title} in {seconds:.1f} s ({count / seconds:.0f}/s), {spent:.2f} ms of CPU each")
        await bus.link.close()
    bus = await connect(BusOptions(url=url))
    chains = list[str]()
    async for entries in bus.ledger.follow(until=await bus.ledger.last_seq()):
        chains += [entry.id for entry in entries if entry.record.state is State.SCHEDULED]
    wanted = sum(len(stored.plan.slots) for stored in await bus.ledger.plans() if stored.plan.schedule != "")
    print(f"{len(chains)} slots in the ledger, {len(set(chains))} of them different; the plans name {wanted}")
    await bus.link.close()


async def _plan_all(bus: Bus, bodies: Iterator[dict[str, Any]]) -> None:
    for body in bodies:
        await plan_once(bus, body, by="planner:bench")


async def main(slots: int, schedules: int) -> None:
    """Measure both, each on a server of its own."""
    for measure, count in ((measure_lateness, slots), (measure_planning, schedules)):
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            server = stack.enter_context(NatsServer.start(Path(folder), sync_interval="always"))
            bus = await connect(BusOptions(url=server.url))
            await bus.admin.apply_namespace()
            await bus.admin.apply_job(JobSettings(job="noop", concurrency=100))
            await bus.link.close()
            await measure(server.url, count)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--slots", type=int, default=1_000)
    parser.add_argument("--schedules", type=int, default=10_000)
    given = parser.parse_args()
    asyncio.run(main(given.slots, given.schedules))
