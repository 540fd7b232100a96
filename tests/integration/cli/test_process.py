"""The program itself: exit codes, both ways to start it, what it loads, and plug-ins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.nats import find_free_port

pytestmark = pytest.mark.integration


def start(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JETMILL_", "NATS_"))}
    return subprocess.run(
        [sys.executable, "-m", "jetmill", *words], capture_output=True, text=True, env={**kept, **environ}, check=False
    )


def test_help_is_quick_to_load() -> None:
    code = (
        "import sys, json, contextlib, io\nfrom jetmill.cli.main import app\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n    app(['job', '--help'], standalone_mode=False)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in json.loads(answer.stdout)}
    assert loaded & {"nats", "rich", "yaml", "structlog", "jetmill_operator"} == set()


def test_python_m_is_the_same_program() -> None:
    answer = start("version", "-o", "json")
    assert answer.returncode == 0
    assert "jetmill" in json.loads(answer.stdout)


@pytest.mark.parametrize(
    ("words", "code"),
    [(("--help",), 0), (("nope",), 2), (("job", "list", "-o", "xml"), 2), (("job", "status"), 2), ((), 2)],
)
def test_usage_has_its_exit_codes(words: tuple[str, ...], code: int) -> None:
    assert start(*words).returncode == code


def test_a_setting_that_cannot_be_used_is_usage() -> None:
    answer = start("job", "list", JETMILL_NATS_URL="http://x", JETMILL_NAMESPACE="a.b")
    assert answer.returncode == 2
    assert answer.stderr.count("JETMILL_") == 2
    assert "cure:" in answer.stderr


def test_memory_in_a_pod_is_refused() -> None:
    answer = start("job", "list", JETMILL_NATS_URL="memory://", KUBERNETES_SERVICE_HOST="10.0.0.1")
    assert answer.returncode == 2


def test_no_colours_without_a_terminal() -> None:
    assert "\x1b" not in start("job", "list", JETMILL_NATS_URL="http://x").stderr


def test_nats_that_is_away_has_a_code_of_its_own() -> None:
    answer = start("job", "list", JETMILL_NATS_URL=f"nats://127.0.0.1:{find_free_port()}")
    assert answer.returncode == 4
    assert "jetmill dev" in answer.stderr


def test_a_plug_in_adds_a_command_and_a_broken_one_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "my_plug_in.py").write_text(
        "import typer\ndef greet(name: str) -> None:\n    \"Greet.\"\n    typer.echo(f'hello {name}')\n"
    )
    distribution = tmp_path / "my_plug_in-1.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plug-in\nVersion: 1\n")
    (distribution / "entry_points.txt").write_text(
        "[jetmill.commands]\ngreet = my_plug_in:greet\nbroken = no_such_module:run\n"
    )
    path = {"PYTHONPATH": str(tmp_path)}
    assert start("greet", "ada", **path).stdout == "hello ada\n"
    helped = start("--help", **path)
    assert "Greet." in helped.stdout
    assert "no_such_module" in helped.stderr
    assert start("broken", **path).returncode == 2
