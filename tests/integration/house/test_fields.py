"""The record that `make check-fields` reads: which tests of which fields ran and passed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

BARE = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""Without the plugins that libraries bring: some take seconds to import, in each of six processes."""
TESTS = """
import pytest

@pytest.mark.field("Job.spec.handler", "Job.spec.command")
@pytest.mark.parametrize("number", [1, 2])
def test_one(number): assert number < LIMIT

@pytest.mark.field("*.status.reason")
def test_two(): pytest.skip("not today")

def test_three(): pass
"""


def entry(*fields: str, passed: bool = True) -> dict[str, object]:
    return {"fields": list(fields), "passed": passed}


def test_what_ran_and_passed_is_recorded_one_session_over_the_other(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[2] / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = field: proves\n")
    for limit in (2, 3):
        (tmp_path / "test_it.py").write_text(f"LIMIT = {limit}\n{TESTS}")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "xdist.plugin", "-n", "2"]
        subprocess.run(command, cwd=tmp_path, env=BARE, capture_output=True, check=False)
        record = json.loads((tmp_path / "build/fields.json").read_text())
        assert record == {
            "test_it.py::test_one[1]": entry("Job.spec.handler", "Job.spec.command"),
            "test_it.py::test_one[2]": entry("Job.spec.handler", "Job.spec.command", passed=limit == 3),
            "test_it.py::test_two": entry("*.status.reason", passed=False),
        }
