"""What the autoscaler last saw of each Job, for the status: it looks every second or two, the status follows slowly.

Counters go into a status at most every ten seconds; what changes a condition (the queue cannot be read, more workers
are needed than may be) goes at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jetmill_operator.cluster.ports import Key
from jetmill_operator.policy.condition import Backlog, Scaling
from jetmill_operator.reconcile.moment import SYSTEM, Clock

COUNTERS_SECONDS = 10.0
"""Counters in a status change at most this often."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look at a Job."""

    backlog: Backlog | None = None
    """None: the queue could not be read."""
    scaling: Scaling | None = None
    replicas: int | None = None
    """Workers that the Deployment is told to have; None: it has none of its own."""

    @property
    def quality(self) -> tuple[object, ...]:
        """What changes a condition."""
        return (self.scaling is None, self.scaling and self.scaling.active, self.scaling and self.scaling.limited)


@dataclass(slots=True)
class _Row:
    seen: Sighting
    shown: Sighting | None = None
    time: float = 0.0


class Board:
    """The last look at each Job, and when it was last shown."""

    def __init__(self, enqueue: Callable[[Key], None], *, clock: Clock = SYSTEM) -> None:
        self._enqueue = enqueue
        self._clock = clock
        self._rows: dict[Key, _Row] = {}

    def put(self, key: Key, seen: Sighting) -> None:
        """Take note of a look; a Job whose status is to follow is enqueued."""
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _Row(seen)
        row.seen = seen
        if row.shown is None or row.shown.quality != seen.quality or self._is_due(row):
            self._enqueue(key)

    def get(self, key: Key) -> Sighting | None:
        """The last look, None without any."""
        row = self._rows.get(key)
        return None if row is None else row.seen

    def all(self) -> list[tuple[Key, Sighting]]:
        """The last look at every Job."""
        return [(key, row.seen) for key, row in list(self._rows.items())]

    def show(self, key: Key, seen: Sighting | None) -> None:
        """That look is in the status now."""
        row = self._rows.get(key)
        if row is not None and seen is not None:
            row.shown, row.time = seen, self._clock.monotonic()

    def is_behind(self, key: Key) -> bool:
        """The last look is not in the status yet."""
        row = self._rows.get(key)
        return row is not None and row.shown != row.seen

    def _is_due(self, row: _Row) -> bool:
        return row.shown != row.seen and self._clock.monotonic() - row.time >= COUNTERS_SECONDS

    def forget(self, key: Key) -> None:
        """The Job has gone."""
        self._rows.pop(key, None)
