"""The port `Subscriptions`: durable consumers of the events stream.

Dead letters lie in the same stream, on subjects of their own, and so are kept for as long as events. The last message
of such a subject counts; an empty one says that it is dealt with, for to purge is a right over all events. One that is
tried again is published on a subject that its subscription takes too; its subject says which event it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from jetmill.bus.jetstream import wire
from jetmill.bus.jetstream.append import Appender
from jetmill.bus.jetstream.delivery import Delivery
from jetmill.bus.jetstream.layout import SUBSCRIPTION_PREFIX, Config, build_subscription
from jetmill.bus.jetstream.link import Link
from jetmill.bus.jetstream.pull import Pull
from jetmill.bus.jetstream.read import Reader, StoredMessage
from jetmill.bus.ports import DeadMessage, EventDelivery, SubscriptionInfo
from jetmill.errors import BusError, NotFoundError, RefusedError
from jetmill.protocol.event import EventPattern
from jetmill.protocol.name import parse_subscription
from jetmill.protocol.subject import Subjects

_EXISTS = 10148
_ALL = 1_000_000
_BATCH = 200
_CHANGEABLE = ("filter_subjects", "metadata", "ack_wait", "max_ack_pending")


class _Info(msgspec.Struct):
    config: dict[str, Any]
    name: str = ""
    num_pending: int = 0
    num_ack_pending: int = 0


class _Listed(msgspec.Struct):
    total: int = 0
    consumers: list[_Info] | None = None


class JetStreamEventDelivery(Delivery):
    """The port `EventDelivery`."""

    __slots__ = ()

    @property
    def seq(self) -> int:
        """See the port."""
        parts = self.subject_raw.split(b".")
        if len(parts) == 5 and parts[2] == b"again" and parts[4].isdigit():  # <prefix>.<namespace>.again.<name>.<seq>
            return int(parts[4])
        return self.stream_seq

    @property
    def time(self) -> int:
        """See the port."""
        return self.timestamp_us

    @property
    def data(self) -> bytes:
        """See the port."""
        return self.payload

    @property
    def attempt(self) -> int:
        """See the port."""
        return self.num_delivered

    @property
    def token(self) -> str:
        """The ack subject."""
        return self.reply

    def nak(self, delay_seconds: float | None = 0.0) -> None:
        """See the port."""
        super().nak(delay_seconds)


class JetStreamSubscriptions:
    """The durable subscriptions of one namespace."""

    def __init__(self, link: Link, subjects: Subjects, reader: Reader, appender: Appender) -> None:
        self._link = link
        self._subjects = subjects
        self._reader = reader
        self._appender = appender
        self._stream = subjects.events_stream

    async def apply(self, name: str, *, patterns: Sequence[EventPattern], start: int = 1) -> None:
        """See the port."""
        wanted = build_subscription(self._subjects, parse_subscription(name), patterns, start=start)
        there = await self._find(name)
        if there is None:
            try:
                await self._create(wanted, action="create")
            except BusError as err:
                if err.code != _EXISTS:
                    raise
                there = await self._find(name)  # somebody else was first
        if there is not None and any(there.get(key) != wanted[key] for key in _CHANGEABLE):
            await self._create({**there, **{key: wanted[key] for key in _CHANGEABLE}}, action="update")

    async def _find(self, name: str) -> Config | None:
        try:
            found = await self._ask(f"CONSUMER.INFO.{self._stream}.{SUBSCRIPTION_PREFIX}{name}", {}, _Info)
        except NotFoundError:
            return None
        config = found.config
        metadata = {key: value for key, value in (config.get("metadata") or {}).items() if not key.startswith("_nats")}
        return {**config, "metadata": metadata}

    async def _create(self, config: Config, *, action: str) -> None:
        request = {"stream_name": self._stream, "config": config, "action": action}
        await self._ask(f"CONSUMER.CREATE.{self._stream}.{config['name']}", request, _Info)

    def pull(self, name: str, on_delivery: Callable[[EventDelivery], None], *, on_missing: Callable[[], None]) -> Pull:
        """See the port."""

        def on_error(error: BusError) -> None:
            if isinstance(error, NotFoundError):
                on_missing()

        consumer = SUBSCRIPTION_PREFIX + parse_subscription(name)
        return Pull(self._link, self._stream, consumer, on_delivery, make=JetStreamEventDelivery, on_error=on_error)

    def working(self, token: str) -> None:
        """See the port."""
        if self._link.connected:
            self._link.publish(token, b"+WPI")

    async def all(self) -> list[SubscriptionInfo]:
        """See the port."""
        found: list[_Info] = []
        offset = 0
        while True:
            page = await self._ask(f"CONSUMER.LIST.{self._stream}", {"offset": offset}, _Listed)
            consumers = page.consumers or []
            found += [one for one in consumers if one.name.startswith(SUBSCRIPTION_PREFIX)]
            offset += len(consumers)
            if not consumers or offset >= page.total:
                return sorted(map(_read_info, found), key=lambda info: info.name)

    async def remove(self, name: str) -> None:
        """See the port."""
        consumer = SUBSCRIPTION_PREFIX + parse_subscription(name)
        try:
            await self._ask(f"CONSUMER.DELETE.{self._stream}.{consumer}", {}, msgspec.Raw)
        except NotFoundError:
            return
        for letter in await self.dead(name, limit=_ALL):
            await self._appender.append(self._subjects.dead(name, letter.seq), b"")

    async def bury(self, name: str, seq: int, data: bytes) -> None:
        """See the port."""
        await self._appender.append(self._subjects.dead(parse_subscription(name), seq), data)

    async def dead(self, name: str | None = None, *, limit: int = 1000) -> list[DeadMessage]:
        """See the port."""
        subject = self._subjects.dead("*" if name is None else parse_subscription(name), "*")
        found: dict[tuple[str, int], DeadMessage] = {}
        start = 1
        while True:
            messages = await self._reader.direct_batch(
                self._stream, start_seq=start, subject_filter=subject, batch=_BATCH
            )
            if not messages:
                break
            for letter in map(_read_dead, messages):
                key = (letter.subscription, letter.seq)
                found.pop(key, None)  # one that was buried again counts from then
                if letter.data:
                    found[key] = letter
            start = messages[-1].seq + 1
        return list(found.values())[:limit]

    async def resolve(self, name: str, seq: int, *, again: bytes | None) -> None:
        """See the port; again comes first: rather twice than never. By then it may have failed anew: that one stays."""
        subject = self._subjects.dead(parse_subscription(name), seq)
        there = await self._reader.get_last(self._stream, subject)
        if there is None or not there.payload:
            raise NotFoundError(f"subscription {name} has no dead letter {seq}", code=404)
        if again is not None:
            await self._appender.append(self._subjects.again(name, seq), again)
        with contextlib.suppress(RefusedError):
            await self._appender.append(subject, b"", expected=there.seq)

    async def _ask(self, method: str, request: Any, answer: type[Any]) -> Any:
        subject = f"$JS.API.{method}"
        frame = await self._link.request(subject, msgspec.json.encode(request))
        wire.raise_for_error(frame.payload, subject)
        try:
            return msgspec.json.decode(frame.payload, type=answer)
        except msgspec.MsgspecError as err:
            raise BusError(f"{subject}: an answer of another shape") from err


def _read_info(info: _Info) -> SubscriptionInfo:
    patterns = str((info.config.get("metadata") or {}).get("patterns", ""))
    return SubscriptionInfo(
        name=info.name.removeprefix(SUBSCRIPTION_PREFIX),
        patterns=tuple(filter(None, patterns.split(","))),
        waiting=info.num_pending,
        in_hand=info.num_ack_pending,
    )


def _read_dead(message: StoredMessage) -> DeadMessage:
    *_, name, seq = message.subject.split(".")
    return DeadMessage(subscription=name, seq=int(seq), time=message.time_us, data=message.payload)
