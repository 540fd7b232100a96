"""The port `Ledger` on a stream: one subject for each chain, compare-and-set by the subject's last sequence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from jetmill.bus.jetstream.append import Appender
from jetmill.bus.jetstream.follow import Follow
from jetmill.bus.jetstream.link import Link
from jetmill.bus.jetstream.read import Reader, StoredMessage
from jetmill.errors import CodecError, NoAnswerError
from jetmill.protocol.codec import decode_holder, decode_plan, decode_record, encode
from jetmill.protocol.plan import Plan, StoredPlan
from jetmill.protocol.record import Entry, Holder
from jetmill.protocol.subject import Subjects

_CHUNK = 2000
_CHAIN_BATCH = 500
_RECHECK_SECONDS = 1.0
"""What was still to come may have been purged meanwhile: then nothing comes, and only asking again tells."""


class JetStreamLedger:
    """The ledger of one namespace."""

    def __init__(self, link: Link, subjects: Subjects, reader: Reader) -> None:
        self._link = link
        self._subjects = subjects
        self._stream = subjects.ledger_stream
        self._reader = reader
        self._appender = Appender(link)
        self._prefix = subjects.job_prefix

    @property
    def appender(self) -> Appender:
        """For the link's `room` and `close`."""
        return self._appender

    def append(self, job_id: str, data: bytes, *, expected: int) -> asyncio.Future[int]:
        """See the port."""
        return self._appender.append(self._prefix + job_id, data, expected=expected)

    async def read(self, job_id: str) -> Entry | None:
        """See the port."""
        message = await self._reader.get_last(self._stream, self._prefix + job_id)
        return None if message is None else self._entry(message)

    async def read_at(self, seq: int) -> Entry | None:
        """See the port."""
        message = await self._reader.get_seq(self._stream, seq)
        return self._entry(message) if message is not None and self._is_record(message) else None

    async def read_chain(self, job_id: str) -> list[Entry]:
        """See the port: the end is read from the leader, what a replica lacks of it is read there too."""
        last = await self._reader.get_last(self._stream, self._prefix + job_id)
        if last is None:
            return []
        messages: list[StoredMessage] = []
        while not messages or messages[-1].seq < last.seq:
            start = messages[-1].seq + 1 if messages else 1
            found = await self._reader.direct_batch(
                self._stream, start_seq=start, subject_filter=self._prefix + job_id, batch=_CHAIN_BATCH
            )
            if not found:
                following = await self._reader.get_next(self._stream, self._prefix + job_id, after=start - 1)
                if following is None:  # purged meanwhile
                    break
                found = [following]
            messages += found
        return [self._entry(message) for message in messages]

    async def last_seq(self) -> int:
        """See the port."""
        return await self._reader.last_seq(self._stream)

    async def follow(
        self, *, start: int = 1, job_id: str | None = None, until: int | None = None
    ) -> AsyncIterator[list[Entry]]:
        """See the port."""
        wanted = self._subjects.all_jobs if job_id is None else self._prefix + job_id
        if until is None:
            follow = Follow(self._link, self._stream, [wanted], start_seq=start, chunk=_CHUNK)
            async for messages in follow:
                async for entries in self._entries(messages):
                    yield entries
            return
        async for messages in self._messages_until(start, until):
            ours = [one for one in messages if self._is_record(one) and job_id in (None, self._id(one))]
            async for entries in self._entries(ours):
                yield entries

    async def _messages_until(self, start: int, until: int) -> AsyncIterator[list[StoredMessage]]:
        """Every message of the stream, of whatever subject, so that the one at `until` is seen whatever it is."""
        if start > until:
            return
        follow = Follow(self._link, self._stream, [f"{self._subjects.root}.>"], start_seq=start, chunk=_CHUNK)
        lists = aiter(follow)
        coming: asyncio.Future[list[StoredMessage]] | None = None
        try:
            await follow.ready()
            while not (follow.caught_up and await self._is_all(follow.last_seq, until)):
                coming = coming or asyncio.ensure_future(anext(lists))
                if not (await asyncio.wait({coming}, timeout=_RECHECK_SECONDS))[0]:
                    continue
                try:
                    messages, coming = coming.result(), None
                except StopAsyncIteration:  # the link was closed
                    return
                yield [message for message in messages if message.seq <= until]
                if messages[-1].seq >= until:
                    return
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
            await follow.close()

    async def _is_all(self, seen: int, until: int) -> bool:
        """Ask the leader whether nothing lies between: a consumer on a replica that lags cannot know."""
        try:
            if await self.last_seq() < until:
                return False
            following = await self._reader.get_next(self._stream, f"{self._subjects.root}.>", after=seen)
        except NoAnswerError:  # the connection broke: the follow goes on when it is back
            return False
        return following is None or following.seq > until

    async def _entries(self, messages: list[StoredMessage]) -> AsyncIterator[list[Entry]]:
        """Decode a list; what cannot be decoded is raised after what came before it was given."""
        entries: list[Entry] = []
        for message in messages:
            try:
                entries.append(self._entry(message))
            except CodecError:
                if entries:
                    yield entries
                raise
        if entries:
            yield entries

    async def purge(self, job_id: str, *, up_to: int) -> None:
        """See the port."""
        await self._reader.purge(self._stream, self._prefix + job_id, up_to_seq=up_to)

    def append_holder(self, key_hash: str, holder: Holder, *, expected: int) -> asyncio.Future[int]:
        """See the port."""
        return self._appender.append(self._subjects.hold(key_hash), encode(holder), expected=expected)

    async def read_holder(self, key_hash: str) -> tuple[int, Holder] | None:
        """See the port."""
        message = await self._reader.get_last(self._stream, self._subjects.hold(key_hash))
        return None if message is None else (message.seq, decode_holder(message.payload))

    def append_plan(self, uid: str, plan: Plan, *, expected: int) -> asyncio.Future[int]:
        """See the port."""
        return self._appender.append(self._subjects.plan(uid), encode(plan), expected=expected)

    async def read_plan(self, uid: str) -> StoredPlan | None:
        """See the port."""
        message = await self._reader.get_last(self._stream, self._subjects.plan(uid))
        return None if message is None else self._plan(message)

    async def plans(self) -> list[StoredPlan]:
        """See the port: those that a pass is about to purge come before the last, which counts."""
        found: dict[str, StoredMessage] = {}
        start = 1
        while True:
            some = await self._reader.direct_batch(
                self._stream, start_seq=start, subject_filter=self._subjects.all_plans, batch=_CHAIN_BATCH
            )
            if not some:
                return [self._plan(found[subject]) for subject in sorted(found)]
            found.update((message.subject, message) for message in some)
            start = some[-1].seq + 1

    async def purge_plan(self, uid: str, *, up_to: int) -> None:
        """See the port."""
        await self._reader.purge(self._stream, self._subjects.plan(uid), up_to_seq=up_to)

    def _plan(self, message: StoredMessage) -> StoredPlan:
        uid = message.subject.removeprefix(self._subjects.plan_prefix)
        return StoredPlan(uid, message.seq, message.time_us, decode_plan(message.payload))

    def _is_record(self, message: StoredMessage) -> bool:
        return message.subject.startswith(self._prefix)

    def _id(self, message: StoredMessage) -> str:
        return message.subject[len(self._prefix) :]

    def _entry(self, message: StoredMessage) -> Entry:
        try:
            record = decode_record(message.payload)
        except CodecError as err:
            err.seq = message.seq
            raise
        return Entry(self._id(message), message.seq, message.time_us, record)
