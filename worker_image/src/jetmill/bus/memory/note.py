"""Notes in memory: a dictionary with sequences."""

from __future__ import annotations

from jetmill.bus.memory.link import MemoryLink
from jetmill.bus.ports import Note
from jetmill.errors import RefusedError
from jetmill.protocol.name import parse_event_type


class NoteStore:
    """The notes of a world."""

    def __init__(self) -> None:
        self.notes: dict[str, Note] = {}
        self.seq = 0


class MemoryNotes:
    """The port `Notes`."""

    def __init__(self, link: MemoryLink) -> None:
        self._link = link
        self._world = link.world
        self._store = link.world.notes

    async def read(self, key: str) -> Note | None:
        """See the port."""
        self._ask(key)
        found = self._store.notes.get(key)
        await self._link.turn()
        return found

    async def write(self, key: str, data: bytes, *, expected: int) -> int:
        """See the port."""
        self._ask(key)
        there = self._store.notes.get(key)
        if (0 if there is None else there.seq) != expected:
            raise RefusedError(f"note {key} is not at {expected}", code=10071, cure="read it again, then decide again")
        self._store.seq += 1
        seq = self._store.seq
        self._store.notes[key] = Note(seq, self._world.clock.now(), bytes(data))
        await self._link.turn()
        return seq

    async def remove(self, key: str) -> None:
        """See the port."""
        self._ask(key)
        self._store.notes.pop(key, None)
        await self._link.turn()

    def _ask(self, key: str) -> None:
        parse_event_type(key, field="key")
        self._link.check()
        self._world.need_namespace()
