"""When an atomic batch pays: measured from the appends themselves.

A batch costs an R1 file stream a temporary store (some milliseconds), whatever its size; a single costs a sync where
the server syncs always (200 µs and more), and next to nothing where it does not (10 µs). From LARGE_BATCH on a batch
costs the server no more than its members alone, whatever these cost, and spares us their answers. Whether a smaller
one pays has to be measured: the price of a single is watched while the server, not we, is what everything waits for:
when answers were still missing each time we looked. The cheapest of the last samples counts, for a busy machine makes
samples dearer than they are and batches leave no singles to correct it by; for the same reason the price is forgotten,
and measured anew, every few seconds.
"""

from __future__ import annotations

from collections import deque

_BATCH_US = 2500.0
_MEMBER_US = 60.0
_SMALLEST_BATCH = 16
_BUSY = 8
_SAMPLE = 32
_SAMPLES = 4
_MEMORY_SECONDS = 5.0
LARGE_BATCH = 250
"""As many that wait go as a batch, always."""


class Pace:
    """How many appends must wait before a batch is worth its cost; `fixed` says it instead of measuring."""

    def __init__(self, fixed: int | None = None) -> None:
        self._fixed = fixed
        self._began = 0.0
        self._ended = 0
        self._samples: deque[float] = deque(maxlen=_SAMPLES)
        self._learned = 0.0
        self.single_us: float | None = None
        self.threshold = LARGE_BATCH if fixed is None else fixed

    def observe(self, now: float, *, ended: int, in_flight: int) -> None:
        """Take note at `now` (seconds) of singles that ended since the last note; `in_flight` are still on the way."""
        if self._fixed is not None:
            return
        if len(self._samples) == _SAMPLES and now - self._learned > _MEMORY_SECONDS:
            self._samples.clear()
            self.threshold = LARGE_BATCH
        if in_flight < _BUSY:
            self._began = 0.0
            return
        if not self._began:
            self._began, self._ended = now, 0
            return
        self._ended += ended
        if self._ended >= _SAMPLE:
            self._learn(now, (now - self._began) / self._ended * 1e6)
            self._began, self._ended = now, 0

    def _learn(self, now: float, sample_us: float) -> None:
        self._samples.append(sample_us)
        if len(self._samples) < _SAMPLES:
            return
        self._learned = now
        self.single_us = min(self._samples)
        saved_us = self.single_us - _MEMBER_US
        worth = int(_BATCH_US / saved_us) if saved_us > 0 else LARGE_BATCH
        self.threshold = min(LARGE_BATCH, max(_SMALLEST_BATCH, worth))
