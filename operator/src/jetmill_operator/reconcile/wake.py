"""Jobs without workers: what tells that there is something to do again.

```
 an enqueue ─▶ jm.NS.wake.JOB ─▶ look now    listened to for Jobs at zero alone: of others it costs nobody anything
 a delayed job becomes due, a wake is lost ─▶ the queue's tail has grown: one request for all Jobs of a namespace
```
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from jetmill.bus.ports import Bus
from jetmill.errors import JetmillError
from jetmill_operator.cluster.ports import Key

NET_SECONDS = 3.0
"""How often the tails are looked at."""

log = structlog.get_logger("jetmill.operator")


@dataclass(slots=True)
class _Sleeper:
    """A Job at zero."""

    stops: dict[str, Callable[[], None]] = field(default_factory=dict)
    """How to stop listening, by the Job that is listened to: its own, and its riders."""
    tails: Mapping[str, int] | None = None
    """The tails that were seen when nothing was to be done; None: it is being looked at anyhow."""


class Sleepers:
    """All Jobs at zero.

    `on_wake` is called with one that is to be looked at, `on_blind` with one whose namespace cannot be read.
    """

    def __init__(
        self, open_bus: Callable[[str], Bus], *, on_wake: Callable[[Key], None], on_blind: Callable[[Key], None]
    ) -> None:
        self._open_bus = open_bus
        self._on_wake = on_wake
        self._on_blind = on_blind
        self._sleepers: dict[Key, _Sleeper] = {}
        self._blind: set[str] = set()

    @property
    def resting(self) -> int:
        """Those that nobody looks at until something tells to."""
        return sum(sleeper.tails is not None for sleeper in self._sleepers.values())

    def listen(self, key: Key, jobs: list[str]) -> None:
        """Listen for wakes of a Job (and of its riders) from now on; then look once. Raises JetmillError."""
        sleeper = self._sleepers.setdefault(key, _Sleeper())
        sleeper.tails = None
        for gone in [job for job in sleeper.stops if job not in jobs]:
            sleeper.stops.pop(gone)()
        signals = self._open_bus(key.namespace).signals
        for job in jobs:
            if job not in sleeper.stops:
                sleeper.stops[job] = signals.on_wake(lambda _: self._on_wake(key), job=job)

    def rest(self, key: Key, tails: Mapping[str, int]) -> None:
        """Nothing was to be done when the tails were these."""
        sleeper = self._sleepers.get(key)
        if sleeper is not None:
            sleeper.tails = dict(tails)

    def forget(self, key: Key) -> None:
        """It has workers, or has gone."""
        sleeper = self._sleepers.pop(key, None)
        for stop in sleeper.stops.values() if sleeper is not None else ():
            stop()

    def close(self) -> None:
        """Listen to nothing more."""
        for key in list(self._sleepers):
            self.forget(key)

    async def run(self, *, net_seconds: float = NET_SECONDS) -> None:
        """Look at the tails, until cancelled."""
        while True:
            await asyncio.sleep(net_seconds)
            await self.look()

    async def look(self) -> None:
        """Look at the tails once."""
        for namespace in sorted({key.namespace for key in self._sleepers}):
            bus = self._open_bus(namespace)
            try:
                tails = await bus.queue.tails() if bus.link.connected else None
            except JetmillError as err:
                log.warning("queues_not_read", namespace=namespace, error=str(err))
                tails = None
            if tails is None:
                self._blind.add(namespace)
                self._tell_blind(namespace)
            else:
                regained = namespace in self._blind
                self._blind.discard(namespace)
                self._tell_grown(namespace, tails, regained=regained)

    def _tell_blind(self, namespace: str) -> None:
        for key in [key for key, sleeper in self._sleepers.items() if key.namespace == namespace]:
            self._on_blind(key)

    def _tell_grown(self, namespace: str, tails: Mapping[str, int], *, regained: bool) -> None:
        for key, sleeper in list(self._sleepers.items()):
            if key.namespace != namespace or sleeper.tails is None:
                continue
            if regained or any(tails.get(job) != seen for job, seen in sleeper.tails.items()):
                self._on_wake(key)
