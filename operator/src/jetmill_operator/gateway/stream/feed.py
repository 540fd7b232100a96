"""A feed: one follower of a source, and everyone who gets its events by topic.

```
 source ─▶ batch ──window over──▶ flush: a frame for each topic that somebody wants ──▶ subscribers
                                     └──▶ ring: the last events, for those who resume
```

`seq` is how far it was flushed. Whoever joins gets what is flushed after; what was flushed before stands in the ring or
in the source. Both happen in one turn of the loop, so nothing falls between and nothing comes twice.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Protocol

import structlog

from jetmill.errors import BusError, NotFoundError
from jetmill_operator.gateway.stream.frame import MAX_ITEMS, Frame, Key, build_events
from jetmill_operator.gateway.stream.option import StreamOptions
from jetmill_operator.gateway.stream.outbox import Gap
from jetmill_operator.gateway.stream.source import Item, Source, closing

_RETRY_SECONDS = 1.0
_seq_of = attrgetter("seq")
log = structlog.get_logger()


class Subscriber(Protocol):
    """Who gets frames."""

    def put(self, frame: Frame) -> None:
        """Take a frame; must not block."""
        ...

    def note_gap(self, gap: Gap) -> None:
        """Learn that something was left out."""
        ...


class Window:
    """Puts off a call, so that what comes close together is served by one."""

    def __init__(self, flush: Callable[[], None], *, seconds: float) -> None:
        self._flush = flush
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._last = float("-inf")

    def open(self) -> None:
        """See that the call comes: at once after a quiet window, else when this one ends."""
        if self._timer is None:
            delay = max(0.0, self._last + self._seconds - self._loop.time())
            self._timer = self._loop.call_later(delay, self._fire)

    def close(self) -> None:
        """Forget the call."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        self._last = self._loop.time()
        self._flush()


class Feed:
    """The events of one source."""

    def __init__(self, source: Source, *, namespace: str, options: StreamOptions) -> None:
        self.source = source
        self.namespace = namespace
        self.options = options
        self.seq = 0
        """Flushed up to here."""
        self.floor = 0
        """What came after this is in the ring."""
        self.replays = asyncio.Semaphore(options.replays_at_once)
        self.flushed = 0
        """Events flushed, for those who count."""
        self._seen = 0
        self._batch: list[Item] = []
        self._ring: list[Item] = []
        self._subscribers: dict[str, dict[Subscriber, None]] = {}
        self._window = Window(self._flush, seconds=options.window_seconds)
        self._awaited: list[tuple[int, asyncio.Future[None]]] = []
        self._started: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to follow, once; BusError while the bus cannot be asked, after which it may be tried again."""
        while self._started is not None:
            with suppress(BusError):
                await asyncio.shield(self._started)
                return
        self._started = asyncio.get_running_loop().create_future()
        try:
            await self._begin()
        except BaseException as error:
            started, self._started = self._started, None
            started.set_exception(error if isinstance(error, BusError) else BusError("the stream was not begun"))
            started.exception()  # nobody else may have waited
            raise
        self._started.set_result(None)

    async def _begin(self) -> None:
        last = await self.source.last_seq()
        floor = max(0, last - self.options.backlog)
        ring: list[Item] = []
        async for items in self.source.history(None, after=floor, until=last):
            ring += items
        self._ring = ring[-self.options.ring :]
        self.floor, self.seq, self._seen = floor, last, last
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stop."""
        self._window.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def idle(self) -> bool:
        """Nobody subscribes."""
        return not self._subscribers

    def join(self, topic: str, subscriber: Subscriber) -> int:
        """Give a subscriber what comes from now on; the sequence up to which nothing will be given."""
        self._subscribers.setdefault(topic, {})[subscriber] = None
        return self.seq

    def leave(self, topic: str, subscriber: Subscriber) -> None:
        """Give it no more. Idempotent."""
        found = self._subscribers.get(topic)
        if found is not None:
            found.pop(subscriber, None)
            if not found:
                del self._subscribers[topic]

    def recall(self, topic: str, *, after: int) -> list[Item] | None:
        """What was flushed of a topic after a sequence; None if the ring does not reach back so far."""
        if after < self.floor:
            return None
        start = bisect_right(self._ring, after, key=_seq_of)
        return [item for item in self._ring[start:] if topic in item.topics]

    async def reached(self, seq: int) -> None:
        """Wait until everything up to a sequence was flushed."""
        while self.seq < seq:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._awaited.append((seq, future))
            await future

    async def check(self) -> None:
        """See whether the source is another by now (a backup was restored): sequences went back. BusError."""
        if self._task is None:
            return
        seen = self._seen  # as it was before the question: more may come before the answer
        last = await self.source.last_seq()
        if last >= seen:
            return
        log.warning("stream_went_back", namespace=self.namespace, seen=seen, last=last)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._batch, self._ring = [], []
        for topic, subscribers in self._subscribers.items():
            for one in tuple(subscribers):
                one.note_gap(Gap(Key(self.namespace, topic), after=self.seq, seq=last, reason="reset"))
        self.floor = self.seq = self._seen = last
        self._task = asyncio.create_task(self._follow())

    # From the source

    async def _follow(self) -> None:
        while True:
            try:
                async with closing(self.source.follow(start=self._seen + 1)) as lists:
                    async for items in lists:
                        self._take(items)
            except NotFoundError as error:
                log.info("stream_missing", namespace=self.namespace, error=str(error))
            except BusError as error:
                log.warning("stream_broke", namespace=self.namespace, error=str(error))
            else:
                return  # the bus was closed
            await asyncio.sleep(_RETRY_SECONDS)

    def _take(self, items: list[Item]) -> None:
        self._batch += items
        self._seen = items[-1].seq
        self._window.open()

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        before, self.seq = self.seq, self._seen
        self.flushed += len(batch)
        self._ring += batch
        if len(self._ring) > 2 * self.options.ring:
            gone = len(self._ring) - self.options.ring
            self.floor = self._ring[gone - 1].seq
            del self._ring[:gone]
        self._wake()
        for topic, items in self._sort(batch).items():
            subscribers = tuple(self._subscribers[topic])
            for frame in cut_frames(Key(self.namespace, topic), items, after=before, seq=self.seq):
                for one in subscribers:
                    one.put(frame)

    def _wake(self) -> None:
        for seq, future in self._awaited:
            if self.seq >= seq and not future.done():
                future.set_result(None)
        self._awaited = [(seq, future) for seq, future in self._awaited if not future.done()]

    def _sort(self, batch: list[Item]) -> dict[str, list[Item]]:
        """The batch by topic, of those that somebody wants."""
        wanted: dict[str, list[Item]] = {}
        for item in batch:
            for topic in item.topics:
                if topic in self._subscribers:
                    wanted.setdefault(topic, []).append(item)
        return wanted


def cut_frames(key: Key, items: Sequence[Item], *, after: int, seq: int) -> list[Frame]:
    """Frames of at most MAX_ITEMS events of one topic; the last one says that all up to `seq` was given."""
    frames: list[Frame] = []
    for start in range(0, len(items), MAX_ITEMS):
        part = items[start : start + MAX_ITEMS]
        end = seq if start + MAX_ITEMS >= len(items) else part[-1].seq
        frames.append(build_events(key, [item.raw for item in part], after=after, seq=end, count=len(part)))
        after = end
    return frames
