"""`jetmill dev` obeys ScheduledJobs: they fire, follow an edit, and go with their file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.ledger.verify import verify
from jetmill.protocol.plan import Plan, make_slot_id
from jetmill.protocol.record import Entry
from jetmill.protocol.state import State
from support.dev import Dev, declare
from support.wait import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

TASKS = """
from jetmill import JobContext, job

@job
async def note(path: str, ctx: JobContext) -> str:
    assert ctx.slot is not None
    with open(path, "a") as file:
        print(ctx.slot.isoformat(), file=file)
    return ctx.slot.isoformat()
"""
HEAD = "apiVersion: jetmill.dev/v1alpha1\nkind: ScheduledJob\nmetadata: {name: tick}\n"


def schedule(folder: Path, when: str, more: str = "") -> str:
    payload = f"  payload: {{path: {folder / 'noted'}}}\n"
    return f"{HEAD}spec:\n  jobRef: {{name: note}}\n  {when}\n{payload}{more}"


@pytest.fixture
def yard(folder: Path) -> Path:
    (folder / "tasks.py").write_text((folder / "tasks.py").read_text() + TASKS)
    (folder / "note.yaml").write_text(declare("note", "tasks:note"))
    (folder / "tick.yaml").write_text(schedule(folder, "every: 1s"))
    return folder


@pytest.fixture
async def reach() -> AsyncIterator[Callable[[str], Awaitable[Bus]]]:
    buses: list[Bus] = []

    async def reach(url: str) -> Bus:
        buses.append(await connect(BusOptions(url=url)))
        return buses[-1]

    yield reach
    for bus in buses:
        await bus.link.close()


async def find_plan(bus: Bus) -> tuple[str, Plan]:
    stored = await bus.ledger.plans()
    [one] = [one for one in stored if not one.plan.suspended]
    return one.uid, one.plan


async def test_a_schedule_fires_follows_an_edit_and_goes_with_its_file(start, reach, yard: Path) -> None:
    dev: Dev = await start()
    bus = await reach(await dev.ready())
    noted = yard / "noted"
    await eventually(lambda: noted.exists() and len(noted.read_text().splitlines()) >= 2, seconds=120)

    async def is_complete() -> tuple[str, Plan] | None:
        found = await find_plan(bus)
        return found if found[1].complete else None  # it is carried on just now, otherwise

    uid, plan = await eventually(is_complete)
    ahead = [slot for slot in plan.slots if slot.time > bus.link.now()]
    assert ahead[-1].time >= bus.link.now() + 800_000_000, "fifteen minutes ahead"

    (yard / "tick.yaml").write_text(schedule(yard, 'schedule: "0 9 * * *"'))

    async def is_edited() -> bool:
        return (await find_plan(bus))[1].expression == "0 9 * * *" and (await find_plan(bus))[1].complete

    await eventually(is_edited, seconds=120)
    far = await bus.ledger.read(make_slot_id(uid, ahead[-1].time))
    assert far is not None
    assert (far.record.state, far.record.reason) == (State.CANCELLED, "withdrawn")

    uid, plan = await find_plan(bus)
    (yard / "tick.yaml").unlink()
    await eventually(lambda: is_withdrawn(bus, uid, plan), seconds=120)
    slots = noted.read_text().splitlines()
    assert len(set(slots)) == len(slots), "none twice"
    assert (await verify(bus)).clean


async def is_withdrawn(bus: Bus, uid: str, plan: Plan) -> bool:
    found: list[Entry | None] = [await bus.ledger.read(make_slot_id(uid, slot.time)) for slot in plan.slots]
    return all(one is not None and one.record.reason == "withdrawn" for one in found)


NIGHTLY = """
from jetmill import Schedule

@job(schedule=Schedule("0 3 * * *", time_zone="Europe/Berlin"))
async def nightly() -> None: ...
"""


async def test_a_schedule_in_code_is_declared_follows_the_code_and_goes_with_it(start, reach, folder: Path) -> None:
    code = (folder / "tasks.py").read_text()
    (folder / "nightly.yaml").write_text(declare("nightly", "tasks:nightly"))
    (folder / "tasks.py").write_text(code + NIGHTLY.replace("(schedule", "(name='nightly') #", 1))
    dev: Dev = await start()
    bus = await reach(await dev.ready())
    assert await bus.ledger.plans() == []

    (folder / "tasks.py").write_text(code + NIGHTLY)

    async def is_planned(expression: str) -> bool:
        plans = [one.plan for one in await bus.ledger.plans()]
        return [(one.schedule, one.job, one.expression, one.complete) for one in plans] == [
            ("nightly", "nightly", expression, True)
        ]

    await eventually(lambda: is_planned("0 3 * * *"), seconds=120)
    uid, plan = await find_plan(bus)
    assert plan.time_zone == "Europe/Berlin"

    (folder / "tasks.py").write_text(code + NIGHTLY.replace("0 3", "0 4"))
    await eventually(lambda: is_planned("0 4 * * *"), seconds=120)
    assert await is_withdrawn(bus, uid, plan)

    edited = (await find_plan(bus))[1]
    (folder / "tasks.py").write_text(code + "what is this\n")
    await dev.says(r"nightly\.yaml:\d+: spec\.handler: importing 'tasks' raised")
    assert await is_planned("0 4 * * *"), "code that cannot be read says nothing"

    (folder / "tasks.py").write_text(code + NIGHTLY.replace("(schedule", "(name='nightly') #", 1))
    await eventually(lambda: is_withdrawn(bus, uid, edited), seconds=120)
    assert (await verify(bus)).clean


async def test_a_schedule_that_cannot_be_understood_is_said_with_its_line_and_character(start, yard: Path) -> None:
    (yard / "tick.yaml").write_text(schedule(yard, 'schedule: "0 25 * * *"'))
    dev: Dev = await start()
    said = await dev.says(r"tick\.yaml:\d+: spec\.schedule: (.*)")
    assert said[0].startswith("tick.yaml:6: spec.schedule: hour: '25' does not fit (character 3)")
