"""The port `Events`: CloudEvents on one stream, what running jobs tell on another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from jetmill.bus.jetstream.append import Appender, AppendOptions
from jetmill.bus.jetstream.follow import Follow
from jetmill.bus.jetstream.link import Link
from jetmill.bus.jetstream.read import Reader, StoredMessage
from jetmill.bus.ports import EventMessage, TraceLine
from jetmill.errors import BusError, InputError
from jetmill.protocol.event import EventPattern
from jetmill.protocol.name import parse_event_type
from jetmill.protocol.subject import Subjects

_BATCH = 500
_IN_PROCESS = 10158
_PAUSE_SECONDS = 0.02
_TRIES = 250
"""For five seconds, which is as long as a leader's election may take."""


@dataclass(slots=True)
class _Publication:
    """An event on its way."""

    future: asyncio.Future[int]
    subject: str
    data: bytes
    event_id: str
    tries: int = 0


class JetStreamEvents:
    """Events and traces of one namespace."""

    def __init__(self, link: Link, subjects: Subjects, reader: Reader) -> None:
        self._link = link
        self._subjects = subjects
        self._reader = reader
        self._appender = Appender(link, AppendOptions(shares_subjects=True))

    @property
    def appender(self) -> Appender:
        """For the link's `close`."""
        return self._appender

    def publish(self, event_type: str, data: bytes, *, event_id: str) -> asyncio.Future[int]:
        """See the port; InputError for a type or an id that would break the message."""
        parse_event_type(event_type)
        if not event_id or not event_id.isprintable():
            raise InputError(f"id: {event_id!r:.80} cannot be an event's id", field="id", cure="use printable text")
        publication = _Publication(self._link.loop.create_future(), self._subjects.event(event_type), data, event_id)
        self._send(publication)
        return publication.future

    def _send(self, publication: _Publication) -> None:
        headers = f"Nats-Msg-Id: {publication.event_id}\r\n".encode()
        append = self._appender.append(publication.subject, publication.data, headers=headers)
        append.add_done_callback(partial(self._settle, publication))

    def _settle(self, publication: _Publication, append: asyncio.Future[int]) -> None:
        """Pass the verdict on; where a cluster is just storing the same id for another, ask again what came of it."""
        error = append.exception()
        if publication.future.done():
            return
        if error is None:
            publication.future.set_result(append.result())
        elif isinstance(error, BusError) and error.code == _IN_PROCESS and publication.tries < _TRIES:
            publication.tries += 1
            self._link.loop.call_later(_PAUSE_SECONDS, self._send, publication)
        else:
            publication.future.set_exception(error)

    async def last_seq(self) -> int:
        """See the port."""
        return await self._reader.last_seq(self._subjects.events_stream)

    async def seq_at(self, time: int) -> int:
        """See the port."""
        stream = self._subjects.events_stream
        message = await self._reader.first_at(stream, self._subjects.all_events, time)
        return await self._reader.last_seq(stream) + 1 if message is None else message.seq

    async def follow(self, *, start: int = 1, pattern: EventPattern | None = None) -> AsyncIterator[list[EventMessage]]:
        """See the port."""
        prefix = self._subjects.event_prefix
        wanted = self._subjects.all_events if pattern is None else prefix + pattern.subject
        follow = Follow(self._link, self._subjects.events_stream, [wanted], start_seq=start)
        async for messages in follow:
            yield [EventMessage(one.subject[len(prefix) :], one.seq, one.time_us, one.payload) for one in messages]

    async def read(
        self, *, start: int = 1, pattern: EventPattern | None = None, limit: int = 500
    ) -> list[EventMessage]:
        """See the port."""
        prefix = self._subjects.event_prefix
        wanted = self._subjects.all_events if pattern is None else prefix + pattern.subject
        messages = await self._reader.direct_batch(
            self._subjects.events_stream, start_seq=start, subject_filter=wanted, batch=limit
        )
        return [EventMessage(one.subject[len(prefix) :], one.seq, one.time_us, one.payload) for one in messages]

    def trace(self, job_id: str, kind: str, data: bytes) -> None:
        """See the port."""
        with contextlib.suppress(BusError):  # not connected, or too large a line
            self._link.publish(self._subject(job_id, kind), data)

    async def traces(self, job_id: str, *, kind: str, live: bool = False) -> AsyncIterator[list[TraceLine]]:
        """See the port."""
        stream, subject = self._subjects.trace_stream, self._subject(job_id, kind)
        if live:
            async for messages in Follow(self._link, stream, [subject]):
                yield [_line(message, job_id, kind) for message in messages]
            return
        start = 1
        while messages := await self._reader.direct_batch(
            stream, start_seq=start, subject_filter=subject, batch=_BATCH
        ):
            yield [_line(message, job_id, kind) for message in messages]
            start = messages[-1].seq + 1

    def _subject(self, job_id: str, kind: str) -> str:
        return self._subjects.log(job_id) if kind == "log" else self._subjects.progress(job_id)


def _line(message: StoredMessage, job_id: str, kind: str) -> TraceLine:
    return TraceLine(id=job_id, kind=kind, seq=message.seq, time=message.time_us, data=message.payload)
