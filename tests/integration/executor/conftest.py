"""A worker on a bus in memory whose handlers run outside of its process: what is under test are real processes."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.rig import Rig, open_rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with open_rig() as rig:
        yield rig


@pytest.fixture
def jobs_module(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module `poison_jobs`, importable here and in child processes, its handlers in the rig's registry."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    module = importlib.import_module("poison_jobs")
    for handler in module.REGISTRY:
        rig.registry.add(handler)
    return module
