"""Waiting for conditions, with an end: a test that waits in vain says for what."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

PATIENCE_SECONDS = 25.0
"""Less than the lease that Jobs have if they say nothing: what only a lapse brings back comes too late."""
PROCESS_SECONDS = 120.0
"""For what a process does first: on a machine that is busy it takes half a minute to begin."""

_T = TypeVar("_T")


async def soon(awaitable: Awaitable[_T], *, seconds: float = PATIENCE_SECONDS) -> _T:
    """Await something that must come; TimeoutError otherwise."""
    return await asyncio.wait_for(awaitable, seconds)


async def eventually(
    condition: Callable[[], Any | Awaitable[Any]],
    *,
    seconds: float = PATIENCE_SECONDS,
    every_seconds: float = 0.005,
    what: str = "",
) -> Any:
    """Ask until the condition gives something true, and return that; AssertionError with the last answer otherwise."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if loop.time() > end:
            raise AssertionError(f"waited {seconds} s for {what or inspect.getsource(condition).strip()}: {answer!r}")
        await asyncio.sleep(every_seconds)
