"""A folder of Jobs, and `jetmill dev` on it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from support.dev import TASKS, Dev, declare


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with code and one Job."""
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "greet.yaml").write_text(declare("greet", "tasks:greet"))
    return tmp_path


@pytest.fixture
async def start(folder: Path) -> AsyncIterator[Callable[..., Awaitable[Dev]]]:
    """Starts `jetmill dev` on the folder; ends it after the test."""
    started: list[Dev] = []

    async def start(*options: str) -> Dev:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "jetmill",
            "dev",
            str(folder),
            *options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if not name.startswith(("JETMILL_", "NATS_"))},
        )
        started.append(Dev(process))
        return started[-1]

    yield start
    for dev in started:
        await dev.close()
