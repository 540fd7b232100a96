"""Planners as processes: `python -m support.planning URL FILE` plans what a file declares, again and again.

The file holds ScheduledJobs as the API server gives them, one JSON object a line; it is replaced to edit them. What a
line says is planned by the very code of the operator; only the watch and the status are left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.errors import BusError
from jetmill.ledger.planning import Planner
from jetmill_operator.calendar.zone import to_moment
from jetmill_operator.policy.worker import Problem
from jetmill_operator.resources.schedule import Declared, build_plan, choose_none, make_choice, read_schedule

AT_ONCE = 16
"""As the operator does."""
TESTS = Path(__file__).resolve().parents[1]


def build_schedule(number: int, job: str, *, generation: int = 1, created: int, **spec: Any) -> dict[str, Any]:
    """A ScheduledJob as it is stored; `created` is µs."""
    return {
        "apiVersion": "jetmill.dev/v1alpha1",
        "kind": "ScheduledJob",
        "metadata": {
            "name": f"schedule-{number}",
            "namespace": "default",
            "uid": f"0f0e6c3c-0000-4000-8000-{number:012d}",
            "generation": generation,
            "creationTimestamp": to_moment(created).isoformat(),
        },
        "spec": {"jobRef": {"name": job}, **spec},
    }


def declare(file: Path, bodies: Iterable[dict[str, Any]]) -> None:
    """Replace what the planners read."""
    new = file.with_suffix(".new")
    new.write_text("".join(json.dumps(body) + "\n" for body in bodies))
    new.rename(file)


def read(body: dict[str, Any]) -> Declared:
    """Understand one."""
    found = read_schedule(body)
    assert not isinstance(found, Problem), found
    return found


async def plan_once(bus: Bus, body: dict[str, Any], *, by: str) -> bool:
    """Make one pass over a schedule; tell whether it is in force as it is."""
    declared = read(body)
    wanted = build_plan(body, declared, declared.job, now=bus.link.now())
    uid = body["metadata"]["uid"]
    choose = choose_none if wanted.suspended else make_choice(declared, uid)
    passed = await Planner(bus, by=by).plan(uid, wanted, choose)
    return passed.stored is not None and passed.stored.plan.complete


async def main(url: str, file: Path) -> None:
    """Plan until killed; what fails is tried again at the next turn."""
    bus = await connect(BusOptions(url=url))
    by = f"planner:{os.getpid()}"
    print(datetime.now().astimezone().isoformat(), flush=True)  # noqa: T201 - its clock, for the test to see
    room = asyncio.Semaphore(AT_ONCE)

    async def plan(line: str) -> None:
        async with room:
            try:
                await plan_once(bus, json.loads(line), by=by)
            except BusError:
                await asyncio.sleep(0.1)

    while True:
        async with asyncio.TaskGroup() as group:
            for line in await asyncio.to_thread(_read_lines, file):
                group.create_task(plan(line))
        await asyncio.sleep(0.05)


def _read_lines(file: Path) -> list[str]:
    return file.read_text().splitlines()


async def start_planner(url: str, file: Path, **environ: str) -> asyncio.subprocess.Process:
    """Start one; its first line is what its clock shows."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "support.planning",
        url,
        str(file),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(TESTS), **environ},
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
