"""When an atomic batch pays: measured from the appends themselves.

A batch costs an R1 file stream a temporary store (some milliseconds) and each member a second write; a single costs a
sync where the server syncs always (50 µs and more, by the disk), and little where it does not. With the server's
default sync a drain in singles is a third quicker than one in batches, with every write synced half as quick.

So both are measured, each while it is what everything waits for: singles from when eight are under way,
large batches from when two are. Answers come in bursts, so a sample is a window of singles; the cheaper of two
counts, for a machine has hiccups. Nothing is batched until singles are known not to be cheap; then batches are tried,
and go on where a member costs clearly less than a single. A price is forgotten after half a minute in which it
was not seen.
"""

from __future__ import annotations

import sys
from collections import deque

_BATCH_US = 2500.0
_MEMBER_US = 15.0
_CHEAP_US = 50.0
_DEAR_US = 150.0
_WORTH = 0.6
"""A member that costs less than this part of a single is worth batches; both are measured on a busy machine."""
_SMALLEST_BATCH = 16
_BUSY_SINGLES = 8
_BUSY_BATCHES = 2
_SAMPLE_SINGLES = 256
_SAMPLE_MEMBERS = 500
_SAMPLES = 2
_MEMORY_SECONDS = 30.0
LARGE_BATCH = 250
"""As many that wait are enough for a batch wherever batches pay."""
NEVER = sys.maxsize
_WINDOW = 256
_WINDOW_CHEAP = 2000


class _Meter:
    """What one of many costs while the server has `busy` of them or more; samples of `sample` each, over as many busy
    times as that takes.
    """

    def __init__(self, busy: int, sample: int) -> None:
        self._busy = busy
        self._sample = sample
        self._began = 0.0
        self._ended = 0
        self._spent = 0.0
        self._samples: deque[float] = deque(maxlen=_SAMPLES)
        self.learned = 0.0

    @property
    def us(self) -> float | None:
        """Microseconds for each; None: not known (any more)."""
        return min(self._samples) if len(self._samples) == _SAMPLES else None

    @property
    def knows(self) -> bool:
        """There is a sample, be it one of those that make a price."""
        return bool(self._samples)

    def observe(self, now: float, ended: int, in_flight: int) -> bool:
        """Take note; True: there is a new sample."""
        if self._began:
            self._ended += ended
            self._spent += now - self._began
        self._began = now if in_flight >= self._busy else 0.0
        if self._ended < self._sample:
            return False
        self._samples.append(self._spent / self._ended * 1e6)
        self._ended, self._spent, self.learned = 0, 0.0, now
        return True

    def begin(self, now: float, in_flight: int) -> None:
        """So many are under way from now on."""
        if in_flight < self._busy:
            self._began = 0.0
        elif not self._began:
            self._began = now

    def interrupt(self) -> None:
        """What is under way will not be answered; what was learned before stands."""
        self._began, self._ended, self._spent = 0.0, 0, 0.0

    def forget(self) -> None:
        """Measure anew."""
        self._samples.clear()


class Pace:
    """How many appends must wait before a batch is worth its cost (`threshold`), and how many singles may be under
    way (`window`); `fixed` says the first instead of measuring.
    """

    def __init__(self, fixed: int | None = None) -> None:
        self._fixed = fixed
        self._singles = _Meter(_BUSY_SINGLES, _SAMPLE_SINGLES)
        self._members = _Meter(_BUSY_BATCHES, _SAMPLE_MEMBERS)
        self.threshold = NEVER if fixed is None else fixed
        self.window = _WINDOW

    @property
    def single_us(self) -> float | None:
        """What a single costs, as far as it is known."""
        return self._singles.us

    def observe(
        self, now: float, *, singles: int, members: int, singles_in_flight: int, batches_in_flight: int
    ) -> None:
        """Take note at `now` (seconds) of `singles`, and `members` of large batches, that ended since the last note,
        and of what is still on the way.
        """
        if self._fixed is not None:
            return
        alone = 0 if batches_in_flight else singles_in_flight
        learned = self._singles.observe(now, singles, alone)
        learned |= self._members.observe(now, members, batches_in_flight)
        learned |= self._forget(now)
        if learned:
            self._decide()

    def begin(self, now: float, *, singles_in_flight: int, batches_in_flight: int) -> None:
        """Take note of what is under way after some were sent."""
        if self._fixed is None:
            self._singles.begin(now, 0 if batches_in_flight else singles_in_flight)
            self._members.begin(now, batches_in_flight)

    def skip_batches(self) -> None:
        """A small batch has ended: the time since the last sample is not that of large ones."""
        self._members.interrupt()

    def interrupt(self) -> None:
        """No answer came, or the connection broke: how long that takes is nobody's price."""
        self._singles.interrupt()
        self._members.interrupt()

    def _forget(self, now: float) -> bool:
        forgets = False
        for meter in (self._singles, self._members):
            if meter.knows and now - meter.learned > _MEMORY_SECONDS:
                meter.forget()
                forgets = True
        return forgets

    def _decide(self) -> None:
        single, member = self._singles.us, self._members.us
        if single is None:
            self.threshold, self.window = NEVER, _WINDOW
        elif single <= _CHEAP_US:
            self.threshold, self.window = NEVER, _WINDOW_CHEAP
        elif member is not None and member >= single * _WORTH:
            self.threshold, self.window = NEVER, _WINDOW
        elif member is None and single < _DEAR_US:
            self.threshold, self.window = LARGE_BATCH, _WINDOW  # tried with large ones, which can be measured
        else:
            worth = int(_BATCH_US / (single - _MEMBER_US))
            self.threshold, self.window = min(LARGE_BATCH, max(_SMALLEST_BATCH, worth)), _WINDOW
