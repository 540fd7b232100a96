"""Schedules that handlers say of themselves, beside manifests: which of them counts, and `jetmill schedule export`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from jetmill.cli.main import app
from jetmill_operator.api.scheduledjob import ScheduledJob
from jetmill_operator.dev.handler import take_handlers
from jetmill_operator.dev.manifest import Manifests, read_manifests
from support.dev import declare

pytestmark = pytest.mark.integration

CODE = """\
from jetmill import Schedule, job

@job(schedule="@daily")
def report() -> None: ...

@job(schedule=Schedule(every="90s", payload={"to": "ada"}, concurrency_policy="Forbid"))
def often(to: str) -> None: ...

@job
def plain() -> None: ...
"""
MANIFEST = """\
apiVersion: jetmill.dev/v1alpha1
kind: ScheduledJob
metadata: {name: NAME}
spec: {jobRef: {name: NAME}, every: 7s}
"""
JOBS = {"report": "report", "twice": "report", "plain": "plain", "often": "often"}


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "handlers.py").write_text(CODE)
    jobs = [declare(name, f"handlers:{handler}") for name, handler in JOBS.items()]
    jobs[-1] = jobs[-1].replace("{name: often}", "{name: often, namespace: shop}")
    (tmp_path / "jobs.yaml").write_text("---\n".join(jobs))
    return tmp_path


async def read(folder: Path) -> Manifests:
    manifests = read_manifests(folder)
    await take_handlers(manifests, folder)
    return manifests


async def test_each_job_whose_handler_says_a_schedule_has_one_of_its_name(code: Path) -> None:
    manifests = await read(code)
    assert manifests.faults == []
    found = {name: one for (_, name), one in manifests.objects.items()}
    assert sorted(found) == ["often", "report", "twice"]
    assert (found["often"].document.file, found["often"].line) == (Path("handlers.py"), 6)
    assert found["often"].document.value == {
        "apiVersion": "jetmill.dev/v1alpha1",
        "kind": "ScheduledJob",
        "metadata": {"name": "often", "namespace": "shop", "labels": {"jetmill.dev/managed": "code"}},
        "spec": {
            "jobRef": {"name": "often"},
            "every": "90s",
            "payload": {"to": "ada"},
            "concurrencyPolicy": "Forbid",
        },
    }


async def test_what_a_person_declares_counts_and_it_is_said(code: Path) -> None:
    (code / "mine.yaml").write_text(MANIFEST.replace("NAME", "report"))
    manifests = await read(code)
    model = manifests.objects["ScheduledJob", "report"].model
    assert isinstance(model, ScheduledJob)
    assert model.spec.every == "7s"
    assert [str(one) for one in manifests.notes] == [
        "mine.yaml:1: note: ScheduledJob report counts, not what its handler says (handlers.py:3)"
    ]


def test_what_was_exported_gives_way_to_the_code(code: Path) -> None:
    exported = CliRunner().invoke(app, ["schedule", "export", str(code)])
    assert exported.exit_code == 0
    (code / "schedules.yaml").write_text(exported.stdout)
    assert [one["metadata"]["name"] for one in yaml.safe_load_all(exported.stdout)] == ["often", "report", "twice"]
    (code / "handlers.py").write_text(CODE.replace("@daily", "@weekly").replace("every=", "cron=").replace("90s", "5"))
    manifests = asyncio.run(read(code))
    model = manifests.objects["ScheduledJob", "report"].model
    assert isinstance(model, ScheduledJob)
    assert model.spec.schedule == "@weekly"
    assert ("ScheduledJob", "often") not in manifests.objects, "it cannot be understood any more"
    (code / "handlers.py").write_text(CODE.replace('(schedule="@daily")', ""))
    exported = CliRunner().invoke(app, ["schedule", "export"])
    assert [one["metadata"]["name"] for one in yaml.safe_load_all(exported.stdout)] == ["often"]


def test_a_schedule_in_code_that_cannot_be_understood_is_said_with_its_line(code: Path) -> None:
    (code / "handlers.py").write_text(CODE.replace("@daily", "0 25 * * *").replace("Forbid", "forbid"))
    result = CliRunner().invoke(app, ["schedule", "export", str(code)])
    assert result.exit_code == 2
    assert result.stdout == ""
    said = result.stderr.splitlines()
    assert said[0].startswith("handlers.py:3: spec.schedule: hour: '25' does not fit (character 3)")
    assert any(line.startswith("handlers.py:6: spec.concurrencyPolicy: ") for line in said)


async def test_a_handler_that_cannot_be_imported_takes_no_schedule_away(code: Path) -> None:
    (code / "handlers.py").write_text("import nothing_of_the_kind\n")
    manifests = await read(code)
    assert {("ScheduledJob", name) for name in ("report", "often", "twice")} <= manifests.faulty_objects
