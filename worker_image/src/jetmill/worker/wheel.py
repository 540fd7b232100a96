"""Timeouts of many jobs on one timer.

`asyncio.timeout` costs 6-8 µs a job and one heap entry each, although next to no job ever times out. Here a timer is
put into the bucket of its tick and taken out again when the job ends: two set operations. The loop has one timer
handle, for the earliest bucket. A timer fires within one tick after its time, never before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

TICK_SECONDS = 0.05


class Timer:
    """One callback that waits; hand it to `Wheel.disarm`."""

    __slots__ = ("callback", "tick")

    def __init__(self, tick: int, callback: Callable[[], None]) -> None:
        self.tick = tick
        self.callback = callback


class Wheel:
    """The timers of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, tick_seconds: float = TICK_SECONDS) -> None:
        self._loop = loop
        self._tick_seconds = tick_seconds
        self._buckets: dict[int, set[Timer]] = {}
        self._next_tick = 0
        self._handle: asyncio.TimerHandle | None = None

    def arm(self, delay_seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back after `delay_seconds`, at most one tick late."""
        tick = int((time.monotonic() + delay_seconds) / self._tick_seconds) + 1
        timer = Timer(tick, callback)
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = {timer}
            if self._handle is None or tick < self._next_tick:
                self._schedule(tick)
        else:
            bucket.add(timer)
        return timer

    def disarm(self, timer: Timer) -> None:
        """Forget a timer; one that fired already is no error."""
        bucket = self._buckets.get(timer.tick)
        if bucket is not None:
            bucket.discard(timer)
            if not bucket:
                del self._buckets[timer.tick]

    def late_seconds(self) -> float:
        """For how long a due timer has not fired, because something blocks the loop; safe from another thread."""
        if self._handle is None or self._next_tick not in self._buckets:
            return 0.0
        return max(0.0, time.monotonic() - self._next_tick * self._tick_seconds)

    def close(self) -> None:
        """Forget all timers."""
        self._buckets.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _schedule(self, tick: int) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._next_tick = tick
        self._handle = self._loop.call_later(max(0.0, tick * self._tick_seconds - time.monotonic()), self._turn)

    def _turn(self) -> None:
        self._handle = None
        now = int(time.monotonic() / self._tick_seconds)
        for tick in sorted(tick for tick in self._buckets if tick <= now):
            for timer in self._buckets.pop(tick, ()):
                self._loop.call_soon(timer.callback)  # one that raises must not take the others with it
        if self._buckets:
            self._schedule(min(self._buckets))
