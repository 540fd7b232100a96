"""An event loop whose time passes only when nothing else is left to do, and then at once.

For tests in memory, where every wait is a wait of our own code (a backoff, an interval): thousands of steps with
their waits take as long as their work.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _NoWait(selectors.DefaultSelector):
    """Never waits; tells how long it should have."""

    def __init__(self) -> None:
        super().__init__()
        self.slept = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.slept += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time is the sum of all waits."""

    def __init__(self) -> None:
        self._no_wait = _NoWait()
        super().__init__(self._no_wait)

    def time(self) -> float:
        return self._no_wait.slept
