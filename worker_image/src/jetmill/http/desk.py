"""`Client.events` over REST: events read again, and what became of subscriptions that keep their place on the bus."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, Literal

from jetmill.bus.ports import EventMessage, SubscriptionInfo
from jetmill.client.desk import DeadEvent, Start, find_start
from jetmill.client.handling import Pattern, read_patterns
from jetmill.errors import CodecError, InputError, NotFoundError
from jetmill.http.call import Caller
from jetmill.http.event import HttpFeed, read_item
from jetmill.http.wire import convert
from jetmill.protocol.event import Event, decode_event
from jetmill.protocol.name import parse_subscription

_PAGE = 200
"""The most that a gateway tells in one answer."""


class HttpEventDesk:
    """`http_client.events`; each method as `EventDesk` has it. Rights: `list jobs/events` to read, `watch jobs/events`
    to follow, those of `jobs/subscriptions` for the rest.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def read(
        self, pattern: Pattern | Iterable[Pattern] = "*", *, start: Start = "all", until: Start | None = None
    ) -> AsyncGenerator[Event]:
        """Events again, oldest first, from `start` until `until` (a sequence or a time; None: all that are there now).

        What lies on the bus and is no CloudEvent is passed over. InputError for more than 20 patterns.
        """
        patterns = read_patterns(pattern)
        feed = HttpFeed(self._caller, patterns)
        last = await feed.last_seq()
        end = last if until is None else min(last, await _find_end(feed, until))
        at: int | None = await find_start(feed, start, now=_now())
        asked = {"type": [one.text for one in patterns], "sort": "time", "limit": _PAGE}
        while at is not None and at <= end:
            page = (await self._caller.ask("GET", "events", params={**asked, "cursor": at})).body
            for message in map(read_item, page["items"]):
                event = _decode(message) if message.seq <= end else None
                if event is not None:
                    yield event
            at = int(page["nextCursor"]) if "nextCursor" in page else None

    async def follow(
        self, pattern: Pattern | Iterable[Pattern] = "*", *, start: Start = "new"
    ) -> AsyncGenerator[Event]:
        """Events as they come, from `start` on, without an end; a connection that breaks is taken up again."""
        feed = HttpFeed(self._caller, read_patterns(pattern))
        first = await find_start(feed, start, now=_now())
        async with aclosing(feed.follow(start=first)) as messages:
            async for message in messages:
                event = _decode(message)
                if event is not None:
                    yield event

    async def subscriptions(self) -> list[SubscriptionInfo]:
        """The durable subscriptions, and how far they are."""
        items = (await self._caller.ask("GET", "subscriptions")).body["items"]
        return [
            SubscriptionInfo(
                name=one["name"], patterns=tuple(one["patterns"]), waiting=one["waiting"], in_hand=one["inHand"]
            )
            for one in items
        ]

    async def unsubscribe(self, name: str) -> None:
        """Remove a durable subscription with its dead letters; who runs it still makes it again."""
        await self._caller.ask("DELETE", f"subscriptions/{parse_subscription(name)}")

    async def dead(self, name: str | None = None, *, limit: int = 1000) -> list[DeadEvent]:
        """What a subscription (or any) gave up, oldest first; 200 at most, so look after these and ask again."""
        subscription = None if name is None else parse_subscription(name)
        params: dict[str, Any] = {"subscription": subscription, "limit": min(limit, _PAGE)}
        items = (await self._caller.ask("GET", "events/dead", params=params)).body["items"]
        return [convert(one, DeadEvent) for one in items]

    async def retry(self, name: str, seq: int) -> None:
        """Hand a dead event to its subscription once more, from attempt 1; NotFoundError."""
        await self._resolve(name, seq, "retry")

    async def discard(self, name: str, seq: int) -> None:
        """Give a dead event up for good; NotFoundError."""
        await self._resolve(name, seq, "discard")

    async def _resolve(self, name: str, seq: int, action: Literal["retry", "discard"]) -> None:
        body = {"subscription": parse_subscription(name), "seq": seq, "action": action}
        try:
            # Not sent again when its answer is lost: what had succeeded would not be there any more.
            await self._caller.ask("POST", "events/dead", body=body, repeats=False)
        except InputError as err:
            raise NotFoundError(err.message, code=404) from err


async def _find_end(feed: HttpFeed, until: Start) -> int:
    return until if isinstance(until, int) else await find_start(feed, until, now=_now()) - 1


def _now() -> int:
    return time.time_ns() // 1_000


def _decode(message: EventMessage) -> Event | None:
    try:
        return decode_event(message.data, seq=message.seq)
    except CodecError:
        return None
