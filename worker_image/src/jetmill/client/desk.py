"""What a client does with events: making them, subscribing, reading them again, and looking after dead letters."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

import msgspec

from jetmill.bus.ports import Bus, SubscriptionInfo
from jetmill.client.handling import Pattern, is_event_class, read_patterns
from jetmill.client.option import parse_time
from jetmill.client.subscription import (
    BusFeed,
    DurableSubscription,
    Handle,
    LiveSubscription,
    Subscription,
    follow_events,
    read_events,
)
from jetmill.errors import CodecError, InputError, NotFoundError
from jetmill.protocol.deadletter import decode_dead_letter
from jetmill.protocol.event import Event, EventPattern, ExtensionValue, decode_event
from jetmill.protocol.identity import make_id
from jetmill.protocol.record import ErrorInfo
from jetmill.protocol.retry import RetryPolicy

if TYPE_CHECKING:
    from jetmill.client.event import BaseEvent

_ALL = 1_000_000
Start = int | datetime | timedelta | str
"""Where to begin: `new` (what comes from now on), `all` that is kept, at a sequence, at a time, or so long ago."""


class EventKeywords(TypedDict, total=False):
    """The attributes of an event that is published."""

    id: str | None
    subject: str | None
    source: str | None
    user: str | None
    time: datetime | None
    extensions: Mapping[str, ExtensionValue] | None


@dataclass(frozen=True, slots=True)
class SubscriptionOptions:
    """How events are handed out."""

    durable: str | None
    start: Start
    retry: RetryPolicy
    concurrency: int = 1


class DeadEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event that a subscription gave up."""

    subscription: str
    seq: int
    time: datetime
    """When it was given up."""
    attempts: int
    error: ErrorInfo
    event: dict[str, Any] | None = None
    """The CloudEvent; None for what is none."""


def make_event(
    event: str | BaseEvent | Event, data: Any, attributes: EventKeywords, *, namespace: str, now: int
) -> Event:
    """Make the event that is meant; attributes that are given outrank those of a class."""
    given: dict[str, Any] = {name: value for name, value in attributes.items() if value is not None}
    if isinstance(event, Event):
        return msgspec.structs.replace(event, **given)
    made_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now)
    values: dict[str, Any] = {
        "id": make_id(now // 1000, random.getrandbits(80)),
        "source": f"/jetmill/{namespace}",
        "time": made_at,
        "data": data,
    }
    if not isinstance(event, str):
        if not is_event_class(type(event)):
            raise InputError(f"type: {event!r:.80} is no event", field="type", cure="give a type or a BaseEvent")
        if data is not None:
            raise InputError("data: an event of a class has its own", field="data", cure="give the data to the class")
        values |= {
            "type": event.type,
            "time": event.timestamp,
            "user": event.user,
            "subject": event.subject,
            "data": event.data,
        }
    else:
        values["type"] = event
    return Event(**{**values, **given})


async def start_subscription(
    bus: Bus, patterns: tuple[EventPattern, ...], handle: Handle, *, options: SubscriptionOptions
) -> Subscription:
    """Begin to hand events out."""
    if options.concurrency < 1:
        raise InputError(f"concurrency: {options.concurrency} is less than 1", field="concurrency")
    start = await find_start(bus.events, options.start, now=bus.link.now())
    if options.durable is None:
        live = LiveSubscription(BusFeed(bus, patterns), handle, retry=options.retry, start=start)
        live.begin()
        return live
    durable = DurableSubscription(
        bus, options.durable, handle, patterns=patterns, retry=options.retry, concurrency=options.concurrency
    )
    await durable.start(start=start)
    return durable


class Kept(Protocol):
    """Where events lie."""

    async def last_seq(self) -> int:
        """The newest sequence."""
        ...

    async def seq_at(self, time: int) -> int:
        """The sequence of the first that was stored at a time (µs) or later."""
        ...


async def find_start(events: Kept, start: Start, *, now: int) -> int:
    """The sequence that is meant; InputError."""
    if isinstance(start, str) and start not in ("new", "all"):
        start = _parse_start(start)
    if start == "new":
        return await events.last_seq() + 1
    if start == "all":
        return 1
    if isinstance(start, timedelta):
        return await events.seq_at(now - round(start.total_seconds() * 1_000_000))
    if isinstance(start, datetime):
        return await events.seq_at(round(parse_time(start, field="start").timestamp() * 1_000_000))
    assert isinstance(start, int)
    if start < 1:
        raise InputError(f"start: {start} is no sequence", field="start", cure="sequences count from 1")
    return start


def _parse_start(text: str) -> int | datetime:
    if text.isdigit():
        return int(text)
    try:
        return parse_time(datetime.fromisoformat(text), field="start")
    except ValueError as err:
        cure = "write new, all, a sequence, or an ISO time with its zone"
        raise InputError(f"start: {text!r:.80} is no place to start at", field="start", cure=cure) from err


class EventDesk:
    """`client.events`."""

    def __init__(self, connect: Callable[[], Awaitable[Bus]]) -> None:
        self._connect = connect

    async def read(
        self, pattern: Pattern | Iterable[Pattern] = "*", *, start: Start = "all", until: Start | None = None
    ) -> AsyncGenerator[Event]:
        """Events again, oldest first, from `start` until `until` (a sequence or a time; None: all that are there now).

        What lies on the bus and is no CloudEvent is passed over.
        """
        bus = await self._connect()
        patterns = read_patterns(pattern)
        last = await bus.events.last_seq()
        end = last if until is None else min(last, await self._find_end(bus, until))
        first = await find_start(bus.events, start, now=bus.link.now())
        async for message in read_events(bus, patterns, start=first, until=end):
            try:
                yield decode_event(message.data, seq=message.seq)
            except CodecError:
                continue

    async def _find_end(self, bus: Bus, until: Start) -> int:
        return until if isinstance(until, int) else await find_start(bus.events, until, now=bus.link.now()) - 1

    async def follow(
        self, pattern: Pattern | Iterable[Pattern] = "*", *, start: Start = "new"
    ) -> AsyncGenerator[Event]:
        """Events as they come, from `start` on, without an end."""
        bus = await self._connect()
        first = await find_start(bus.events, start, now=bus.link.now())
        async for message in follow_events(bus, read_patterns(pattern), start=first):
            try:
                yield decode_event(message.data, seq=message.seq)
            except CodecError:
                continue

    async def subscriptions(self) -> list[SubscriptionInfo]:
        """The durable subscriptions, and how far they are."""
        return await (await self._connect()).subscriptions.all()

    async def unsubscribe(self, name: str) -> None:
        """Remove a durable subscription with its dead letters; who runs it still makes it again."""
        await (await self._connect()).subscriptions.remove(name)

    async def dead(self, name: str | None = None, *, limit: int = 1000) -> list[DeadEvent]:
        """What a subscription (or any) gave up, oldest first."""
        found = []
        for message in await (await self._connect()).subscriptions.dead(name, limit=limit):
            time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=message.time)
            try:
                letter = decode_dead_letter(message.data)
            except CodecError as err:
                error = ErrorInfo(type="CodecError", message=str(err))
                found.append(
                    DeadEvent(subscription=message.subscription, seq=message.seq, time=time, attempts=0, error=error)
                )
                continue
            found.append(
                DeadEvent(
                    subscription=message.subscription,
                    seq=message.seq,
                    time=time,
                    attempts=letter.attempts,
                    error=letter.error,
                    event=_show(letter.event),
                )
            )
        return found

    async def retry(self, name: str, seq: int) -> None:
        """Hand a dead event to its subscription once more, from attempt 1; NotFoundError."""
        bus = await self._connect()
        for message in await bus.subscriptions.dead(name, limit=_ALL):
            if message.seq == seq:
                await bus.subscriptions.resolve(name, seq, again=decode_dead_letter(message.data).event)
                return
        raise NotFoundError(f"subscription {name} has no dead letter {seq}", code=404)

    async def discard(self, name: str, seq: int) -> None:
        """Give a dead event up for good; NotFoundError."""
        await (await self._connect()).subscriptions.resolve(name, seq, again=None)


def _show(data: bytes) -> dict[str, Any] | None:
    try:
        return decode_event(data).document
    except CodecError:
        return None
