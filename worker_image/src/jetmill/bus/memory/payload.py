"""The object store in memory: a dictionary of bytes."""

from __future__ import annotations

from jetmill.bus.memory.link import MemoryLink
from jetmill.errors import NotFoundError


class MemoryPayloads:
    """The port `Payloads`."""

    def __init__(self, link: MemoryLink) -> None:
        self._link = link
        self._world = link.world

    async def put(self, name: str, data: bytes) -> None:
        """See the port."""
        self._ask()
        self._world.payloads[name] = bytes(data)
        await self._link.turn()

    async def get(self, name: str) -> bytes:
        """See the port."""
        self._ask()
        data = self._world.payloads.get(name)
        await self._link.turn()
        if data is None:
            raise NotFoundError(f"no payload {name!r}", code=404)
        return data

    async def remove(self, name: str) -> None:
        """See the port."""
        self._ask()
        self._world.payloads.pop(name, None)
        await self._link.turn()

    def _ask(self) -> None:
        self._link.check()
        self._world.need_namespace()
