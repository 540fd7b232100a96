"""Following the events of a namespace from where it was left, one dispatcher at a time.

```
 note ─ of another, and fresh ─▶ look again ─▶ …
   │ of nobody, mine, or stale
   ▼
 write it (compare-and-set) ─▶ follow from its sequence ─▶ take a list ─▶ … the note is renewed every second
        refused: another was first                             refused: another has taken over ─▶ look again
```

Who follows is no leader: what is taken twice is taken once, for whoever takes it makes ids of what it takes. The note
says how far everything was taken, and spares the others the same work. A follower that dies is missed after
`SILENT_SECONDS`; what it took since its last word is taken again.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from jetmill.bus.ports import Bus, EventMessage
from jetmill.errors import CodecError, RefusedError
from jetmill.protocol.record import VERSION, Struct

RENEW_SECONDS = 1.0
SILENT_SECONDS = 6.0
"""A note that was not written for so long is nobody's."""
LOOK_SECONDS = 2.0

log = structlog.get_logger("jetmill.dispatcher")
Take = Callable[[list[EventMessage]], Awaitable[None]]


class Position(Struct, frozen=True, kw_only=True, tag_field="v", tag=VERSION):
    """How far a stream was followed, and by whom."""

    seq: int
    by: str


_decoder = msgspec.json.Decoder(Position)


class Pursuit:
    """One dispatcher's part in following the events for one purpose. Times are by the server's clock."""

    def __init__(self, bus: Bus, name: str, take: Take, *, silent_seconds: float = SILENT_SECONDS) -> None:
        self._bus = bus
        self._key = f"route.{name}"
        self._take = take
        self._silent_seconds = silent_seconds
        self._me = secrets.token_hex(8)
        self._note_seq = 0
        self._position = 0
        self.following = False
        """This one does it."""

    async def run(self) -> None:
        """Follow, or stand by for who does, until cancelled; BusError, and whatever `take` raises."""
        while True:
            start = await self._take_over()
            if start is None:
                await asyncio.sleep(min(LOOK_SECONDS, self._silent_seconds))
                continue
            await self._follow(start)

    async def _take_over(self) -> int | None:
        """The sequence to go on behind; None: somebody else follows."""
        note = await self._bus.notes.read(self._key)
        position = 0
        if note is not None:
            there = _decode(note.data)
            fresh = self._bus.link.now() - note.time < self._silent_seconds * 1_000_000
            if there is not None and there.by != self._me and fresh:
                return None
            position = 0 if there is None else there.seq
        try:
            self._note_seq = await self._write(position, expected=0 if note is None else note.seq)
        except RefusedError:
            return None
        self._position = position
        return position

    async def _follow(self, start: int) -> None:
        self.following = True
        log.info("following", purpose=self._key, namespace=self._bus.subjects.namespace, after=start)
        reading = asyncio.create_task(self._read(start))
        try:
            while not reading.done():
                await asyncio.wait({reading}, timeout=RENEW_SECONDS)
                if not reading.done():
                    self._note_seq = await self._write(self._position, expected=self._note_seq)
            await reading
        except RefusedError:
            log.info("following_left", purpose=self._key, namespace=self._bus.subjects.namespace)
        finally:
            self.following = False
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, start: int) -> None:
        lists = self._bus.events.follow(start=start + 1)
        async with contextlib.aclosing(lists):  # type: ignore[type-var]
            async for messages in lists:
                await self._take(messages)
                self._position = messages[-1].seq

    async def _write(self, seq: int, *, expected: int) -> int:
        return await self._bus.notes.write(
            self._key, msgspec.json.encode(Position(seq=seq, by=self._me)), expected=expected
        )


def _decode(data: bytes) -> Position | None:
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, CodecError):
        return None
