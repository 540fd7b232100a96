"""What the operator says of itself to probes.

Live: its loop turns, no key waits for ever, and the watch is heard. Ready: it leads, or stands by for who does; with
the first, everything was listed, NATS is there and no key waits for long.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from jetmill.bus.ports import Trunk
from jetmill_operator.reconcile.team import Team

BEAT_SECONDS = 1.0
STUCK_SECONDS = 30.0
"""A loop that has not turned for so long is stuck."""
LATE_SECONDS = 60.0
"""A key that waits for longer means that this process does not keep up."""
STARVED_SECONDS = 600.0
"""… and for so long, that it never will."""
SILENT_SECONDS = 180.0
"""A watch hears a bookmark each minute, and is opened anew after 70 s of silence."""


class Listener(Protocol):
    """The watch, as far as it is asked how it is."""

    @property
    def complete(self) -> bool:
        """Everything was listed once."""
        ...

    @property
    def age_seconds(self) -> float:
        """How long its quietest stream has been silent."""
        ...


class Health:
    """The state of the process, filled in as it goes; read from the health server's thread."""

    def __init__(self) -> None:
        self.trunk: Trunk | None = None
        self.team: Team | None = None
        self.watch: Listener | None = None
        self.standby = False
        """It waits for the lease."""
        self.leading = False
        self._beat = time.monotonic()
        self._watched_since = 0.0

    async def beat(self) -> None:
        """Say that the loop turns, until cancelled."""
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    def lead(self, team: Team, watch: Listener) -> None:
        """It leads from now on."""
        self.team, self.watch, self.leading, self.standby = team, watch, True, False
        self._watched_since = time.monotonic()

    def is_live(self) -> str | None:
        """None, or what is wrong."""
        stuck = time.monotonic() - self._beat
        if stuck > STUCK_SECONDS:
            return f"the event loop has not turned for {stuck:.0f} s"
        if self.team is None or self.watch is None:
            return None
        if self.oldest_seconds > STARVED_SECONDS:
            return f"a key has waited for {self.oldest_seconds:.0f} s"
        silent = min(self.watch.age_seconds, time.monotonic() - self._watched_since)
        return f"the watch has been silent for {silent:.0f} s" if silent > SILENT_SECONDS else None

    def is_ready(self) -> str | None:
        """None, or what is wrong."""
        fault = self.is_live()
        if fault is not None:
            return fault
        if self.trunk is None:
            return "not connected to NATS yet"
        if not self.trunk.connected:
            return "not connected to NATS"
        if self.standby:
            return None
        if self.watch is None or not self.watch.complete:
            return "not everything was listed yet"
        if self.oldest_seconds > LATE_SECONDS:
            return f"a key has waited for {self.oldest_seconds:.0f} s"
        return None

    # For the metrics

    @property
    def connected(self) -> bool:
        """There is a connection to NATS."""
        return self.trunk is not None and self.trunk.connected

    @property
    def jobs(self) -> int:
        """Jobs that it knows of."""
        return 0 if self.team is None else len(self.team.parts.index)

    @property
    def depth(self) -> int:
        """Keys that wait."""
        return 0 if self.team is None else self.team.queue.depth

    @property
    def delayed(self) -> int:
        """Keys that wait for their time."""
        return 0 if self.team is None else self.team.queue.delayed

    @property
    def running(self) -> int:
        """Keys that are being reconciled."""
        return 0 if self.team is None else self.team.queue.running

    @property
    def oldest_seconds(self) -> float:
        """How long the key that waits longest has waited."""
        return 0.0 if self.team is None else self.team.queue.oldest_seconds

    @property
    def watch_age_seconds(self) -> float | None:
        """How long the quietest watch has been silent; None: nothing is watched yet."""
        return self.watch.age_seconds if self.watch is not None and self.watch.complete else None
