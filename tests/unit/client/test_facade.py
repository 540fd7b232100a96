"""`import jetmill` is light, and everything that it promises is there."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import jetmill

HEAVY = [
    "nats",
    "typer",
    "pydantic",
    "structlog",
    "jsonschema_rs",
    "msgspec",
    "prometheus_client",
    "yaml",
    "kopf",
    "litestar",
]


def loaded_after(statement: str) -> set[str]:
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in json.loads(answer.stdout)}


def test_importing_jetmill_loads_nothing_heavy() -> None:
    assert loaded_after("import jetmill") & set(HEAVY) == set()


def test_declaring_a_job_loads_neither_the_bus_client_nor_pydantic() -> None:
    loaded = loaded_after("from jetmill import job\n@job\ndef send(to: str) -> None: ...")
    assert loaded & (set(HEAVY) - {"msgspec"}) == set()


NAMES: list[str] = vars(jetmill)["__all__"]


def test_every_name_of_the_facade_is_there() -> None:
    for name in NAMES:
        assert getattr(jetmill, name) is not None


def test_type_checkers_are_told_of_the_same_names() -> None:
    stub = ast.parse(Path(jetmill.__file__).with_suffix(".pyi").read_text())
    imported = {name.asname for node in stub.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert imported | {"__version__"} == set(NAMES)
