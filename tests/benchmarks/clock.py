"""What every peer measures in the same way: counting finished jobs, and the latency of a start.

A payload is a JSON object of 100 bytes: the time of its enqueueing (µs, for the start latency) and padding.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time

PADDING = 100 - len(json.dumps({"at": 1_700_000_000_000_000, "pad": ""}))


def make_arguments(at: int | None = None) -> dict[str, object]:
    """The arguments of one no-op job, 100 bytes as JSON."""
    return {"at": at if at is not None else time.time_ns() // 1000, "pad": "x" * PADDING}


class Tally:
    """Counts starts in the worker; `done` is set at the `expected`-th."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.count = 0
        self.first = 0.0
        self.last = 0.0
        self.latencies_ms: list[float] = []
        self.done = asyncio.Event()

    def started(self, at: int) -> None:
        """A handler began; `at` is when its job was enqueued, µs."""
        now = time.time_ns()
        if not self.count:
            self.first = time.perf_counter()
        self.count += 1
        self.latencies_ms.append((now // 1000 - at) / 1000)
        if self.count == self.expected:
            self.last = time.perf_counter()
            self.done.set()

    def latency(self) -> dict[str, float]:
        """The median and the 99th percentile of the start latency, ms."""
        cuts = statistics.quantiles(self.latencies_ms, n=100)
        return {"p50_ms": cuts[49], "p99_ms": cuts[98]}


async def at_rate(count: int, per_second: float, enqueue_one) -> None:
    """Call `enqueue_one` `count` times at an even rate."""
    begin = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, begin + number / per_second - time.perf_counter()))
        await enqueue_one()
