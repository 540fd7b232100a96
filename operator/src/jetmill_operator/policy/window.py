"""What the last seconds held: the highest value of a window, and how fast something came in. Values, never changed.

Times are seconds of one monotonic clock, and come in order.
"""

from __future__ import annotations

from dataclasses import dataclass

RESOLUTION_SECONDS = 0.5
"""Points of an arrival window that lie closer are merged, so that many looks do not make a long window."""

SHORTEST_SECONDS = 1.0
"""What came in less is not taken to go on at that pace: a rate is over this long at least."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The highest value of a sliding window. Only values that can still become the highest are kept, in falling order:
    at most as many as there are different values.
    """

    points: tuple[tuple[float, int], ...] = ()

    def add(self, time: float, value: int, *, seconds: float) -> Peak:
        """Add a value, and drop what is `seconds` old or older."""
        kept = [point for point in self.points if time - point[0] < seconds and point[1] > value]
        return Peak((*kept, (time, value)))

    @property
    def value(self) -> int:
        """The highest; ValueError if nothing was added."""
        if not self.points:
            raise ValueError("an empty window has no highest value")
        return self.points[0][1]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How many came, over the last `seconds` of looks.

    Each look brings counters that all count every arrival and may each count something else as well (a redelivery, a
    delayed message): the least that any of them grew by is believed. One that falls was begun anew; it says nothing
    for that look.
    """

    counters: tuple[int, ...] = ()
    """As they were at the last look."""
    points: tuple[tuple[float, int], ...] = ()
    """Time and total, since the first look."""

    def add(self, time: float, counters: tuple[int, ...], *, seconds: float) -> Arrivals:
        """Add a look, and drop what no rate over the last `seconds` needs."""
        points = list(self.points)
        total = points[-1][1] + self._count_new(counters) if points else 0
        if len(points) > 1 and time - points[-2][0] < RESOLUTION_SECONDS:
            points.pop()
        points.append((time, total))
        while len(points) > 1 and points[1][0] <= time - seconds:
            del points[0]
        return Arrivals(counters, tuple(points))

    def rate(self, *, since: float, until: float = 0.0) -> float:
        """Arrivals per second from `since` to `until` seconds ago. A window that was not looked at for so long gives
        the rate of what was; one that was not looked at at all gives 0.
        """
        if not self.points:
            return 0.0
        now = self.points[-1][0]
        begin, end = self._find(now - since), self._find(now - until)
        return (end[1] - begin[1]) / max(end[0] - begin[0], SHORTEST_SECONDS)

    @property
    def latest(self) -> int:
        """How many came since the look before the last (at most `RESOLUTION_SECONDS` more)."""
        return self.points[-1][1] - self.points[-2][1] if len(self.points) > 1 else 0

    def _find(self, time: float) -> tuple[float, int]:
        """The last look at or before a time, else the first."""
        found = self.points[0]
        for point in self.points:
            if point[0] > time:
                break
            found = point
        return found

    def _count_new(self, counters: tuple[int, ...]) -> int:
        grown = [new - old for old, new in zip(self.counters, counters, strict=False) if new >= old]
        return min(grown, default=0)
