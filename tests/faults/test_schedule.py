"""Schedules while planners are killed, the server is killed, clocks are hours wrong and specs are edited: each slot of
the calendar stands in the ledger exactly once, none early, none twice.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from factories import JOB, make_presence, make_settings
from faults.harness import HANG_SECONDS, ROUNDS, SERVER_ROUNDS, keeping, pause, random_moment
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.errors import BusError
from jetmill.ledger.verify import verify
from jetmill.protocol.plan import make_slot_id
from jetmill.protocol.record import Entry
from jetmill.protocol.state import Reason, State
from jetmill_operator.calendar.zone import to_instant, to_moment
from support.bench import Hand
from support.nats import NatsServer
from support.planning import build_schedule, declare, plan_once, read, start_planner
from support.skew import skew_clock
from support.wait import eventually, soon

SECOND = 1_000_000
PLANNED_AHEAD = 900 * SECOND
SPECS: tuple[dict[str, Any], ...] = (
    {"schedule": "*/2 * * * * *"},
    {"every": "3s"},
    {"schedule": "*/5 * * * * *", "timeZone": "Australia/Lord_Howe"},
    {"every": "2s", "jitterSeconds": 1.5},
)
EDITED: tuple[dict[str, Any], ...] = (
    {"schedule": "*/3 * * * * *"},
    {"every": "3s", "payload": {"n": 2}},
    {"schedule": "*/5 * * * * *", "suspend": True},
    {"every": "2s", "jitterSeconds": 0.5},
)


class Planners:
    """Two at a time, whose clocks are two hours wrong; each is killed now and then, and another takes its place."""

    def __init__(self, url: str, file: Path) -> None:
        self._url = url
        self._file = file
        self._running: list[asyncio.subprocess.Process] = []
        self.born = 0

    async def fill(self) -> None:
        while len(self._running) < 2:
            offset = "+2h" if self.born % 2 else "-2h"
            process = await start_planner(self._url, self._file, **skew_clock(offset))
            assert process.stdout is not None
            shown = datetime.fromisoformat((await soon(process.stdout.readline(), seconds=120)).decode().strip())
            wrong = shown - datetime.now().astimezone()
            assert abs(wrong) > timedelta(hours=1), "its clock was not stepped: this would prove nothing"
            self._running.append(process)
            self.born += 1

    async def kill_one(self) -> None:
        process = self._running.pop(random_moment.randrange(len(self._running)))
        process.kill()
        await process.wait()

    async def close(self) -> None:
        while self._running:
            await self.kill_one()


async def work(bus: Bus, name: str = "worker-1") -> None:
    """A worker that runs whatever comes, until cancelled."""
    hand = Hand(bus, name, lease_seconds=30.0)
    while True:
        with suppress(BusError):
            claim = await hand.claim()
            if claim is not None:
                await hand.settle(claim)


@pytest.mark.timeout(HANG_SECONDS + 20 * SERVER_ROUNDS)
async def test_each_slot_is_in_the_ledger_exactly_once_whatever_dies(server: NatsServer, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        bus = await connect(BusOptions(url=server.url))
        stack.push_async_callback(bus.link.close)
        await bus.admin.apply_namespace()
        await bus.admin.apply_job(make_settings())
        await bus.presence.put(make_presence(jobs=[JOB]), ttl_seconds=1e6)
        begin = bus.link.now() // SECOND * SECOND
        file = tmp_path / "schedules"
        first = [build_schedule(number, JOB, created=begin, **spec) for number, spec in enumerate(SPECS)]
        second = [
            build_schedule(number, JOB, generation=2, created=begin, **spec) for number, spec in enumerate(EDITED)
        ]
        declare(file, first)
        planners = Planners(server.url, file)
        stack.push_async_callback(planners.close)
        worker = asyncio.create_task(work(bus))
        stack.callback(worker.cancel)
        await stack.enter_async_context(keeping(bus))

        await planners.fill()
        for round_ in range(max(4, ROUNDS // 5)):
            await pause(random_moment.uniform(0, 1))
            await planners.kill_one()
            if round_ % max(1, ROUNDS // 5 // SERVER_ROUNDS) == 1:
                server.kill()
                await pause(random_moment.uniform(0, 0.5))
                server.restart(wait=False)
                await eventually(server.info, what="the server")
            if round_ == 2:  # what an edit finds is in force: what was not planned by then never will be
                for body in first:
                    assert await eventually(partial(plan_once, bus, body, by="planner:test"), seconds=120)
                declare(file, second)
            await planners.fill()
        declare(file, second)
        await planners.close()
        for body in second:
            assert await eventually(partial(plan_once, bus, body, by="planner:last"), seconds=120)
        end = bus.link.now() + 3 * SECOND
        await eventually(lambda: bus.link.now() > end + 2 * SECOND, seconds=120)
        for before, after in zip(first, second, strict=True):
            await judge(bus, before, after, begin=begin, end=end)
        report = await verify(bus)
        assert report.clean, report.violations[:5]


async def judge(bus: Bus, before: dict[str, Any], after: dict[str, Any], *, begin: int, end: int) -> None:
    """Hold the ledger against what the calendars of both specs say."""
    uid = after["metadata"]["uid"]
    stored = await bus.ledger.read_plan(uid)
    assert stored is not None
    since = stored.plan.since
    old = set(read(before).calendar.between(begin, end))
    new = set() if stored.plan.suspended else set(read(after).calendar.between(since, end))
    wanted = {time for time in old if time + 2 * SECOND <= since} | {time for time in new if time > since}
    in_force = await find_last_withdrawal(bus, before, since=since)
    unsure = {time for time in old if since < time + 2 * SECOND and time <= in_force}
    """Of the old spec, and due (or their jitter ended) while the edit was put into force: either is right."""
    ran = set()
    for time in sorted(old | new):
        chain: list[Entry] = await eventually(
            partial(settled, bus, uid, time, wanted), seconds=60, what=f"{uid} {to_moment(time)}"
        )
        starts = [entry for entry in chain if entry.record.state is State.RUNNING]
        assert len(starts) <= 1, f"twice: {to_moment(time)}"
        if starts:
            ran.add(time)
            planned = [entry for entry in chain if entry.record.state is State.SCHEDULED][-1]
            assert starts[0].time >= (planned.record.due or 0), "early"
    assert ran - unsure == wanted - unsure, (uid, sorted(map(to_moment, ran ^ wanted)))
    assert to_instant(to_moment(begin)) == begin


async def find_last_withdrawal(bus: Bus, before: dict[str, Any], *, since: int) -> int:
    """When the last slot of an edited spec was withdrawn, which a planner's death can put off; `since` if none was."""
    ahead = read(before).calendar.between(since, since + PLANNED_AHEAD)
    chains = await asyncio.gather(*(bus.ledger.read_chain(make_slot_id(before["metadata"]["uid"], t)) for t in ahead))
    withdrawn = [entry.time for chain in chains for entry in chain if entry.record.reason is Reason.WITHDRAWN]
    return max(withdrawn, default=since)


async def settled(bus: Bus, uid: str, time: int, wanted: set[int]) -> list[Entry] | None:
    """The chain of a slot, once it has ended if it is one that has to run; `[]` where there is none."""
    chain = await bus.ledger.read_chain(make_slot_id(uid, time))
    if time in wanted:
        return chain if chain and chain[-1].record.final else None
    return chain or [Entry("", 0, 0, _NOTHING)]


_NOTHING: Any = type("Nothing", (), {"state": None, "due": None, "final": True})()
