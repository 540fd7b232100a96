"""One keeper of the ledger for each namespace that has Jobs: hints that are missing, cancel pushes, retention.

Any number of keepers may run (rule 7 of the protocol), so none of this needs the lease; a namespace without Jobs keeps
its ledger as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from jetmill.bus.ports import Bus
from jetmill.errors import JetmillError
from jetmill.ledger.keeper import Keeper

LOOK_SECONDS = 5.0
"""How often namespaces that came or went are looked for."""

log = structlog.get_logger("jetmill.operator")


class Keepers:
    """Runs the keepers."""

    def __init__(self, open_bus: Callable[[str], Bus], namespaces: Callable[[], set[str]]) -> None:
        self._open_bus = open_bus
        self._namespaces = namespaces
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self, *, look_seconds: float = LOOK_SECONDS) -> None:
        """Keep until cancelled."""
        try:
            while True:
                self.look()
                await asyncio.sleep(look_seconds)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._tasks.clear()

    def look(self) -> None:
        """Begin where Jobs are, end where there are none any more."""
        wanted = self._namespaces()
        for namespace in [one for one, task in self._tasks.items() if one not in wanted or task.done()]:
            task = self._tasks.pop(namespace)
            if task.done() and not task.cancelled() and (err := task.exception()) is not None:
                expected = isinstance(err, JetmillError)
                log.error("keeper_failed", namespace=namespace, error=str(err), exc_info=None if expected else err)
            task.cancel()
        for namespace in sorted(wanted - self._tasks.keys()):
            keeper = Keeper(self._open_bus(namespace))
            self._tasks[namespace] = asyncio.create_task(keeper.run(), name=f"keeper {namespace}")
