"""A stream read in order, old messages then live ones, by lists.

An ephemeral consumer without acks and a standing pull bring messages as fast as they are taken, and no faster:
credit is given back only when a list was handed out. The consumer's own sequence shows a gap at once; then, and after
a reconnect, missed heartbeats or a consumer that went, a new one begins after the last message that was seen.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from jetmill.bus.jetstream import wire
from jetmill.bus.jetstream.link import Link
from jetmill.bus.jetstream.pull import Delivery, Pull
from jetmill.bus.jetstream.read import StoredMessage
from jetmill.errors import BusError, NotFoundError, PermissionDeniedError

_INACTIVE_SECONDS = 30
_STABLE_SECONDS = 10.0
_RETRY_SECONDS = 0.2
_RETRY_MAX_SECONDS = 5.0


class _Created(msgspec.Struct):
    num_pending: int = 0


class Follow:
    """`async for messages in Follow(link, stream, filters, start_seq=1)`: StoredMessages in order, old then live."""

    def __init__(
        self, link: Link, stream: str, subject_filters: Sequence[str], *, start_seq: int = 1, chunk: int = 2000
    ) -> None:
        self._link = link
        self._stream = stream
        self._filters = list(subject_filters)
        self._chunk = chunk
        self._seen = max(1, start_seq) - 1  # taken off the wire; last_seq follows when it is handed out
        self.last_seq = self._seen
        self.caught_up = False
        self._messages: list[StoredMessage] = []
        self._consumer = ""
        self._consumer_seq = 0
        self._pending: int | None = None
        self._pull: Pull | None = None
        self._stale = False
        self._failures = 0
        self._created = 0.0
        self._denied: PermissionDeniedError | None = None
        self.trouble: BusError | None = None
        """Why the last consumer had to be replaced, for those who ask."""
        self._closed = False
        self._woken = asyncio.Event()
        self._unregister = (
            link.on_disconnect(self._invalidate),
            link.on_reconnect(self._woken.set),
            link.on_close(self._end),
        )

    def __aiter__(self) -> AsyncIterator[list[StoredMessage]]:
        """Give lists of 1 to `chunk` messages for ever; NotFoundError without such a stream when it begins."""
        return self._iterate()

    async def close(self) -> None:
        """Remove the consumer; the iteration ends, as it does when the link is closed. Idempotent."""
        self._end()

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        for unregister in self._unregister:
            unregister()
        self._drop_consumer()
        self._woken.set()

    async def ready(self) -> bool:
        """Make sure that a consumer stands, so that `caught_up` tells of now; true if it does."""
        if self._pull is None:
            await self._create()
        return self._pull is not None

    async def _iterate(self) -> AsyncIterator[list[StoredMessage]]:
        try:
            while not self._closed:
                if self._messages:
                    yield self._hand_out()
                elif self._pull is None or self._stale:
                    await self._recreate()
                else:
                    self._woken.clear()
                    await self._woken.wait()
        finally:
            await self.close()

    def _hand_out(self) -> list[StoredMessage]:
        messages = self._messages[: self._chunk]
        self._messages = self._messages[self._chunk :]
        self.last_seq = messages[-1].seq
        self.caught_up = not self._messages and self._pending == 0
        if self._pull is not None:
            self._pull.want(len(messages))
        return messages

    # The consumer

    async def _recreate(self) -> None:
        """Begin a new consumer after the last message seen; with backoff while none of them brings anything."""
        self._drop_consumer()
        if self._denied is not None:
            raise self._denied
        if not self._link.connected:
            self._failures = 0
            self._woken.clear()
            await self._woken.wait()
            return
        if self._link.loop.time() - self._created > _STABLE_SECONDS:
            self._failures = 0
        if self._failures > 1:
            delay = min(_RETRY_MAX_SECONDS, _RETRY_SECONDS * 2 ** min(self._failures - 2, 10))
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
        self._failures += 1
        try:
            await self._create()
        except PermissionDeniedError:
            raise
        except NotFoundError as error:
            if not self._consumer:
                raise
            self.trouble = error
        except BusError as error:  # disconnected, or no leader now: the loop tries again
            self.trouble = error

    async def _create(self) -> None:
        name = "follow-" + self._link.new_inbox().rpartition(".")[2] + f"-{random.getrandbits(48):012x}"
        config: dict[str, Any] = {
            "name": name,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._seen + 1,
            "ack_policy": "none",
            "max_deliver": -1,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": _INACTIVE_SECONDS * 10**9,
        }
        subject = f"$JS.API.CONSUMER.CREATE.{self._stream}.{name}"
        if len(self._filters) == 1:
            config["filter_subject"] = self._filters[0]
            subject += f".{self._filters[0]}"
        elif self._filters:
            config["filter_subjects"] = self._filters
        self._stale = False
        frame = await self._link.request(
            subject, msgspec.json.encode({"stream_name": self._stream, "config": config, "action": "create"})
        )
        wire.raise_for_error(frame.payload, subject)
        self._pending = msgspec.json.decode(frame.payload, type=_Created).num_pending
        self.caught_up = self._pending == 0 and not self._messages
        self._consumer = name
        self._created = self._link.loop.time()
        self._consumer_seq = 0
        if self._stale:  # the connection broke meanwhile
            return
        self._pull = Pull(self._link, self._stream, name, self._take, on_error=self._pull_failed)
        self._pull.want(2 * self._chunk - len(self._messages))

    def _drop_consumer(self) -> None:
        if self._pull is None:
            return
        self._pull.stop()
        self._pull = None
        if self._link.connected:
            self._link.publish(f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._consumer}")

    def _invalidate(self) -> None:
        self._stale = True
        self.caught_up = False
        self._woken.set()

    def _pull_failed(self, error: BusError) -> None:
        if isinstance(error, PermissionDeniedError):
            self._denied = error
        self.trouble = error
        self._invalidate()

    def _take(self, delivery: Delivery) -> None:
        token = delivery.ack_token
        if self._stale or token.consumer != self._consumer:
            return
        if token.consumer_seq != self._consumer_seq + 1:
            self._invalidate()
            return
        self._failures = 0
        self._consumer_seq = token.consumer_seq
        self._seen = token.stream_seq
        self._pending = token.num_pending
        self._messages.append(
            StoredMessage(
                delivery.subject_raw.decode(),
                seq=token.stream_seq,
                time_us=token.timestamp_us,
                payload=delivery.payload,
                head=delivery.head,
            )
        )
        self._woken.set()
