"""The port `Notes` on a bucket that keeps the last word of each key."""

from __future__ import annotations

import msgspec

from jetmill.bus.jetstream import wire
from jetmill.bus.jetstream.link import Link
from jetmill.bus.jetstream.read import Reader
from jetmill.bus.ports import Note
from jetmill.errors import BusError
from jetmill.protocol.name import parse_event_type
from jetmill.protocol.subject import Subjects

_FOLLOWS = b"Nats-Expected-Last-Subject-Sequence: %d\r\n"


class _Answer(msgspec.Struct):
    seq: int


class JetStreamNotes:
    """What the processes of one namespace leave for each other."""

    def __init__(self, link: Link, subjects: Subjects, reader: Reader) -> None:
        self._link = link
        self._reader = reader
        self._stream = f"KV_{subjects.notes_bucket}"
        self._prefix = f"$KV.{subjects.notes_bucket}."

    async def read(self, key: str) -> Note | None:
        """See the port."""
        message = await self._reader.get_last(self._stream, self._subject(key))
        return None if message is None else Note(message.seq, message.time_us, message.payload)

    async def write(self, key: str, data: bytes, *, expected: int) -> int:
        """See the port."""
        subject = self._subject(key)
        frame = await self._link.request(subject, data, headers=_FOLLOWS % expected)
        wire.raise_for_error(frame.payload, subject)
        try:
            return msgspec.json.decode(frame.payload, type=_Answer).seq
        except msgspec.MsgspecError as err:
            raise BusError(f"{subject}: an answer of another shape") from err

    async def remove(self, key: str) -> None:
        """See the port."""
        await self._reader.purge(self._stream, self._subject(key))

    def _subject(self, key: str) -> str:
        return self._prefix + parse_event_type(key, field="key")
