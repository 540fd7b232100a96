"""How often somebody may ask: a bucket of tokens for each, filled at a steady rate.

Each gateway counts for itself: behind two, somebody may ask twice as often. A count that all share would cost a write
for every read.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left after a request."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int
    """Until the bucket is full again."""
    retry_seconds: int
    """Until the next request is allowed; 0: now."""


class Limiter:
    """Buckets by name; the `KEPT` that were used last are kept."""

    def __init__(self, *, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, cost: int = 1) -> Allowance:
        """Take `cost` tokens out of a bucket, if it holds so many."""
        now = self._clock()
        level, at = self._buckets.get(name, (float(self._burst), now))
        level = min(float(self._burst), level + (now - at) * self._rate)
        cost = min(cost, self._burst)
        allowed = level >= cost
        level -= cost if allowed else 0
        self._buckets[name] = (level, now)
        self._buckets.move_to_end(name)
        while len(self._buckets) > KEPT:
            self._buckets.popitem(last=False)
        missing = 0.0 if allowed else (cost - level) / self._rate
        return Allowance(allowed, self._burst, int(level), _ceil((self._burst - level) / self._rate), _ceil(missing))


def _ceil(seconds: float) -> int:
    return int(-(-seconds // 1))
