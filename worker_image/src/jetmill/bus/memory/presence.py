"""Presence in memory: a key is gone once the world's clock has passed its time."""

from __future__ import annotations

from jetmill.bus.memory.link import MemoryLink
from jetmill.protocol.codec import decode_presence, encode
from jetmill.protocol.record import Presence

DEPARTED = 60_000_000
"""µs for which it is known that a worker has gone orderly."""


class MemoryPresenceBoard:
    """The port `PresenceBoard`."""

    def __init__(self, link: MemoryLink) -> None:
        self._link = link
        self._world = link.world

    async def put(self, presence: Presence, *, ttl_seconds: float) -> None:
        """See the port."""
        self._ask()
        ends = self._world.clock.now() + round(ttl_seconds * 1_000_000)
        self._world.presence[presence.worker] = (ends, encode(presence))
        await self._link.turn()

    async def remove(self, worker: str) -> None:
        """See the port."""
        self._ask()
        self._world.presence.pop(worker, None)
        self._world.departed[worker] = self._world.clock.now() + DEPARTED
        await self._link.turn()

    async def is_removed(self, worker: str) -> bool:
        """See the port."""
        self._ask()
        await self._link.turn()
        return worker not in self._world.presence and self._world.departed.get(worker, 0) > self._world.clock.now()

    async def get(self, worker: str) -> Presence | None:
        """See the port."""
        self._ask()
        found = self._read(worker)
        await self._link.turn()
        return found

    async def all(self) -> list[Presence]:
        """See the port."""
        self._ask()
        found = [presence for worker in list(self._world.presence) if (presence := self._read(worker)) is not None]
        await self._link.turn()
        return found

    def _read(self, worker: str) -> Presence | None:
        ends, data = self._world.presence.get(worker, (0, b""))
        if ends > self._world.clock.now():
            return decode_presence(data)
        self._world.presence.pop(worker, None)
        return None

    def _ask(self) -> None:
        self._link.check()
        self._world.need_namespace()
