"""Durations in buckets that grow by a fifth, and what is counted in a minute: sums, which can be added up again."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

_GROWTH = math.log(1.2)
_SMALLEST = 0.001
"""s; whatever is shorter counts as this."""


class Tally(msgspec.Struct, array_like=True):
    """What happened in a span of time; `wait` and `run` count durations by bucket."""

    enqueued: int = 0
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    skipped: int = 0
    retried: int = 0
    wait: dict[int, int] = {}
    run: dict[int, int] = {}

    def add(self, other: Tally) -> None:
        """Take in what another counted."""
        self.enqueued += other.enqueued
        self.started += other.started
        self.succeeded += other.succeeded
        self.failed += other.failed
        self.cancelled += other.cancelled
        self.skipped += other.skipped
        self.retried += other.retried
        merge(self.wait, other.wait.items())
        merge(self.run, other.run.items())


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """How long it took, in seconds, each off by at most 10 %: half of them at most `p50`."""

    count: int
    p50: float
    p95: float
    p99: float


def merge(counts: dict[int, int], more: Iterable[tuple[int, int]]) -> None:
    """Add counts by bucket to others."""
    for bucket, count in more:
        counts[bucket] = counts.get(bucket, 0) + count


def bucket_of(micros: int) -> int:
    """The bucket of a duration in µs."""
    return math.ceil(math.log(max(micros / 1e6, _SMALLEST) / _SMALLEST) / _GROWTH)


def measure(counts: dict[int, int]) -> Percentiles | None:
    """The percentiles of what was counted; None of nothing."""
    p50, p95, p99 = (find_percentile(counts, share) for share in (0.5, 0.95, 0.99))
    if p50 is None or p95 is None or p99 is None:
        return None
    return Percentiles(count=sum(counts.values()), p50=p50, p95=p95, p99=p99)


def find_percentile(counts: dict[int, int], share: float) -> float | None:
    """The duration (s) that this share of them does not exceed, off by at most 10 %; None of nothing."""
    wanted = share * sum(counts.values())
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen >= wanted:
            return _SMALLEST * math.exp((bucket - 0.5) * _GROWTH) if bucket else _SMALLEST
    return None
