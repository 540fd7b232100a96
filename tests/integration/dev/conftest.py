"""A folder of Jobs, and `jetmill dev` on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from support.dev import TASKS, Dev, declare, start_dev


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
        started.append(await start_dev(folder, *options))
        return started[-1]

    yield start
    for dev in started:
        await dev.close()
