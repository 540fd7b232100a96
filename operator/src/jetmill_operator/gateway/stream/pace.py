"""How fast a client may send frames: a bucket that each frame takes one out of, filled at a steady rate. Pure."""

from __future__ import annotations


class Pace:
    """One client's bucket, full at the beginning."""

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, per_second: float, burst: int) -> None:
        self._rate = per_second
        self._burst = float(burst)
        self._level = float(burst)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Take one out at a time in seconds; false if there is none."""
        if self._at is not None:
            self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True
