"""Reads of streams that nats-py has no call for: batches of direct gets, subjects by page, answers in order.

`get_last` and `get_seq` ask the stream's leader and see every write that was answered before. `direct_batch` and
`multi_last` are answered by any replica, and may be a little old.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from jetmill.bus.jetstream import wire
from jetmill.bus.jetstream.link import Call, Link
from jetmill.errors import BusError, NotFoundError

_T = TypeVar("_T")
_NO_MESSAGE = 10037


class StoredMessage:
    """A message as a stream keeps it."""

    __slots__ = ("head", "payload", "seq", "subject", "time_us")

    def __init__(self, subject: str, *, seq: int, time_us: int, payload: bytes, head: bytes | None) -> None:
        self.subject = subject
        self.seq = seq
        self.time_us = time_us
        self.payload = payload
        self.head = head

    def header(self, name: str) -> str | None:
        """The first value of a header; names as sent, case counts."""
        return wire.parse_header(self.head, name)

    def __repr__(self) -> str:
        return f"StoredMessage({self.subject!r}, seq={self.seq}, {len(self.payload)} bytes)"


class _Raw(msgspec.Struct):
    subject: str
    seq: int
    time: str
    data: str = ""
    hdrs: str = ""


class _GetAnswer(msgspec.Struct):
    message: _Raw | None = None


class Tail(msgspec.Struct):
    """The end of a stream, and how much is in it."""

    last_seq: int = 0
    messages: int = 0


class _Config(msgspec.Struct):
    name: str


class _Listed(msgspec.Struct):
    config: _Config
    state: Tail


class _ListAnswer(msgspec.Struct):
    total: int = 0
    streams: list[_Listed] | None = None


class _TailAnswer(msgspec.Struct):
    state: Tail


class _State(msgspec.Struct):
    last_seq: int = 0
    subjects: dict[str, int] | None = None


class _InfoAnswer(msgspec.Struct):
    state: _State
    total: int = 0


class _PurgeAnswer(msgspec.Struct):
    purged: int = 0


class _Collect(Call):
    """Direct gets that answer with many messages and a status at the end."""

    __slots__ = ("future", "link", "messages", "patience")

    def __init__(self, link: Link) -> None:
        self.link = link
        self.messages: list[StoredMessage] = []
        self.future: asyncio.Future[bytes] = link.loop.create_future()
        self.patience = link.options.request_timeout_seconds

    def answer(self, head: bytes | None, payload: bytes) -> bool:
        if self.future.done():
            return True
        status = wire.parse_status(head)
        if head is None or status in (204, 404):
            self.future.set_result(head or b"")
        elif status:
            text = wire.parse_description(head)
            self.future.set_exception(BusError(f"{self.subject}: {text} ({status})", code=status))
        else:
            self.messages.append(_parse_direct(head, payload))
            self.deadline = self.link.loop.time() + self.patience
            return False
        return True

    def fail(self, error: BusError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


def _parse_direct(head: bytes, payload: bytes) -> StoredMessage:
    return StoredMessage(
        wire.parse_header(head, "Nats-Subject") or "",
        seq=int(wire.parse_header(head, "Nats-Sequence") or 0),
        time_us=wire.parse_time_us(wire.parse_header(head, "Nats-Time-Stamp") or ""),
        payload=payload,
        head=head,
    )


class Reader:
    """Reads and purges of streams. Every method raises NoAnswerError, PermissionDeniedError, NotFoundError (no such
    stream) or BusError.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    async def get_last(self, stream: str, subject: str) -> StoredMessage | None:
        """The last message on a subject (or wildcard), read from the leader: sees every write answered before."""
        return await self._get(stream, {"last_by_subj": subject})

    async def get_seq(self, stream: str, seq: int) -> StoredMessage | None:
        """The message at a sequence, read from the leader; None if there is none (any more)."""
        return await self._get(stream, {"seq": seq}) if seq > 0 else None

    async def get_next(self, stream: str, subject_filter: str, *, after: int) -> StoredMessage | None:
        """The first message of a filter behind a sequence, read from the leader; None if there is none."""
        return await self._get(stream, {"seq": after + 1, "next_by_subj": subject_filter})

    async def direct_batch(
        self, stream: str, *, start_seq: int, subject_filter: str, batch: int
    ) -> list[StoredMessage]:
        """Up to `batch` messages of a filter from a sequence on, in order; from any replica, so it may be a little old.

        Fewer than `batch` may come though more are there (the server bounds the bytes): go on at the last seq + 1
        until nothing comes. Needs `allow_direct`.
        """
        messages, _ = await self._direct(
            stream, {"seq": max(1, start_seq), "next_by_subj": subject_filter, "batch": batch}
        )
        return messages

    async def first_at(self, stream: str, subject_filter: str, time_us: int) -> StoredMessage | None:
        """The first message of a filter that was stored at a time or later; from any replica. Needs `allow_direct`."""
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
        request = {"start_time": moment.isoformat(), "next_by_subj": subject_filter, "batch": 1}
        messages, _ = await self._direct(stream, request)
        return messages[0] if messages else None

    async def multi_last(self, stream: str, subjects: Sequence[str]) -> list[StoredMessage]:
        """The last message on each subject that has one, by sequence; at most 1,024 matches, else BusError 413.
        From any replica, so it may be a little old. Needs `allow_direct`.
        """
        if not subjects:
            return []
        request: dict[str, Any] = {"multi_last": list(subjects), "batch": 1024}
        found, end = await self._direct(stream, request)
        messages = found
        while found and int(wire.parse_header(end, "Nats-Num-Pending") or 0) > 0:  # it stopped at its byte limit
            up_to = int(wire.parse_header(end, "Nats-UpTo-Sequence") or 0)
            found, end = await self._direct(stream, {**request, "seq": found[-1].seq + 1, "up_to_seq": up_to})
            messages += found
        return messages

    async def subjects(self, stream: str, subject_filter: str) -> dict[str, int]:
        """Every subject that matches, with its number of messages; all pages."""
        found: dict[str, int] = {}
        while True:
            request = {"subjects_filter": subject_filter, "offset": len(found)}
            info = await self._ask(f"STREAM.INFO.{stream}", request, _InfoAnswer)
            page = info.state.subjects or {}
            before = len(found)
            found.update(page)
            if len(found) >= info.total or len(found) == before:
                return found

    async def last_seq(self, stream: str) -> int:
        """The sequence of the newest message, 0 if there never was one."""
        return (await self._ask(f"STREAM.INFO.{stream}", {}, _InfoAnswer)).state.last_seq

    async def tail(self, stream: str) -> Tail:
        """The end of a stream."""
        return (await self._ask(f"STREAM.INFO.{stream}", {}, _TailAnswer)).state

    async def tails(self, subject_filter: str) -> dict[str, int]:
        """The sequence of the newest message of each stream with a subject that meets the filter; all pages."""
        found: dict[str, int] = {}
        offset = 0
        while True:
            page = await self._ask("STREAM.LIST", {"subject": subject_filter, "offset": offset}, _ListAnswer)
            streams = page.streams or []
            found.update((one.config.name, one.state.last_seq) for one in streams)
            offset += len(streams)
            if not streams or offset >= page.total:
                return found

    async def purge(self, stream: str, subject: str, *, up_to_seq: int | None = None) -> int:
        """Remove what a filter matches, only sequences BELOW `up_to_seq` if given; returns how many."""
        if up_to_seq is not None and up_to_seq <= 0:
            return 0
        request: dict[str, Any] = {"filter": subject}
        if up_to_seq is not None:
            request["seq"] = up_to_seq
        return (await self._ask(f"STREAM.PURGE.{stream}", request, _PurgeAnswer)).purged

    async def _get(self, stream: str, request: dict[str, Any]) -> StoredMessage | None:
        try:
            raw = (await self._ask(f"STREAM.MSG.GET.{stream}", request, _GetAnswer)).message
        except NotFoundError as error:
            if error.code == _NO_MESSAGE:
                return None
            raise
        if raw is None:
            return None
        return StoredMessage(
            raw.subject,
            seq=raw.seq,
            time_us=wire.parse_time_us(raw.time),
            payload=base64.b64decode(raw.data),
            head=base64.b64decode(raw.hdrs) if raw.hdrs else None,
        )

    async def _ask(self, method: str, request: dict[str, Any], answer: type[_T]) -> _T:
        subject = f"$JS.API.{method}"
        try:
            frame = await self._link.request(subject, msgspec.json.encode(request))
            wire.raise_for_error(frame.payload, subject)
            return msgspec.json.decode(frame.payload, type=answer)
        except msgspec.MsgspecError as err:
            raise BusError(f"{subject}: an answer of another shape") from err

    async def _direct(self, stream: str, request: dict[str, Any]) -> tuple[list[StoredMessage], bytes]:
        call = _Collect(self._link)
        self._link.call(call, f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(request))
        end = await call.future
        return call.messages, end
