"""Jobs whose handler is not known here are left to workers that know it.

In a rollout old and new workers pull from one queue. An old one that took jobs only to give them back would keep each
of them from the new ones for a while, again and again; so it does not take them. Only when the patience is over, and no
other worker knows the handler, does it take some: those that have waited as long have to fail.

```
 missing ─▶ held ── patience, then each minute: over ─▶ nobody else knows it: open ─▶ taken
             ▲                                                                         │
             └───────────────────────────── one that is too young ─────────────────────┘
```
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from jetmill.protocol.record import Presence

LOOK_SECONDS = 60.0
"""Between two looks at a Job, once the patience is over."""


class Holds:
    """Which Jobs are left alone now; `on_over` hears when one has been for so long that it may be opened."""

    def __init__(self, *, patience_seconds: float, on_over: Callable[[str], None]) -> None:
        """`patience_seconds`: how long from when a handler was first missed; 0: nothing is ever left alone."""
        self._loop = asyncio.get_running_loop()
        self._patience_seconds = patience_seconds
        self._on_over = on_over
        self._missing: dict[str, str] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def is_held(self, job: str, missing: str) -> bool:
        """Tell whether a Job is to be left alone; `missing` says what is, and another lack begins the patience anew."""
        if self._missing.get(job) != missing:
            self._missing[job] = missing
            self._begin(job, self._patience_seconds)
        return job in self._timers

    def open(self, job: str) -> None:
        """Leave a Job alone no more, until `hold_again`."""
        self._cancel(job)

    def hold_again(self, job: str) -> None:
        """Leave it alone for another minute: a job of it has not waited long enough."""
        if job in self._missing:
            self._begin(job, min(LOOK_SECONDS, self._patience_seconds))

    def release(self, job: str) -> None:
        """The handler is known now, or the Job is not served any more."""
        self._missing.pop(job, None)
        self._cancel(job)

    def close(self) -> None:
        """End every timer."""
        for job in tuple(self._timers):
            self._cancel(job)

    def _begin(self, job: str, seconds: float) -> None:
        self._cancel(job)
        if seconds > 0:
            self._timers[job] = self._loop.call_later(seconds, self._end, job)

    def _end(self, job: str) -> None:
        self.hold_again(job)
        self._on_over(job)

    def _cancel(self, job: str) -> None:
        timer = self._timers.pop(job, None)
        if timer is not None:
            timer.cancel()


def is_known_elsewhere(job: str, workers: Iterable[Presence], *, worker: str) -> bool:
    """Tell whether another than `worker` serves a Job, knows its handler and is not about to end."""
    return any(
        one.worker != worker and job in one.jobs and job not in one.missing and not one.stopping for one in workers
    )
