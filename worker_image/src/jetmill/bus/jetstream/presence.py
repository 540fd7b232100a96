"""The port `PresenceBoard` on a bucket whose keys have a time to live.

Keys are messages with `Nats-TTL` (whole seconds, so a lease is rounded up); the leader is asked who lives, for an old
answer would be a wrong takeover.
"""

from __future__ import annotations

import math

from jetmill.bus.jetstream import wire
from jetmill.bus.jetstream.link import Link
from jetmill.bus.jetstream.read import Reader, StoredMessage
from jetmill.errors import CodecError
from jetmill.protocol.codec import decode_presence, encode
from jetmill.protocol.record import Presence
from jetmill.protocol.subject import Subjects

_BATCH = 1000
_REMOVED = b"KV-Operation: DEL\r\nNats-TTL: 60\r\n"


class JetStreamPresence:
    """Which workers of one namespace live."""

    def __init__(self, link: Link, subjects: Subjects, reader: Reader) -> None:
        self._link = link
        self._reader = reader
        self._stream = f"KV_{subjects.workers_bucket}"
        self._prefix = f"$KV.{subjects.workers_bucket}."

    async def put(self, presence: Presence, *, ttl_seconds: float) -> None:
        """See the port."""
        subject = self._prefix + presence.worker
        headers = b"Nats-TTL: %d\r\n" % max(1, math.ceil(ttl_seconds))
        frame = await self._link.request(subject, encode(presence), headers=headers)
        wire.raise_for_error(frame.payload, subject)

    async def remove(self, worker: str) -> None:
        """See the port; a mark that goes by itself, for purging needs a right over all workers."""
        frame = await self._link.request(self._prefix + worker, b"", headers=_REMOVED)
        wire.raise_for_error(frame.payload, self._prefix + worker)

    async def is_removed(self, worker: str) -> bool:
        """See the port."""
        message = await self._reader.get_last(self._stream, self._prefix + worker)
        return message is not None and message.header("KV-Operation") is not None

    async def get(self, worker: str) -> Presence | None:
        """See the port; a presence that cannot be read is one all the same: its worker lives."""
        message = await self._reader.get_last(self._stream, self._prefix + worker)
        return None if message is None else self._decode(message)

    async def all(self) -> list[Presence]:
        """See the port; of a worker that beats while it is asked, the last word counts."""
        found: dict[str, Presence | None] = {}
        start = 1
        while True:
            messages = await self._reader.direct_batch(
                self._stream, start_seq=start, subject_filter=f"{self._prefix}*", batch=_BATCH
            )
            if not messages:
                return sorted(filter(None, found.values()), key=lambda presence: presence.worker)
            found |= {message.subject: self._decode(message) for message in messages}
            start = messages[-1].seq + 1

    def _decode(self, message: StoredMessage) -> Presence | None:
        if message.header("KV-Operation") is not None:
            return None
        try:
            return decode_presence(message.payload)
        except CodecError:
            return Presence(worker=message.subject[len(self._prefix) :], jobs=[], slots=0)
