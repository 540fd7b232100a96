"""Events over REST: what goes in and out, and how those that are kept are searched.

The bus keeps events in the order in which they came, by type. Anything else that one asks for is looked for here, in
steps, newest first or oldest first, up to a number of events that one request may cost; the cursor goes on from there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec

from jetmill.bus.ports import Bus, EventMessage
from jetmill.client.status import time_of
from jetmill.errors import CodecError
from jetmill.protocol.event import Event, EventPattern, ExtensionValue, decode_event
from jetmill_operator.dispatch.expression import Expression
from jetmill_operator.gateway.web.body import In, Out, Text

STEP = 500
MOST = 10_000
"""Events that one request looks at."""


class PublishEvent(In, frozen=True, kw_only=True):
    """An event that is to be published."""

    type: Text
    """One to eight labels joined by dots: order.placed."""
    data: Any = None
    id: Text | None = None
    """The same id again within two minutes is stored once."""
    source: Annotated[str, msgspec.Meta(max_length=1_024)] | None = None
    """A URI reference; /jetmill/… is Jetmill's own."""
    subject: Annotated[str, msgspec.Meta(max_length=1_024)] | None = None
    time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    extensions: dict[str, ExtensionValue] | None = None
    """Further attributes of the CloudEvent."""


class PublishedBody(Out, frozen=True, kw_only=True):
    """What was published."""

    id: str
    type: str
    seq: int
    """Where it lies on the bus."""


class EventBody(Out, frozen=True, kw_only=True):
    """An event where it lies."""

    seq: int
    time: datetime
    """When it was stored."""
    type: str
    event: dict[str, Any] | None = None
    """The CloudEvent; left out for what is none."""


class EventsBody(Out, frozen=True, kw_only=True):
    """Events that fit."""

    items: list[EventBody]
    next_cursor: str | None = None
    """Left out: nothing more is kept. A page may have fewer than `limit` events, and even none, and go on."""


class SubscriptionBody(Out, frozen=True, kw_only=True):
    """A durable subscription."""

    name: str
    patterns: list[str]
    waiting: int
    in_hand: int


class SubscriptionsBody(Out, frozen=True, kw_only=True):
    """All of them."""

    items: list[SubscriptionBody]


class DeadEventBody(Out, frozen=True, kw_only=True):
    """An event that a subscription gave up."""

    subscription: str
    seq: int
    time: datetime
    attempts: int
    error: dict[str, str]
    event: dict[str, Any] | None = None


class DeadEventsBody(Out, frozen=True, kw_only=True):
    """Those, oldest first."""

    items: list[DeadEventBody]


@dataclass(frozen=True, slots=True)
class Search:
    """Which events are meant."""

    patterns: tuple[EventPattern, ...] = ()
    """Alternatives; none: all."""
    subject: str | None = None
    source: str | None = None
    user: str | None = None
    text: str | None = None
    """Somewhere in the event, whatever the case."""
    expression: Expression | None = None

    @property
    def only(self) -> EventPattern | None:
        """The pattern that the server can pick by."""
        return self.patterns[0] if len(self.patterns) == 1 else None

    def wants(self, message: EventMessage) -> bool:
        """Tell whether an event fits."""
        if self.patterns and not any(pattern.matches(message.type) for pattern in self.patterns):
            return False
        if self.text is not None and self.text.casefold() not in message.data.decode("utf-8", "replace").casefold():
            return False
        if self.subject is None and self.source is None and self.user is None and self.expression is None:
            return True
        event = _decode(message)
        return event is not None and self._fits(event)

    def _fits(self, event: Event) -> bool:
        asked = ((self.subject, event.subject), (self.source, event.source), (self.user, event.user))
        if any(wanted is not None and wanted != there for wanted, there in asked):
            return False
        return self.expression is None or self.expression.matches({"event": event.document})


@dataclass(frozen=True, slots=True)
class Found:
    """A page."""

    items: list[EventBody]
    next_seq: int | None
    """Where to go on; None: there is nothing more."""


async def search_events(bus: Bus, wanted: Search, *, first: int, last: int, limit: int, newest: bool) -> Found:
    """Find up to `limit` events in [first, last], newest or oldest first, looking at no more than MOST."""
    items: list[EventBody] = []
    looked = 0
    windows = _walk_back(bus, wanted, first, last) if newest else _walk(bus, wanted, first, last)
    async for messages, behind in windows:
        ordered: Iterator[EventMessage] = reversed(messages) if newest else iter(messages)
        for message in ordered:
            if wanted.wants(message):
                items.append(build_event_body(message))
                if len(items) == limit:
                    return Found(items, _bound(message.seq - 1 if newest else message.seq + 1, first, last))
        looked += max(STEP, len(messages))
        if looked >= MOST:
            return Found(items, _bound(behind, first, last))
    return Found(items, None)


def _bound(seq: int, first: int, last: int) -> int | None:
    return seq if first <= seq <= last else None


async def _walk(bus: Bus, wanted: Search, first: int, last: int) -> AsyncIterator[tuple[list[EventMessage], int]]:
    """Steps of events, oldest first, each with the sequence behind it."""
    start = first
    while start <= last:
        messages = await bus.events.read(start=start, pattern=wanted.only, limit=STEP)
        if not messages:
            return
        start = messages[-1].seq + 1
        yield [message for message in messages if message.seq <= last], start


async def _walk_back(bus: Bus, wanted: Search, first: int, last: int) -> AsyncIterator[tuple[list[EventMessage], int]]:
    """The same, newest first: a stream is read forwards, so windows of it are, each before the one read last."""
    end, width = last, STEP
    while end >= first:
        start = max(first, end - width + 1)
        messages: list[EventMessage] = []
        at = start
        while at <= end:
            more = await bus.events.read(start=at, pattern=wanted.only, limit=STEP)
            messages += [message for message in more if message.seq <= end]
            if not more or more[-1].seq >= end:
                break
            at = more[-1].seq + 1
        yield messages, start - 1
        width = width if messages else min(width * 4, 1_000_000)  # sparse: what is not there costs little
        end = start - 1


def build_event_body(message: EventMessage) -> EventBody:
    """An event as it is shown."""
    event = _decode(message)
    return EventBody(
        seq=message.seq,
        time=time_of(message.time),
        type=message.type,
        event=None if event is None else event.document,
    )


def _decode(message: EventMessage) -> Event | None:
    try:
        return decode_event(message.data, seq=message.seq)
    except CodecError:
        return None
