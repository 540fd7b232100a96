"""The memory bus's clock: the server's time and everything that is due.

It runs with real time unless it is frozen; `move` sets it forward and fires, in order, what becomes due on the way,
each at its own time. All that waits in a world (delayed hints, lapsing deliveries, delayed naks) waits in this one
heap, so a test that moves the clock moves the whole world. Between moves one timer of the event loop watches the
head of the heap.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable

_COMPACT_ABOVE = 1000


class Timer:
    """Something to be called at a time; `cancel` forgets it."""

    __slots__ = ("_clock", "call", "due")

    def __init__(self, clock: MemoryClock, due: int, call: Callable[[], None]) -> None:
        self._clock = clock
        self.due = due
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Forget it; idempotent."""
        if self.call is not None:
            self.call = None
            self._clock.forget_one()


class MemoryClock:
    """Microseconds since the Unix epoch; `frozen` stands still but for `move`, else real time goes by as well."""

    def __init__(self, *, frozen: bool = False, start: int | None = None) -> None:
        self.frozen = frozen
        self._base = time.time_ns() // 1000 if start is None else start
        self._origin = time.monotonic_ns()
        self._moved = 0
        self._heap: list[tuple[int, int, Timer]] = []
        self._count = 0
        self._dead = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.Handle | None = None
        self._armed_for = 0

    def now(self) -> int:
        """The time, µs."""
        gone = 0 if self.frozen else (time.monotonic_ns() - self._origin) // 1000
        return self._base + self._moved + gone

    def at(self, due: int, call: Callable[[], None]) -> Timer:
        """Call when it is `due` (µs), on a later turn of the loop even if that has passed."""
        timer = Timer(self, due, call)
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, timer))
        if self._handle is None or due < self._armed_for:
            self._arm()
        return timer

    def move(self, seconds: float) -> None:
        """Set the clock forward and fire what becomes due on the way, each thing at its own time.

        Only the timers run inside the call: what they set off (deliveries, answers) follows on the next turns.
        """
        if seconds < 0:
            raise ValueError("the clock goes forward only")
        target = self.now() + round(seconds * 1_000_000)
        while (due := self._next_due()) is not None and due <= target:
            self._set(due)
            self._fire_one()
        self._set(target)
        self._arm()

    def next_due(self) -> int | None:
        """When the next thing is due (µs), None if nothing waits."""
        return self._next_due()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Use another event loop from now on."""
        self._handle = None
        self._loop = loop
        self._arm()

    def forget_one(self) -> None:
        """Count a cancelled timer; the heap is cleared of them now and then."""
        self._dead += 1
        if self._dead > _COMPACT_ABOVE and self._dead * 2 > len(self._heap):
            self._heap = [item for item in self._heap if item[2].call is not None]
            heapq.heapify(self._heap)
            self._dead = 0

    def _set(self, to: int) -> None:
        self._moved += max(0, to - self.now())

    def _next_due(self) -> int | None:
        heap = self._heap
        while heap and heap[0][2].call is None:
            heapq.heappop(heap)
            self._dead -= 1
        return heap[0][0] if heap else None

    def _fire_one(self) -> None:
        timer = heapq.heappop(self._heap)[2]
        call, timer.call = timer.call, None
        if call is not None:
            call()

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        due = self._next_due()
        if due is None or self._loop is None or self._loop.is_closed():
            return
        wait = due - self.now()
        if wait <= 0:
            self._handle = self._loop.call_soon(self._tick)
        elif not self.frozen:
            self._handle = self._loop.call_later(wait / 1_000_000, self._tick)
        self._armed_for = due

    def _tick(self) -> None:
        self._handle = None
        now = self.now()
        while (due := self._next_due()) is not None and due <= now:
            self._fire_one()
        self._arm()
