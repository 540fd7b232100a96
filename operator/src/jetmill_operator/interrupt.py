"""Signals that tell a process to end: every process of ours ends in order, and says how itself."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

ENDING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def heed_signals(stop: Callable[[], None], *more: signal.Signals) -> Iterator[None]:
    """Call `stop` on the running loop for each SIGINT and SIGTERM (and `more`) that comes while the block runs."""
    loop = asyncio.get_running_loop()
    numbers = (*ENDING, *more)
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
