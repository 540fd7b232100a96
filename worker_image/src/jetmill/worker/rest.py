"""Taking nothing more for a while, because somebody asked: the worker's side of scaling in.

```
 takes jobs ──drain──▶ rests (gives back what waits; what is in hand ends) ──SIGTERM──▶ stops
      ▲                  │ drain: the minute begins anew
      └─────undrain, or a minute without a word──┘
```

Whoever asks reads in the worker's presence that it drains and that it has nothing in hand; then it may be stopped, and
no job is interrupted by it. Pushes may be lost and an operator may die, so a worker that hears nothing more goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from jetmill.worker.intake import Intake
from jetmill.worker.log import get_logger

REST_SECONDS = 60.0
"""After so long without being asked again a worker goes on."""
log = get_logger()


class Rest:
    """Whether a worker rests; `on_change` is called when it begins, when nothing is in hand any more, when it ends."""

    def __init__(self, intake: Intake, *, on_change: Callable[[], None], seconds: float = REST_SECONDS) -> None:
        self.on = False
        self._intake = intake
        self._on_change = on_change
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Take nothing more; asked again, go on resting for as long."""
        self._cancel()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._lapse)
        if not self.on:
            self._intake.rest(on_empty=self._on_change)
            self.on = True  # last: who reads it from another thread may trust that nothing begins any more
            log.info("worker_resting")
            self._on_change()

    def end(self) -> None:
        """Take jobs again."""
        self._cancel()
        if self.on:
            self.on = False
            log.info("worker_resumed")
            self._intake.resume()
            self._on_change()

    def close(self) -> None:
        """Let it be as it is; the worker stops."""
        self._cancel()

    def _lapse(self) -> None:
        log.warning("worker_rest_lapsed", seconds=self._seconds)
        self.end()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
