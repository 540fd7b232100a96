"""The connection beneath a memory Bus: none, but it can be closed, and it knows for how long it has stood."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jetmill.errors import DisconnectedError

if TYPE_CHECKING:
    from jetmill.bus.memory.world import MemoryWorld


class MemoryLink:
    """One user of a world, on one event loop."""

    threaded = False

    def __init__(self, world: MemoryWorld, loop: asyncio.AbstractEventLoop) -> None:
        self.world = world
        self.loop = loop
        self.closed = False
        self._since = world.clock.now()
        self._on_close: dict[int, Callable[[], None]] = {}
        self._count = 0

    @property
    def connected(self) -> bool:
        """True until it is closed."""
        return not self.closed

    @property
    def connected_seconds(self) -> float:
        """For how long, by the world's clock."""
        return 0.0 if self.closed else (self.world.clock.now() - self._since) / 1_000_000

    def now(self) -> int:
        """The world's clock, µs."""
        return self.world.clock.now()

    async def room(self) -> None:
        """There is always room; others get a turn."""
        await asyncio.sleep(0)

    async def flush(self) -> None:
        """What was sent is heard in the next turn."""
        self.check()
        await self.turn()

    async def close(self) -> None:
        """Stop what was begun over this link; answers under way are given first."""
        await self.turn()
        self.drop()

    def drop(self) -> None:
        """Leave at once: deliveries in hand lapse by themselves, as when a process dies."""
        if self.closed:
            return
        self.closed = True
        for call in list(self._on_close.values()):
            call()
        self._on_close.clear()
        self.world.forget(self)

    def on_close(self, call: Callable[[], None]) -> Callable[[], None]:
        """Call when the link closes; returns the way to do it earlier, idempotent."""
        self._count += 1
        key = self._count
        self._on_close[key] = call

        def stop() -> None:
            if self._on_close.pop(key, None) is not None:
                call()

        return stop

    def check(self) -> None:
        """Raise DisconnectedError once closed."""
        if self.closed:
            raise DisconnectedError("the memory bus was closed", cure="connect again")

    async def turn(self) -> None:
        """Let everything happen that was left for the next turn."""
        await asyncio.sleep(0)

    def future(self) -> asyncio.Future[Any]:
        """A future of this link's loop."""
        return self.loop.create_future()

    def refuse(self) -> asyncio.Future[Any]:
        """What a write on a closed link gives."""
        future = self.future()
        future.set_exception(DisconnectedError("the memory bus was closed", cure="connect again"))
        return future
