"""Causes that other distributions know of: `jetmill-operator` asks the cluster, where there is one.

A distribution adds them by an entry point in the group `jetmill.causes`: a coroutine function that takes a Job's name
and its namespace. It gets five seconds, and one that fails says so and stops nobody.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import entry_points

from jetmill.cli.cause import Cause
from jetmill.cli.output import note

GROUP = "jetmill.causes"
PATIENCE_SECONDS = 5.0


async def ask_others(job: str, namespace: str) -> list[Cause]:
    """What others know of a Job."""
    causes: list[Cause] = []
    for entry in entry_points(group=GROUP):
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                causes += await entry.load()(job, namespace)
        except Exception as err:  # noqa: BLE001 - what others know is welcome, and never needed
            note(f"warning: {entry.name} could not be asked: {type(err).__name__}: {err}")
    return causes
