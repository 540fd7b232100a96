"""Handlers are looked for in a process of its own, so nothing that their modules do can end dev."""

from __future__ import annotations

import pytest

from jetmill_operator.dev.handler import look_at, take_handlers
from jetmill_operator.dev.manifest import read_manifests

pytestmark = pytest.mark.integration

CODE = """
import sys
print("what a module prints while it is imported is no answer")
limit = 3
def send_email(): ...
class Mail:
    @staticmethod
    def send(): ...
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "good.py").write_text(CODE)
    (tmp_path / "exits.py").write_text("import os\nos._exit(3)\n")
    (tmp_path / "quits.py").write_text("raise SystemExit('bye')\n")
    (tmp_path / "syntax.py").write_text("\n\ndef (:\n")
    (tmp_path / "needs.py").write_text("import good\nimport not_installed_anywhere\n")
    return tmp_path


TABLE = {
    "good:send_email": None,
    "good:Mail.send": None,
    "good:sendemail": ("good has no 'sendemail'", "did you mean good:send_email?"),
    "good:Mail.receive": ("good has no 'receive'", "name a function of that module"),
    "good:limit": ("good:limit is no function but int", "name a function of that module"),
    "exits:run": ("importing it ended the process (status 3)", "move what runs into functions"),
    "quits:run": ("importing 'quits' raised SystemExit: bye", "see quits.py:1"),
    "syntax:run": ("importing 'syntax' raised SyntaxError: invalid syntax", "see syntax.py:3"),
    "needs:run": (
        "importing 'needs' raised ModuleNotFoundError: No module named 'not_installed_anywhere'",
        "see needs.py:2",
    ),
    "nowhere:run": ("no module 'nowhere'", "write nowhere.py in {folder}, or install what holds it"),
    "nowhere.tasks:run": ("no module 'nowhere'", "write nowhere/tasks.py in {folder}, or install what holds it"),
}


async def test_each_handler_gets_its_own_verdict_whatever_the_others_do(folder):
    missing = (await look_at(TABLE, folder)).missing
    found = {
        handler: (missing[handler].what, missing[handler].cure) if handler in missing else None for handler in TABLE
    }
    assert found == {
        handler: verdict and (verdict[0], verdict[1].format(folder=folder)) for handler, verdict in TABLE.items()
    }


async def test_a_module_that_hangs_is_to_blame_alone(folder):
    (folder / "hangs.py").write_text("import threading\nthreading.Event().wait()\n")
    missing = (await look_at(["good:send_email", "hangs:run", "good:Mail.send"], folder, seconds=10.0)).missing
    assert {handler: why.what for handler, why in missing.items()} == {
        "hangs:run": "importing it took longer than 10 seconds"
    }


async def test_a_job_whose_handler_is_missing_is_refused_where_it_names_it(folder, monkeypatch):
    monkeypatch.chdir(folder)
    head = "apiVersion: jetmill.dev/v1alpha1\nkind: Job\nmetadata: {name: %s}\nspec:\n"
    (folder / "jobs.yaml").write_text(
        head % "bad"
        + "  handler: good:nothing\n---\n"
        + head % "good"
        + "  handler: good:send_email\n---\n"
        + head % "program"
        + "  command: [cat]\n"
    )
    manifests = read_manifests(folder)
    await take_handlers(manifests, folder)
    assert [str(fault) for fault in manifests.faults] == [
        "jobs.yaml:5: spec.handler: good has no 'nothing'; name a function of that module"
    ]
    assert list(manifests.jobs) == ["good", "program"]
    assert manifests.faulty == {"bad"}
