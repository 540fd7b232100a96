"""What happens on the next turn of the loop: a network's delay in its smallest form.

Answers are collected and given together, with one callback of the loop for all, so that a caller never finds a
future done in the turn in which he asked, and ten thousand answers cost one wake-up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Turn:
    """Calls and answers for the next turn of one event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in use, None before the first."""
        return self._loop

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Use another loop; what was left for the old one is dropped."""
        self._loop = loop
        self._calls = []

    def later(self, call: Callable[..., None], *args: Any) -> None:
        """Call on the next turn, in order; without a loop (nobody is connected) nothing is called."""
        if self._loop is None or self._loop.is_closed():
            return
        if not self._calls:
            self._loop.call_soon(self._run)
        self._calls.append((call, args))

    def answer(self, future: asyncio.Future[Any], result: Any) -> None:
        """Give a future its result, or its exception, on the next turn."""
        self.later(_settle, future, result)

    def _run(self) -> None:
        calls, self._calls = self._calls, []
        for call, args in calls:
            try:
                call(*args)
            except Exception as err:  # noqa: BLE001 - a callback's fault is the loop's to report, as for any callback
                assert self._loop is not None
                self._loop.call_exception_handler({"message": "a callback of the memory bus failed", "exception": err})


def _settle(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)


class Bell:
    """Lets coroutines wait until something has changed."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._waiting: list[asyncio.Future[None]] = []

    def ring(self) -> None:
        """Wake all who wait, on the next turn."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                self._turn.answer(future, None)

    async def wait(self) -> None:
        """Wait for the next ring."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future
