"""The quickstart runs as its README says."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from pathlib import Path

import pytest

from jetmill_operator.dev.handler import take_handlers
from jetmill_operator.dev.manifest import read_manifests
from support.wait import soon

pytestmark = pytest.mark.integration
FOLDER = Path(__file__).parents[3] / "examples" / "quickstart"


async def test_its_manifests_have_no_fault_and_their_handlers_are_there():
    manifests = read_manifests(FOLDER)
    await take_handlers(manifests, FOLDER)
    assert (manifests.faults, manifests.notes) == ([], [])
    assert list(manifests.jobs) == ["greet", "flaky", "primes"]


async def test_its_handlers_can_be_called_as_they_are():
    spec = importlib.util.spec_from_file_location("quickstart_tasks", FOLDER / "tasks.py")
    assert spec is not None
    assert spec.loader is not None
    tasks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tasks)
    assert await tasks.greet("Ada") == "Hello, Ada!"
    assert [tasks.primes(below) for below in (2, 3, 10, 100)] == [0, 1, 4, 25]


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_the_demo_ends_by_itself_with_every_job_as_it_should_be():
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(FOLDER / "demo.py"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "CI": "true"},
    )
    try:
        said = (await soon(process.communicate(), seconds=120))[0].decode()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    assert process.returncode == 0, said
    assert "killed worker" in said, said
    assert "every job ended as it should" in said, said
