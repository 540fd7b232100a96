"""Ten thousand schedules, planned by two planners at once whose clocks are two hours wrong, everything killed in the
middle: each slot stands in the ledger exactly once, none fires early, none twice. What is right is counted here.
What it takes stands in `docs/performance.md`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from factories import JOB, make_presence, make_settings
from faults.harness import keeping
from faults.test_schedule import SECOND, Planners, work
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.ledger.verify import verify
from jetmill.protocol.plan import StoredPlan
from jetmill.protocol.record import Entry
from jetmill.protocol.state import State
from support.nats import NatsServer
from support.planning import build_schedule, declare
from support.wait import eventually

MANY = int(os.environ.get("JETMILL_SCHEDULES", "10000"))
HOUR = 3_600
FEW = 20
ZONES = {"UTC": 0, "Europe/Berlin": 0, "Asia/Kolkata": 1_800, "Asia/Kathmandu": 900}
"""Whose hours begin how many seconds into one of UTC's."""


def find_second(number: int) -> int:
    """The second of UTC's hours at which a schedule fires: all over the hour."""
    return number * 7 % HOUR


def write_spec(number: int) -> dict[str, Any]:
    zone, shift = list(ZONES.items())[number % len(ZONES)]
    second = (find_second(number) - shift) % HOUR
    return {"schedule": f"{second % 60} {second // 60} * * * *", "timeZone": zone}


async def collect(bus: Bus) -> dict[str, list[Entry]]:
    """The chains of the ledger."""
    chains: dict[str, list[Entry]] = {}
    async for entries in bus.ledger.follow(until=await bus.ledger.last_seq()):
        for entry in entries:
            chains.setdefault(entry.id, []).append(entry)
    return chains


@pytest.mark.soak
@pytest.mark.timeout(1_800)
async def test_ten_thousand_schedules_fire_each_slot_once_though_everything_is_killed(
    server: NatsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with AsyncExitStack() as stack:
        bus = await connect(BusOptions(url=server.url))
        await bus.admin.apply_namespace()
        await bus.admin.apply_job(make_settings())
        await bus.presence.put(make_presence(jobs=[JOB]), ttl_seconds=1e6)
        begin = bus.link.now() // SECOND * SECOND
        file = tmp_path / "schedules"
        declare(file, [build_schedule(number, JOB, created=begin, **write_spec(number)) for number in range(MANY)])
        planners = Planners(server.url, file)
        stack.push_async_callback(planners.close)
        worker = asyncio.create_task(work(bus))

        async def count_complete(wanted: int) -> list[StoredPlan] | None:
            found = await bus.ledger.plans()
            return found if sum(one.plan.complete for one in found) >= wanted else None

        started = time.monotonic()
        await planners.fill()
        await eventually(lambda: count_complete(MANY // 2), seconds=900, every_seconds=1, what="half of the plans")
        await planners.close()
        worker.cancel()
        server.kill()
        server.restart()
        await bus.link.close()
        bus = await connect(BusOptions(url=server.url))
        stack.push_async_callback(bus.link.close)
        await bus.presence.remove("worker-1")
        await bus.presence.put(make_presence("worker-2", jobs=[JOB]), ttl_seconds=1e6)
        await stack.enter_async_context(keeping(bus))
        worker = asyncio.create_task(work(bus, "worker-2"))
        stack.callback(worker.cancel)
        await planners.fill()
        stored = await eventually(lambda: count_complete(MANY), seconds=900, every_seconds=1, what="the plans")
        took = time.monotonic() - started

        end = bus.link.now() + 30 * SECOND
        await eventually(lambda: bus.link.now() > end + 5 * SECOND, seconds=120)
        await planners.close()
        chains = await eventually(lambda: ended(bus, end), seconds=300, every_seconds=1, what="the jobs that were due")
        stored = await bus.ledger.plans()
        fired, late = judge(stored, chains, begin=begin, end=end)
        report = await verify(bus)
        assert report.clean, report.violations[:5]
        with capsys.disabled():
            slots = sum(len(one.plan.slots) for one in stored)
            sys.stdout.write(f"\n{MANY} schedules, {slots} slots, planned in {took:.0f} s\n")
            sys.stdout.write(f"{fired} jobs had started, the latest {late:.1f} s after it was due and planned\n")


async def ended(bus: Bus, end: int) -> dict[str, list[Entry]] | None:
    """The chains of the ledger, once everything that was due has ended."""
    if (await bus.queue.depth(JOB)).ready > FEW:
        return None  # to read it all takes the worker's time
    chains = await collect(bus)
    due = [chain for chain in chains.values() if (chain[0].record.due or 0) <= end]
    return chains if all(chain[-1].record.final for chain in due) else None


def judge(stored: list[StoredPlan], chains: dict[str, list[Entry]], *, begin: int, end: int) -> tuple[int, float]:
    """Hold the ledger against the hours: how many fired, and how late (s) the latest of them was."""
    found: dict[str, list[int]] = {}
    fired, late = 0, 0.0
    for chain in chains.values():
        slot = chain[0].record
        assert slot.state is State.SCHEDULED
        assert slot.due is not None
        assert slot.schedule is not None
        found.setdefault(slot.schedule, []).append(slot.due)
        starts = [entry for entry in chain if entry.record.state is State.RUNNING]
        taken_over = starts[-1].record.crashes if starts else 0
        assert len(starts) - taken_over == 1 or (not starts and slot.due > end), "once if it is due"
        if starts:
            fired += 1
            assert starts[0].time >= slot.due, "early"
            late = max(late, (starts[0].time - max(slot.due, chain[0].time)) / SECOND)
    assert len(stored) == MANY
    for one in stored:
        second = find_second(int(one.plan.schedule.removeprefix("schedule-")))
        first = (begin // SECOND - second) // HOUR + 1
        last = (one.plan.until // SECOND - second) // HOUR
        wanted = [(hour * HOUR + second) * SECOND for hour in range(first, last + 1)]
        assert sorted(found.pop(one.plan.schedule)) == wanted, one.plan.schedule
    assert found == {}
    return fired, late
