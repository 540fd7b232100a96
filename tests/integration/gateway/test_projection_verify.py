"""`jetmill verify --projection FILE`."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from factories import JOB
from jetmill_operator.gateway.projection import Ingest, Projection
from support.shell import Shell


@pytest.fixture
def shell() -> Shell:
    shell = Shell(str(uuid.uuid4()))
    shell.declare()
    return shell


def project(shell: Shell, path: Path) -> None:
    async def read() -> None:
        bus = shell.world.connect()
        projection = await Projection.open(path)
        ingest = Ingest(projection, bus, namespace="shop")
        await ingest.begin()
        await ingest.catch_up(await bus.ledger.last_seq())
        await projection.close()
        await bus.link.close()

    asyncio.run(read())


def test_a_projection_that_says_what_the_ledger_says_passes(shell: Shell, tmp_path: Path) -> None:
    for _ in range(3):
        shell.run("job", "run", JOB)
    project(shell, tmp_path / "projection.db")
    report = shell.ask("verify", "--projection", str(tmp_path / "projection.db"))
    assert (report["jobs"], report["projected"], report["violation_count"]) == (3, 3, 0)
    assert "in the projection" in shell.run("verify", "--projection", str(tmp_path / "projection.db")).output


def test_a_job_that_differs_is_named_and_the_exit_status_is_one(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "projection.db"
    shell.run("job", "run", JOB)
    project(shell, path)
    with closing(sqlite3.connect(path)) as file:
        file.execute("UPDATE job SET state = 'running', attempt = 3")
        file.commit()
    result = shell.run("verify", "--projection", str(path), "-o", "json")
    (violation,) = json.loads(result.stdout)["violations"]
    assert result.exit_code == 1
    assert violation["rule"] == "projection"
    assert violation["text"] == (
        "the projection has state running, which is queued, attempt 3, which is 1 in the ledger"
    )


def test_a_file_of_another_ledger_is_named_as_such(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "projection.db"
    shell.run("job", "run", JOB)
    project(shell, path)
    other = Shell(str(uuid.uuid4()))
    other.declare()
    result = other.run("verify", "--projection", str(path), "-o", "json")
    assert result.exit_code == 1
    assert "another one" in result.stdout


def test_a_file_that_is_not_there_is_a_fault_of_the_call(shell: Shell, tmp_path: Path) -> None:
    result = shell.run("verify", "--projection", str(tmp_path / "none.db"))
    assert result.exit_code not in (0, 1)
    assert "is no file" in result.output
