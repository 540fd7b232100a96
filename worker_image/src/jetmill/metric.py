"""What every process of ours counts with: plain numbers, made into metrics only when somebody scrapes.

An observation is a bisection and two additions; prometheus-client's own histograms would cost a lock each.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cache

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Histogram:
    """Counts by bucket, and the sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def cumulated(self) -> list[tuple[str, float]]:
        """As Prometheus wants it: up to and including each bound."""
        rows: list[tuple[str, float]] = []
        count = 0
        for bound, more in zip((*map(str, BUCKETS), "+Inf"), self.counts, strict=True):
            count += more
            rows.append((bound, float(count)))
        return rows


@cache
def find_version() -> str:
    """The version of this wheel."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("jetmill")
    except PackageNotFoundError:
        return "unknown"
