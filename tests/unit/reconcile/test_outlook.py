"""What would be planned and withdrawn of schedules, and nothing done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from factories import JOB
from jetmill.cli.main import app
from jetmill_operator.api.scheduledjob import ScheduledJob
from jetmill_operator.reconcile.outlook import Forecaster
from support.almanac import KEY, NAMESPACE, Almanac

MANIFEST = """\
apiVersion: jetmill.dev/v1alpha1
kind: Job
metadata: {name: report}
spec: {handler: "shop.tasks:report", worker: {image: "shop:1"}}
---
apiVersion: jetmill.dev/v1alpha1
kind: ScheduledJob
metadata: {name: nightly}
spec: {jobRef: {name: report}, schedule: "0 3 * * *"}
"""


@pytest.fixture
async def almanac() -> Almanac:
    almanac = Almanac()
    await almanac.prepare()
    return almanac


def make_schedule(**spec: Any) -> ScheduledJob:
    meta, spec = {"name": KEY.name}, {"jobRef": {"name": JOB}, **spec}
    return ScheduledJob.model_validate(
        {"apiVersion": "jetmill.dev/v1alpha1", "kind": "ScheduledJob", "metadata": meta, "spec": spec}
    )


async def look(almanac: Almanac, **spec: Any) -> str:
    forecaster = Forecaster(NAMESPACE, now=almanac.clock.now, cluster=almanac.cluster, bus=almanac.bus)
    return str(await forecaster.look(make_schedule(**spec), jobs=()))


async def test_a_new_schedule_would_be_planned_ahead(almanac: Almanac) -> None:
    assert await look(almanac, schedule="0 9 * * *") == (
        "ScheduledJob nightly: 4 slots to plan\n"
        "  + slot 2026-03-03T09:00:00Z\n  + slot 2026-03-04T09:00:00Z\n"
        "  + slot 2026-03-05T09:00:00Z\n  + slot 2026-03-06T09:00:00Z\n"
    )
    assert await almanac.bus.ledger.plans() == []


async def test_of_an_edit_what_differs_is_shown_and_nothing_is_written(almanac: Almanac) -> None:
    await almanac.declare(every="5m")
    before, last = await almanac.body(), await almanac.bus.ledger.last_seq()
    assert await look(almanac, every="5m") == "ScheduledJob nightly: nothing to do\n"
    assert await look(almanac, schedule="*/10 * * * *") == (
        "ScheduledJob nightly: 2 slots to plan, 2 slots to withdraw\n"
        "  + slot 2026-03-02T12:30:00Z\n  + slot 2026-03-02T12:40:00Z\n"
        "  - slot 2026-03-02T12:05:00Z\n  - slot 2026-03-02T12:15:00Z\n"
    )
    assert "4 slots to withdraw" in await look(almanac, every="5m", suspend=True)
    assert (await almanac.body(), await almanac.bus.ledger.last_seq()) == (before, last)


async def test_many_slots_are_counted_and_the_first_of_them_shown(almanac: Almanac) -> None:
    said = await look(almanac, every="60s")
    assert said.startswith("ScheduledJob nightly: 20 slots to plan\n  + slot 2026-03-02T12:01:00Z\n")
    assert said.endswith("\n  + … 15 more\n")


async def test_what_cannot_be_obeyed_is_said(almanac: Almanac) -> None:
    assert "schedule at character 3: hour: '25' does not fit" in await look(almanac, schedule="0 25 * * *")
    assert "names Job other, which is not there" in await look(almanac, every="5m", jobRef={"name": "other"})
    await almanac.declare(every="5m")
    assert "jobRef cannot change" in await look(almanac, every="5m", jobRef={"name": "other"})


def test_the_command_shows_schedules_beside_their_jobs(tmp_path: Path) -> None:
    file = tmp_path / "jobs.yaml"
    file.write_text(MANIFEST)
    result = CliRunner().invoke(app, ["plan", "-f", str(file)])
    assert result.exit_code == 0, result.output
    assert "Job report: " in result.stdout
    assert "ScheduledJob nightly: 4 slots to plan (as if nothing were there yet)\n  + slot 2" in result.stdout
