"""The port `Queue` on work-queue streams: one stream for each Job, one durable consumer for each band.

A delayed hint is a JetStream schedule (`@at`, ADR-51) whose target is the band's subject: the server fires it, whoever
is down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from jetmill.bus.jetstream import wire
from jetmill.bus.jetstream.append import Appender
from jetmill.bus.jetstream.delivery import Delivery as RawDelivery
from jetmill.bus.jetstream.link import Link
from jetmill.bus.jetstream.pull import Pull
from jetmill.bus.jetstream.read import Reader
from jetmill.bus.ports import Delivery, Depth, Flow
from jetmill.errors import BusError, NotFoundError
from jetmill.protocol.hint import Hint
from jetmill.protocol.record import Band
from jetmill.protocol.subject import BANDS, Subjects

SEQ_HEADER = "Jm-Seq"
_SEQ_FIRST = b"NATS/1.0\r\nJm-Seq: "
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US = 253_402_300_799_000_000
_CURE = "declare the Job: apply its manifest, or put it in the folder of `jetmill dev`"


class _Sequences(msgspec.Struct):
    consumer_seq: int = 0
    """Counts deliveries, again ones too."""


class _ConsumerInfo(msgspec.Struct):
    num_pending: int = 0
    num_ack_pending: int = 0
    delivered: _Sequences = msgspec.field(default_factory=_Sequences)


class JetStreamDelivery(RawDelivery):
    """The port `Delivery`; what every job is asked for is read at once."""

    __slots__ = ("band", "deliveries", "id", "job", "time")

    def __init__(
        self, job: str, band: Band, link: Link, subject_raw: bytes, reply_raw: bytes, head: bytes | None, payload: bytes
    ) -> None:
        self.subject_raw = subject_raw
        self.reply_raw = reply_raw
        self.head = head
        self.payload = payload
        self._link = link
        tokens = wire.split_ack_subject(reply_raw)
        self.deliveries = int(tokens[4])
        self.time = int(tokens[7]) // 1000
        self.job = job
        self.band: Band = band
        self.id = subject_raw[subject_raw.rfind(b".") + 1 :].decode()

    @property
    def body(self) -> bytes:
        """The encoded record."""
        return self.payload

    @property
    def seq(self) -> int | None:
        """Jm-Seq; None too where it is no number."""
        head = self.head
        if head is None:
            return None
        if head.startswith(_SEQ_FIRST):  # as a hint that was never delayed has it
            at = len(_SEQ_FIRST)
            text: bytes | str | None = head[at : head.find(b"\r\n", at)]
        else:
            text = self.header(SEQ_HEADER)
        return int(text) if text is not None and text.isdigit() else None

    @property
    def token(self) -> str:
        """The ack subject."""
        return self.reply


class JetStreamQueue:
    """The queues of one namespace."""

    def __init__(self, link: Link, subjects: Subjects, reader: Reader) -> None:
        self._link = link
        self._subjects = subjects
        self._reader = reader
        self._appenders: dict[str, Appender] = {}

    async def room(self, limit: int) -> None:
        """Wait until fewer than `limit` hints of each Job await their answers."""
        for appender in tuple(self._appenders.values()):
            await appender.room(limit)

    def close(self) -> None:
        """Fail what was not sent."""
        for appender in self._appenders.values():
            appender.close()

    def publish(self, hint: Hint) -> asyncio.Future[None]:
        """See the port."""
        subject = self._subjects.hint(hint.job, hint.band, hint.id)
        headers = b"" if hint.seq is None else b"Jm-Seq: %d\r\n" % hint.seq
        if hint.due is not None:
            schedule = f"Nats-Schedule: @at {_rfc3339(hint.due)}\r\nNats-Schedule-Target: {subject}\r\n"
            headers = schedule.encode() + headers
            subject = self._subjects.delayed(hint.job, hint.id)
        appender = self._appenders.get(hint.job)
        if appender is None:
            appender = self._appenders[hint.job] = Appender(self._link)
        return appender.append(subject, hint.body, headers=headers or None)  # type: ignore[return-value]  # the sequence is nobody's business

    def pull(self, job: str, band: Band, on_delivery: Callable[[Delivery], None]) -> Pull:
        """See the port."""
        make = partial(JetStreamDelivery, job, band)
        return Pull(self._link, self._subjects.queue_stream(job), band, on_delivery, make=make)

    def working(self, token: str) -> None:
        """See the port."""
        if self._link.connected:
            self._link.publish(token, b"+WPI")

    async def last_seq(self, job: str) -> int:
        """See the port."""
        try:
            return await self._reader.last_seq(self._subjects.queue_stream(job))
        except NotFoundError as err:
            raise self._missing(job) from err

    async def purge(self, job: str, job_id: str, *, up_to: int) -> None:
        """See the port."""
        stream = self._subjects.queue_stream(job)
        filters = (*(self._subjects.hint(job, band, job_id) for band in BANDS), self._subjects.delayed(job, job_id))
        try:
            await asyncio.gather(*(self._reader.purge(stream, subject, up_to_seq=up_to) for subject in filters))
        except NotFoundError as err:
            raise self._missing(job) from err

    async def hinted(self, job: str) -> set[str]:
        """See the port."""
        try:
            found = await self._reader.subjects(self._subjects.queue_stream(job), ">")
        except NotFoundError as err:
            raise self._missing(job) from err
        return {subject.rpartition(".")[2] for subject in found}

    async def depth(self, job: str) -> Depth:
        """See the port."""
        stream = self._subjects.queue_stream(job)
        try:
            infos = await asyncio.gather(*(self._consumer_info(stream, band) for band in BANDS))
            delayed = await self._reader.subjects(stream, self._subjects.delayed(job, "*"))
        except NotFoundError as err:
            raise self._missing(job) from err
        return Depth(
            ready=sum(info.num_pending for info in infos),
            in_flight=sum(info.num_ack_pending for info in infos),
            delayed=len(delayed),
        )

    async def flow(self, job: str) -> Flow:
        """See the port."""
        stream = self._subjects.queue_stream(job)
        try:
            tail, infos = await asyncio.gather(
                self._reader.tail(stream),
                asyncio.gather(*(self._consumer_info(stream, band) for band in BANDS)),
            )
        except NotFoundError as err:
            raise self._missing(job) from err
        ready = sum(info.num_pending for info in infos)
        in_flight = sum(info.num_ack_pending for info in infos)
        return Flow(
            ready=ready,
            in_flight=in_flight,
            stored=tail.last_seq,
            offered=ready + sum(info.delivered.consumer_seq for info in infos),
            delayed=max(0, tail.messages - ready - in_flight),
        )

    async def tails(self) -> dict[str, int]:
        """See the port."""
        prefix = self._subjects.queue_stream("")
        found = await self._reader.tails(self._subjects.all_hints)
        return {name.removeprefix(prefix): seq for name, seq in found.items() if name.startswith(prefix)}

    async def _consumer_info(self, stream: str, band: str) -> _ConsumerInfo:
        subject = f"$JS.API.CONSUMER.INFO.{stream}.{band}"
        frame = await self._link.request(subject)
        wire.raise_for_error(frame.payload, subject)
        try:
            return msgspec.json.decode(frame.payload, type=_ConsumerInfo)
        except msgspec.MsgspecError as err:
            raise BusError(f"{subject}: an answer of another shape") from err

    def _missing(self, job: str) -> NotFoundError:
        return NotFoundError(f"no queue of a Job {job!r} in namespace {self._subjects.namespace!r}", cure=_CURE)


def _rfc3339(time_us: int) -> str:
    """A time as JetStream's schedules want it; one that no calendar holds becomes the nearest that does."""
    time_us = max(0, min(time_us, _LAST_US))
    return (_EPOCH + timedelta(microseconds=time_us)).isoformat(timespec="microseconds").replace("+00:00", "Z")
