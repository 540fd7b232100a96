"""`jetmill dev` on a folder of examples/, its data elsewhere."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from support.dev import Dev


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[[Path], Awaitable[Dev]]]:
    """Starts `jetmill dev` on a folder; ends it after the test."""
    started: list[Dev] = []

    async def start(folder: Path) -> Dev:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "jetmill", "dev", str(folder), "--data", str(tmp_path)),
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
