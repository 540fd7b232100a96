"""What other distributions know: `jetmill-operator` asks the cluster, where there is one, and has the projection.

A distribution adds causes by an entry point in the group `jetmill.causes`: a coroutine function that takes a Job's name
and its namespace. It gets five seconds, and one that fails says so and stops nobody. One in `jetmill.comparisons`
compares a file with the ledger: it takes a bus, `namespace` and `path`, and gives how many jobs the file has, and what
differs, as the arguments of `Report.add`.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import entry_points

from jetmill.bus.ports import Bus
from jetmill.cli.cause import Cause
from jetmill.cli.output import note
from jetmill.errors import ConfigError

GROUP = "jetmill.causes"
COMPARISONS = "jetmill.comparisons"
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


async def compare_projection(
    bus: Bus, *, namespace: str, path: str
) -> tuple[int, list[tuple[str, list[int], str, str]]]:
    """Compare a gateway's projection with the ledger; raise ConfigError if nobody here can."""
    found = [entry for entry in entry_points(group=COMPARISONS) if entry.name == "projection"]
    if not found:
        raise ConfigError("nothing here can read a projection", cure="pip install jetmill-operator")
    answer: tuple[int, list[tuple[str, list[int], str, str]]] = await found[0].load()(
        bus, namespace=namespace, path=path
    )
    return answer
