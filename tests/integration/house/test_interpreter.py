"""What only a fresh interpreter shows: light imports, the one warning, log lines, and that no skip goes unseen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[3]
FOREIGN = {"kopf", "litestar", "kubernetes", "kubernetes_asyncio", "httpx", "jetmill_operator"}
LATE = {"nats", "typer", "click", "rich", "pydantic", "structlog", "jsonschema_rs", "prometheus_client", "yaml"}
"""Loaded when a command, a connection or a payload wants them, not before."""


def run_python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def loaded_after(statement: str) -> set[str]:
    done = run_python("-c", f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))")
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


def test_importing_jetmill_loads_nothing_heavy() -> None:
    assert loaded_after("import jetmill") & {*FOREIGN, *LATE, "msgspec"} == set()


def test_declaring_a_job_loads_neither_the_bus_client_nor_pydantic() -> None:
    loaded = loaded_after("from jetmill import job\n@job\ndef send(to: str) -> None: ...")
    assert loaded & {*FOREIGN, *LATE} == set()


def test_neither_the_command_line_nor_dev_loads_what_only_a_cluster_needs() -> None:
    """A kubeconfig's libraries cost a second and 30 MiB; who has no cluster does not pay."""
    loaded = loaded_after("import jetmill.cli.main, jetmill_operator.dev.command")
    assert loaded & {"kopf", "kubernetes", "httpx", "aiohttp"} == set()


def test_nothing_configured_is_memory_with_one_warning() -> None:
    code = (
        "from jetmill.client.settings import settings_from_env\n"
        "for _ in range(2):\n    print(settings_from_env({}).url)"
    )
    done = run_python("-W", "always", "-c", code)
    assert done.stdout.split() == ["memory://", "memory://"]
    assert done.stderr.count("MemoryBusWarning: JETMILL_NATS_URL") == 1


def test_a_plain_script_runs_its_jobs_and_prints_what_it_prints_itself() -> None:
    code = """
import asyncio
from jetmill import close, configure, job

@job
async def add(a: int, b: int) -> int:
    return a + b

async def main() -> None:
    configure(url="memory://")
    print(await (await add.enqueue(1, 2)).result(30))
    await close()

asyncio.run(main())
"""
    done = run_python("-c", code)
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_lines_are_json_where_there_is_no_terminal() -> None:
    code = (
        "from jetmill.worker.log import configure_logging, get_logger;"
        "configure_logging(); get_logger().info('worker_started', slots=3, jobs=['a'])"
    )
    done = run_python("-c", code)
    assert '"msg":"worker_started"' in done.stderr
    assert '"slots":3' in done.stderr


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
