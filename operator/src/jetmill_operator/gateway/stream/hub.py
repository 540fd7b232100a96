"""The hub of one namespace: which feed, table or message serves a topic; each begins when it is first wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from jetmill.bus.ports import Bus
from jetmill.errors import BusError
from jetmill_operator.gateway.stream.feed import Feed, Subscriber
from jetmill_operator.gateway.stream.frame import Key
from jetmill_operator.gateway.stream.letter import Letters
from jetmill_operator.gateway.stream.option import StreamOptions
from jetmill_operator.gateway.stream.source import EventSource, LedgerSource, TraceSource
from jetmill_operator.gateway.stream.table import Table, read_queues, read_workers
from jetmill_operator.gateway.stream.topic import LEDGER, MESSAGE, TABLE, Kind, Topic

log = structlog.get_logger()


class Hub:
    """Everything live of one namespace."""

    def __init__(self, bus: Bus, *, options: StreamOptions) -> None:
        self.bus = bus
        self.namespace = bus.subjects.namespace
        self._options = options
        self.ledger = Feed(LedgerSource(bus.ledger), namespace=self.namespace, options=options)
        self.events = Feed(EventSource(bus.events), namespace=self.namespace, options=options)
        self.letters = Letters(bus, options=options)
        self._traces: dict[str, Feed] = {}
        self._tables = {
            Kind.WORKERS: self._make_table(Kind.WORKERS),
            Kind.QUEUES: self._make_table(Kind.QUEUES),
        }
        self._begun: set[Feed] = set()

    def _make_table(self, kind: Kind) -> Table:
        read = read_workers if kind is Kind.WORKERS else read_queues
        return Table(lambda: read(self.bus), Key(self.namespace, str(kind)), options=self._options)

    async def feed(self, topic: Topic) -> Feed | None:
        """The feed of a topic, begun; None for what has no sequences. BusError."""
        if topic.kind in MESSAGE:
            await self.letters.start()
        if topic.kind in TABLE or topic.kind in MESSAGE:
            return None
        if topic.kind in LEDGER:
            found = self.ledger
        elif topic.kind is Kind.EVENT:
            found = self.events
        else:
            found = self._find_trace(topic)
        await found.start()
        self._begun.add(found)
        return found

    def _find_trace(self, topic: Topic) -> Feed:
        text = str(topic)
        found = self._traces.get(text)
        if found is None:
            source = TraceSource(self.bus.events, topic)
            found = self._traces[text] = Feed(source, namespace=self.namespace, options=self._options)
        return found

    def join(self, topic: Topic, subscriber: Subscriber) -> None:
        """Give a subscriber a topic that has no sequences, after `feed`."""
        if topic.kind in TABLE:
            self._tables[topic.kind].join(subscriber)
        else:
            self.letters.join(str(topic), subscriber)

    def leave(self, topic: Topic, subscriber: Subscriber) -> None:
        """Give it no more, whatever the topic. Idempotent."""
        text = str(topic)
        if topic.kind in TABLE:
            self._tables[topic.kind].leave(subscriber)
        elif topic.kind in MESSAGE:
            self.letters.leave(text, subscriber)
        else:
            found = self._traces.get(text)
            for feed in (self.ledger, self.events, *([found] if found else [])):
                feed.leave(text, subscriber)

    def cursors(self) -> dict[str, int]:
        """How far each feed with a sequence of its own was flushed, of those that were begun."""
        named = (("ledger", self.ledger), ("events", self.events))
        return {name: feed.seq for name, feed in named if feed in self._begun}

    @property
    def flushed(self) -> int:
        """Events that came from the bus."""
        return sum(feed.flushed for feed in self._begun)

    async def check(self) -> None:
        """Look whether NATS was away or is another, and end what nobody watches."""
        self.letters.check()
        for feed in (self.ledger, self.events):
            if feed in self._begun:
                try:
                    await feed.check()
                except BusError as error:
                    log.debug("stream_not_checked", namespace=self.namespace, error=str(error))

    async def end_idle(self, is_wanted: Callable[[Key], bool]) -> None:
        """End the traces of jobs that nobody wants; asked of each just before it ends, for closing takes its time."""
        for text, feed in tuple(self._traces.items()):
            if feed in self._begun and feed.idle and not is_wanted(Key(self.namespace, text)):
                del self._traces[text]
                self._begun.discard(feed)
                await feed.close()

    async def close(self) -> None:
        """Stop following."""
        self.letters.close()
        await asyncio.gather(
            *(feed.close() for feed in (self.ledger, self.events, *self._traces.values())),
            *(table.close() for table in self._tables.values()),
        )
