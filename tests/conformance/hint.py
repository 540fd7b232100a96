"""Hints of one Job, and what its queue holds: for the tests of the port `Queue`."""

from __future__ import annotations

import asyncio

from factories import JOB, make_hint
from jetmill.bus.ports import Bus, Depth
from jetmill.protocol.hint import Hint
from support.wait import eventually, soon


async def publish(bus: Bus, count: int = 1, **fields: object) -> list[Hint]:
    """Publish so many hints at once."""
    hints = [make_hint(**fields) for _ in range(count)]
    await soon(asyncio.gather(*(bus.queue.publish(hint) for hint in hints)))
    return hints


async def depth_is(bus: Bus, *, ready: int = 0, in_flight: int = 0, delayed: int = 0) -> None:
    """Wait until the queue holds just that."""
    expected = Depth(ready=ready, in_flight=in_flight, delayed=delayed)

    async def same() -> bool:
        return await bus.queue.depth(JOB) == expected

    await eventually(same, what=f"{expected}, is {await bus.queue.depth(JOB)}")
