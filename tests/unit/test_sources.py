"""docs/sources.md claims what is there, and says something of every line; the table of rules is that of the mutants."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOTS = {"jetmill": ROOT / "worker_image/src", "jetmill_operator": ROOT / "operator/src"}
FOLDERS = ("docs/", "examples/", "operator/", "requirements/", "tests/", "worker_image/")
ROWS = [
    (number, row.strip("|").split(" | ")[-1].strip())
    for number, row in enumerate((ROOT / "docs/sources.md").read_text().splitlines(), 1)
    if row.startswith("| ") and row != "| asked for | where |"
]
QUOTED = sorted({quoted for _, where in ROWS for quoted in re.findall(r"`([^`]+)`", where)})
MODULES = [quoted for quoted in QUOTED if re.fullmatch(r"jetmill(_operator)?(\.[a-z_]+)*", quoted)]
FILES = [quoted for quoted in QUOTED if quoted.startswith(FOLDERS)]


def test_every_module_that_is_named_as_built_is_there() -> None:
    paths = {module: ROOTS[module.partition(".")[0]].joinpath(*module.split(".")) for module in MODULES}
    there = {
        module
        for module, path in paths.items()
        if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
    }
    assert sorted(paths.keys() - there) == []


def test_every_file_that_is_named_is_there() -> None:
    """An empty folder is not there in a clone."""
    paths = {file: ROOT / file for file in FILES}
    there = {file for file, path in paths.items() if path.is_file() or any(one.is_file() for one in path.rglob("*.py"))}
    assert sorted(paths.keys() - there) == []


def test_every_line_is_built_planned_or_declined() -> None:
    said = re.compile(r"`jetmill|planned: |declined|" + "|".join(f"`{folder}" for folder in FOLDERS))
    assert len(ROWS) == 366
    silent = [number for number, where in ROWS if not said.search(where) and "](how-to/" not in where]
    assert not silent


def test_the_protocol_page_has_every_rule_that_the_mutants_take_out() -> None:
    table = tomllib.loads((ROOT / "tests/mutants/table.toml").read_text())
    page = (ROOT / "docs/protocol.md").read_text()
    for name, rule in table.items():
        module = rule["code"].partition("/src/")[2].removesuffix(".py").replace("/", ".")
        assert f"| {rule['says']} (`{name}`) | `{module}`, `{rule['where']}` |" in page
