"""The port `Payloads` on an object store (ADR-20), so that nats' own tools read and write the same objects.

Done on the fast layer and not by nats-py's client, whose reads wait for ever when the connection breaks between two
chunks. The chunks of an object lie on a subject of their own, and its meta message comes last: an object is there whole
or not at all. A replaced or removed one leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import secrets
from datetime import UTC, datetime
from typing import Any

import msgspec

from jetmill.bus.jetstream.append import Appender, AppendOptions
from jetmill.bus.jetstream.link import Link
from jetmill.bus.jetstream.read import Reader
from jetmill.errors import BusError, NoAnswerError, NotFoundError
from jetmill.protocol.subject import Subjects

_CHUNK_BYTES = 128 * 1024
_WINDOW = 16
"""Chunks under way at once."""
_ROLLUP = b"Nats-Rollup: sub\r\n"


class _Meta(msgspec.Struct, omit_defaults=True):
    """An object's meta message, as ADR-20 has it."""

    name: str
    bucket: str = ""
    nuid: str = ""
    size: int = 0
    chunks: int = 0
    digest: str = ""
    mtime: str = ""
    deleted: bool = False
    options: dict[str, Any] | None = None


class JetStreamPayloads:
    """Large payloads and results of one namespace."""

    def __init__(self, link: Link, subjects: Subjects, reader: Reader) -> None:
        self._link = link
        self._reader = reader
        self._bucket = subjects.payloads_bucket
        self._stream = f"OBJ_{self._bucket}"
        self._appender = Appender(link, AppendOptions(atomic=False))

    async def put(self, name: str, data: bytes) -> None:
        """See the port; after an error the former object stands, or (NoAnswerError) the new one."""
        before = await self._meta(name)
        meta = _Meta(
            name,
            bucket=self._bucket,
            nuid=secrets.token_hex(11),
            size=len(data),
            chunks=-(-len(data) // _CHUNK_BYTES),
            digest=_digest(data),
            mtime=datetime.now(UTC).isoformat(),
            options={"max_chunk_size": _CHUNK_BYTES},
        )
        try:
            await self._put_chunks(meta, data)
            await self._appender.append(self._meta_subject(name), msgspec.json.encode(meta), headers=_ROLLUP)
        except NoAnswerError:  # the meta message may yet be there: its chunks have to stay
            raise
        except BusError:
            await self._tidy(meta)
            raise
        if before is not None:
            await self._tidy(before)

    async def get(self, name: str) -> bytes:
        """See the port; NotFoundError too for an object that has lost chunks."""
        nuid = ""
        while True:
            meta = await self._meta(name)
            if meta is None or meta.deleted:
                raise NotFoundError(f"{self._where(name)}: not there", code=404)
            if meta.nuid == nuid:  # nobody replaced it while it was read
                raise NotFoundError(f"{self._where(name)}: damaged, its chunks do not add up", code=404)
            data = await self._get_chunks(meta)
            if len(data) == meta.size and _digest(data) == _pad(meta.digest):
                return data
            nuid = meta.nuid

    async def remove(self, name: str) -> None:
        """See the port."""
        meta = await self._meta(name)
        if meta is None:
            return
        await self._reader.purge(self._stream, self._meta_subject(name))
        await self._reader.purge(self._stream, self._chunk_subject(meta))

    async def _put_chunks(self, meta: _Meta, data: bytes) -> None:
        subject = self._chunk_subject(meta)
        step = _CHUNK_BYTES * _WINDOW
        for start in range(0, len(data), step):
            window = range(start, min(start + step, len(data)), _CHUNK_BYTES)
            answers = [self._appender.append(subject, data[at : at + _CHUNK_BYTES]) for at in window]
            errors = [end for end in await asyncio.gather(*answers, return_exceptions=True) if not isinstance(end, int)]
            if errors:
                raise errors[0]

    async def _get_chunks(self, meta: _Meta) -> bytes:
        """The chunks that are there; what the replica that was asked lacks comes from the leader."""
        subject = self._chunk_subject(meta)
        chunks: list[bytes] = []
        seen = 0
        while len(chunks) < meta.chunks:
            found = await self._reader.direct_batch(
                self._stream, start_seq=seen + 1, subject_filter=subject, batch=_WINDOW
            )
            if not found:
                following = await self._reader.get_next(self._stream, subject, after=seen)
                if following is None:
                    break
                found = [following]
            chunks += [message.payload for message in found]
            seen = found[-1].seq
        return b"".join(chunks)

    async def _meta(self, name: str) -> _Meta | None:
        message = await self._reader.get_last(self._stream, self._meta_subject(name))
        if message is None:
            return None
        try:
            return msgspec.json.decode(message.payload, type=_Meta)
        except msgspec.MsgspecError as err:
            raise BusError(f"{self._where(name)}: its meta message cannot be read: {err}") from err

    async def _tidy(self, meta: _Meta) -> None:
        """Remove chunks that belong to no object any more; left out, they cost room only."""
        with contextlib.suppress(BusError):
            await self._reader.purge(self._stream, self._chunk_subject(meta))

    def _chunk_subject(self, meta: _Meta) -> str:
        return f"$O.{self._bucket}.C.{meta.nuid}"

    def _meta_subject(self, name: str) -> str:
        return f"$O.{self._bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"

    def _where(self, name: str) -> str:
        return f"object {name} in {self._bucket}"


def _digest(data: bytes) -> str:
    return "SHA-256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()


def _pad(digest: str) -> str:
    """A digest as we write it: others leave out the padding."""
    return digest.rstrip("=") + "=" * (-len(digest.rstrip("=").removeprefix("SHA-256=")) % 4)
