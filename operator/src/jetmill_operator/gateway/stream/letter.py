"""Messages to topics and users, from the bus to whoever listens here; encoded once for all, at most once per window."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import msgspec
import structlog

from jetmill.bus.ports import Bus, Message
from jetmill.client.status import time_of
from jetmill.errors import BusError, CodecError
from jetmill.protocol.letter import decode_letter
from jetmill_operator.gateway.stream.feed import Subscriber, Window
from jetmill_operator.gateway.stream.frame import MAX_ITEMS, Key, build_messages
from jetmill_operator.gateway.stream.option import StreamOptions
from jetmill_operator.gateway.stream.outbox import Gap

_PRECISION_SECONDS = 0.05
_encoder = msgspec.json.Encoder()
log = structlog.get_logger()


class Letters:
    """The messages of one namespace."""

    def __init__(self, bus: Bus, *, options: StreamOptions) -> None:
        self._bus = bus
        self._namespace = bus.subjects.namespace
        self._batch: dict[str, list[bytes]] = {}
        self._subscribers: dict[str, dict[Subscriber, None]] = {}
        self._window = Window(self._flush, seconds=options.window_seconds)
        self._stop: Callable[[], None] | None = None
        self._since = 0.0
        """When the connection began, by the loop's clock."""

    async def start(self) -> None:
        """Listen, once; whoever is told afterwards that he is subscribed misses nothing that is sent from then on."""
        if self._stop is None:
            self._stop = self._bus.messages.on_message(self._hear)
            self._since = self._find_since()
        with contextlib.suppress(BusError):  # not connected: what is missed is told as a gap
            await self._bus.link.flush()

    def close(self) -> None:
        """Stop."""
        self._window.close()
        if self._stop is not None:
            self._stop()
            self._stop = None

    def join(self, topic: str, subscriber: Subscriber) -> None:
        """Give a subscriber what is sent from now on."""
        self._subscribers.setdefault(topic, {})[subscriber] = None

    def leave(self, topic: str, subscriber: Subscriber) -> None:
        """Give it no more. Idempotent."""
        found = self._subscribers.get(topic)
        if found is not None:
            found.pop(subscriber, None)
            if not found:
                del self._subscribers[topic]

    def check(self) -> None:
        """Tell everyone that something may have been missed, if NATS was away since the last look."""
        if self._stop is None or not self._bus.link.connected:
            return
        before, self._since = self._since, self._find_since()
        if self._since > before + _PRECISION_SECONDS:
            for topic, subscribers in self._subscribers.items():
                for one in tuple(subscribers):
                    one.note_gap(Gap(Key(self._namespace, topic), after=None, seq=None, reason="disconnected"))

    def _find_since(self) -> float:
        return asyncio.get_running_loop().time() - self._bus.link.connected_seconds

    def _hear(self, message: Message) -> None:
        topic = f"{message.kind}:{message.name}"
        if topic not in self._subscribers:
            return
        try:
            letter = decode_letter(message.data)
        except CodecError as error:
            log.warning("message_not_readable", namespace=self._namespace, topic=topic, error=str(error))
            return
        raw = _encoder.encode({"id": letter.id, "time": time_of(letter.time), "by": letter.by, "data": letter.data})
        self._batch.setdefault(topic, []).append(raw)
        self._window.open()

    def _flush(self) -> None:
        batch, self._batch = self._batch, {}
        for topic, items in batch.items():
            key = Key(self._namespace, topic)
            for start in range(0, len(items), MAX_ITEMS):
                part = items[start : start + MAX_ITEMS]
                frame = build_messages(key, part, count=len(part))
                for one in tuple(self._subscribers.get(topic, ())):
                    one.put(frame)
