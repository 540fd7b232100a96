"""What the house promises of itself: light imports, one version, pinned requirements, no skip unseen."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
WHEELS = ("worker_image", "operator")
HEAVY = ("kopf", "litestar", "kubernetes", "kubernetes_asyncio", "httpx", "jetmill_operator")
LATE = ("nats", "typer", "click", "rich", "prometheus_client")
"""Loaded when a command or a connection wants them, not by `import jetmill`."""


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def read_project(wheel: str) -> dict[str, Any]:
    return dict(tomllib.loads((ROOT / wheel / "pyproject.toml").read_text())["project"])


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[._-]+", "-", found.group()).lower()


def test_importing_jetmill_loads_nothing_heavy() -> None:
    done = run_python("-c", "import sys, jetmill; print(*{name.partition('.')[0] for name in sys.modules})")
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & {*HEAVY, *LATE}


def test_neither_the_command_line_nor_dev_loads_what_only_a_cluster_needs() -> None:
    """A kubeconfig's libraries cost a second and 30 MiB; who has no cluster does not pay."""
    load = "import sys, jetmill.cli.main, jetmill_operator.dev.command"
    done = run_python("-c", load + "; print(*{name.partition('.')[0] for name in sys.modules})")
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & {"kopf", "kubernetes", "httpx", "aiohttp"}


def test_both_wheels_have_one_version_and_the_operator_asks_for_exactly_it() -> None:
    worker, operator = (read_project(wheel) for wheel in WHEELS)
    assert worker["version"] == operator["version"]
    assert f"jetmill=={worker['version']}" in operator["dependencies"]


@pytest.mark.parametrize("package", ["worker_image/src/jetmill", "operator/src/jetmill_operator"])
def test_each_wheel_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_the_operator_folder_never_takes_the_standard_librarys_name() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


@pytest.mark.parametrize("wheel", WHEELS)
def test_what_a_wheel_needs_at_run_time_is_pinned_for_development(wheel: str) -> None:
    project = read_project(wheel)
    extras = [line for lines in project.get("optional-dependencies", {}).values() for line in lines]
    wanted = {name_of(line) for line in [*project["dependencies"], *extras]} - {"jetmill"}
    pinned = {name_of(line) for line in (ROOT / "requirements/dev.txt").read_text().splitlines() if "==" in line}
    assert wanted <= pinned


@pytest.mark.parametrize("file", sorted(path.name for path in (ROOT / "requirements").glob("*.txt")))
def test_requirements_hold_pins_and_hashes_and_no_address(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text()
    assert not re.search(r"https?:|file:|--(extra-)?index-url|--find-links| @ |^-[a-z]", text, re.MULTILINE)
    for pin in text.replace("\\\n", "").strip().splitlines():
        assert re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", pin), pin


@pytest.mark.parametrize("skip", ["@pytest.mark.skip(reason='no_such server')\n", "pytest.importorskip('no_such')\n"])
@pytest.mark.parametrize(("require_all", "code"), [("1", {1, 2}), ("0", {0, 5})])
def test_a_skip_is_a_failure_that_names_its_reason_when_everything_is_required(
    tmp_path: Path, skip: str, require_all: str, code: set[int]
) -> None:
    shutil.copy(ROOT / "tests/conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(f"import pytest\n{skip}def test_it(): pass\n")
    done = run_python("-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(tmp_path), REQUIRE_ALL=require_all)
    assert done.returncode in code, done.stdout
    assert ("REQUIRE_ALL is set" in done.stdout) == (require_all == "1")
    assert "no_such" in done.stdout
