"""`import jetmill` is light, and everything that it promises is there."""

from __future__ import annotations

import json
import subprocess
import sys

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


def test_every_name_of_the_facade_is_there() -> None:
    for name in jetmill.__all__:
        assert getattr(jetmill, name) is not None
