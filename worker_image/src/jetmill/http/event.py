"""Events for a subscription, over REST and server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog

from jetmill.bus.ports import EventMessage
from jetmill.http.call import Caller, Params
from jetmill.http.follow import MissedError, follow_topic
from jetmill.http.wire import micros_of
from jetmill.protocol.event import EventPattern

log = structlog.get_logger("jetmill.subscription")


class HttpFeed:
    """Events of some patterns. Takes the rights `watch jobs/events` and `list jobs/events`."""

    def __init__(self, caller: Caller, patterns: Sequence[EventPattern]) -> None:
        self._caller = caller
        self._patterns = patterns

    async def last_seq(self) -> int:
        """The newest sequence."""
        items = await self._list({"limit": 1, "sort": "-time"})
        return int(items[0]["seq"]) if items else 0

    async def seq_at(self, time: int) -> int:
        """The sequence of the first event of a time (µs) or later; the next one's, if there is none."""
        since = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time)
        items = await self._list({"limit": 1, "sort": "time", "since": since.isoformat()})
        return int(items[0]["seq"]) if items else await self.last_seq() + 1

    async def follow(self, *, start: int) -> AsyncGenerator[EventMessage]:
        """See Feed. What is not kept any more is passed over, and logged."""
        only = self._patterns[0].text if len(self._patterns) == 1 else "*"
        while True:
            try:
                async with aclosing(follow_topic(self._caller, f"event:{only}", after=start - 1)) as items:
                    async for item in items:
                        start = int(item["seq"]) + 1
                        if any(pattern.matches(item["type"]) for pattern in self._patterns):
                            yield read_item(item)
            except MissedError as err:
                if err.seq is None:
                    raise
                if not err.slow:
                    log.warning("events_missed", start=start, seq=err.seq, reason=err.message)
                    start = err.seq + 1

    async def _list(self, params: Params) -> list[dict[str, Any]]:
        body = (await self._caller.ask("GET", "events", params=params)).body
        return list(body.get("items", []))


def read_item(item: dict[str, Any]) -> EventMessage:
    """An event where it lies, as a gateway tells it; what is no CloudEvent has the data `null`."""
    return EventMessage(
        type=item["type"],
        seq=int(item["seq"]),
        time=micros_of(item["time"]),
        data=msgspec.json.encode(item.get("event")),
    )
