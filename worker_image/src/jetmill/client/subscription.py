"""Subscriptions: events handed to a function, at least once if it is durable.

```
             ┌──────────────── nak(delay by the policy) ◀── failed, may be tried again
 bus ──▶ decode ──▶ handler ──▶ ack
             └── no event at all ──────▶ dead letter ──▶ ack   ◀── failed for the last time, or NonRetryable
```

A durable one keeps on the bus how far it is, shares its events with whoever subscribes under the same name, and tries
again as long as its policy says. One that is not lives with its process: in order, one event at a time, and what its
handler does not manage is logged and passed over.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Protocol, Self

import structlog

from jetmill.bus.ports import Bus, EventDelivery, EventMessage, Pull
from jetmill.client.flow import NonRetryable, RetryAfter
from jetmill.errors import BusError, CodecError, DisconnectedError, InputError
from jetmill.protocol.deadletter import DeadLetter, encode_dead_letter
from jetmill.protocol.event import Event, EventPattern, decode_event
from jetmill.protocol.record import ErrorInfo
from jetmill.protocol.retry import RetryPolicy

WORKING_SECONDS = 10.0
"""How often the bus hears that an event is still in hand."""
PAUSE_SECONDS = 2.0
"""Before what the bus refused is tried again."""
TRACEBACK_CHARACTERS = 16_384
MESSAGE_CHARACTERS = 4_096

Handle = Callable[[Event], Awaitable[Any]]
log = structlog.get_logger("jetmill.subscription")


class Subscription:
    """A subscription that runs; `stop()` (or leaving `async with`) lets what is in hand end and gives back the rest."""

    def __init__(self, name: str) -> None:
        self.name = name
        """Empty for one that is not durable."""
        self.handled = 0
        self.failed = 0
        """Attempts that failed."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self, *, grace_seconds: float = 10.0) -> None:
        """Take nothing more, let handlers end within the grace, stop the others. Idempotent."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=grace_seconds)
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class DurableSubscription(Subscription):
    """One that the bus remembers; made by `Client.subscribe(durable=…)`, and by a worker for each `@on`."""

    def __init__(
        self,
        bus: Bus,
        name: str,
        handle: Handle,
        *,
        patterns: Sequence[EventPattern],
        retry: RetryPolicy,
        concurrency: int = 1,
    ) -> None:
        super().__init__(name)
        self._bus = bus
        self._handle = handle
        self._patterns = patterns
        self._retry = retry
        self._concurrency = concurrency
        self._pull: Pull | None = None
        self._in_hand: dict[int, EventDelivery] = {}
        self._next = 1
        self._mending: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None

    async def start(self, *, start: int = 1) -> None:
        """Make sure that the bus knows it (`start` counts only if it did not), then take events. BusError."""
        await self._bus.subscriptions.apply(self.name, patterns=self._patterns, start=start)
        self._next = start
        self._pull = self._bus.subscriptions.pull(self.name, self._take, on_missing=self._mend)
        self._pull.want(self._concurrency)
        self._beating = asyncio.create_task(self._beat())

    async def stop(self, *, grace_seconds: float = 10.0) -> None:
        """See above."""
        if self._pull is None:
            return
        pull, self._pull = self._pull, None
        pull.stop()
        await super().stop(grace_seconds=grace_seconds)
        for task in (self._beating, self._mending):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def _take(self, delivery: EventDelivery) -> None:
        if self._pull is None:
            delivery.nak()
            return
        self._spawn(self._attend(delivery))

    async def _attend(self, delivery: EventDelivery) -> None:
        self._in_hand[id(delivery)] = delivery
        try:
            await self._settle(delivery)
        except asyncio.CancelledError:
            delivery.nak()
            raise
        finally:
            del self._in_hand[id(delivery)]
            self._next = max(self._next, delivery.seq + 1)
            if self._pull is not None:
                self._pull.want(1)

    async def _settle(self, delivery: EventDelivery) -> None:
        try:
            event = decode_event(delivery.data, seq=delivery.seq)
        except CodecError as err:
            await self._bury(delivery, err)
            return
        try:
            await self._handle(event)
        except Exception as err:  # noqa: BLE001 - the edge: a handler may raise anything
            self.failed += 1
            await self._decide(delivery, event, err)
        else:
            self.handled += 1
            delivery.ack()

    async def _decide(self, delivery: EventDelivery, event: Event, err: Exception) -> None:
        final = isinstance(err, NonRetryable) or not self._retry.allows(delivery.attempt)
        said = {"subscription": self.name, "event_id": event.id, "type": event.type, "attempt": delivery.attempt}
        log.warning("event_not_handled", **said, final=final, error=f"{type(err).__name__}: {err}")
        if final:
            await self._bury(delivery, err)
        elif isinstance(err, RetryAfter):
            delivery.nak(err.seconds)
        else:
            delivery.nak(self._retry.delay_seconds(delivery.attempt, random.random()))

    async def _bury(self, delivery: EventDelivery, err: Exception) -> None:
        """Write the dead letter, then ack; what cannot be written comes again."""
        letter = DeadLetter(
            subscription=self.name,
            seq=delivery.seq,
            attempts=delivery.attempt,
            error=describe_error(err),
            event=bytes(delivery.data),
        )
        try:
            await self._bus.subscriptions.bury(self.name, delivery.seq, encode_dead_letter(letter))
        except BusError as refused:
            log.warning("event_not_buried", subscription=self.name, seq=delivery.seq, error=str(refused))
            delivery.nak(PAUSE_SECONDS)
            return
        log.error("event_given_up", subscription=self.name, seq=delivery.seq, error=letter.error.message)
        delivery.ack()

    # --- what keeps it alive

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(WORKING_SECONDS)
            for delivery in tuple(self._in_hand.values()):
                self._bus.subscriptions.working(delivery.token)

    def _mend(self) -> None:
        if self._pull is not None and (self._mending is None or self._mending.done()):
            self._mending = asyncio.create_task(self._make_again())

    async def _make_again(self) -> None:
        """Somebody removed it, or the stream: begin behind what was seen, or at the first of a stream that is new."""
        try:
            last = await self._bus.events.last_seq()
            start = min([delivery.seq for delivery in self._in_hand.values()], default=self._next)
            if start > last + 1:
                start = self._next = 1
            await self._bus.subscriptions.apply(self.name, patterns=self._patterns, start=start)
            log.warning("subscription_made_again", subscription=self.name, start=start)
        except BusError as err:
            log.warning("subscription_missing", subscription=self.name, error=str(err))


class Feed(Protocol):
    """Where a subscription that lives with its process has its events from."""

    async def last_seq(self) -> int:
        """The newest sequence that there is; BusError."""
        ...

    def follow(self, *, start: int) -> AsyncGenerator[EventMessage]:
        """The events that are wanted, from a sequence on; ends when the connection was closed. BusError."""
        ...


class BusFeed:
    """Events of some patterns, from the bus itself."""

    def __init__(self, bus: Bus, patterns: Sequence[EventPattern]) -> None:
        self._bus = bus
        self._patterns = patterns

    async def last_seq(self) -> int:
        """See Feed."""
        return await self._bus.events.last_seq()

    def follow(self, *, start: int) -> AsyncGenerator[EventMessage]:
        """See Feed."""
        return follow_events(self._bus, self._patterns, start=start)


class LiveSubscription(Subscription):
    """One that lives with its process."""

    def __init__(self, feed: Feed, handle: Handle, *, retry: RetryPolicy, start: int) -> None:
        super().__init__("")
        self._feed = feed
        self._handle = handle
        self._retry = retry
        self._next = start
        self._following: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Take events from now on."""
        self._following = asyncio.create_task(self._run())

    async def stop(self, *, grace_seconds: float = 10.0) -> None:
        """See above; what is in hand is stopped at once, for nobody waits for its end."""
        del grace_seconds
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except DisconnectedError:
                return  # the connection was closed
            except BusError as err:
                log.warning("events_not_followed", error=str(err))
                await asyncio.sleep(PAUSE_SECONDS)
                with contextlib.suppress(BusError):
                    if await self._feed.last_seq() + 1 < self._next:
                        self._next = 1

    async def _follow(self) -> None:
        async with aclosing(self._feed.follow(start=self._next)) as messages:
            async for message in messages:
                await self._attend(message)
                self._next = message.seq + 1
        raise DisconnectedError("the connection was closed")

    async def _attend(self, message: EventMessage) -> None:
        try:
            event = decode_event(message.data, seq=message.seq)
        except CodecError as err:
            log.warning("event_unreadable", seq=message.seq, error=str(err))
            return
        attempt = 0
        while True:
            attempt += 1
            try:
                await self._handle(event)
            except Exception as err:  # noqa: BLE001 - the edge: a handler may raise anything
                self.failed += 1
                final = isinstance(err, NonRetryable) or not self._retry.allows(attempt)
                log.warning("event_not_handled", event_id=event.id, type=event.type, attempt=attempt, final=final)
                if final:
                    return
                delay = err.seconds if isinstance(err, RetryAfter) else None
                await asyncio.sleep(self._retry.delay_seconds(attempt, random.random()) if delay is None else delay)
            else:
                self.handled += 1
                return


async def follow_events(bus: Bus, patterns: Sequence[EventPattern], *, start: int) -> AsyncGenerator[EventMessage]:
    """Events of any of the patterns from a sequence on, old then live; one pattern alone the server picks out."""
    only = patterns[0] if len(patterns) == 1 else None
    lists = bus.events.follow(start=start, pattern=only)
    async with aclosing(lists):  # type: ignore[type-var]  # every adapter's is a generator
        async for messages in lists:
            for message in messages:
                if any(pattern.matches(message.type) for pattern in patterns):
                    yield message


async def read_events(
    bus: Bus, patterns: Sequence[EventPattern], *, start: int, until: int
) -> AsyncGenerator[EventMessage]:
    """Events of any of the patterns that are kept, from `start` to `until`."""
    only = patterns[0] if len(patterns) == 1 else None
    while start <= until:
        messages = await bus.events.read(start=start, pattern=only)
        for message in messages:
            if message.seq > until:
                return
            if any(pattern.matches(message.type) for pattern in patterns):
                yield message
        if not messages:
            return
        start = messages[-1].seq + 1


def describe_error(err: BaseException) -> ErrorInfo:
    """What people will read of an exception."""
    kind = type(err)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    text = "".join(traceback.format_exception(err))[-TRACEBACK_CHARACTERS:]
    clean = [part.encode("utf-8", "replace").decode() for part in (str(err)[:MESSAGE_CHARACTERS], text)]
    return ErrorInfo(
        type=name, message=clean[0], traceback="" if isinstance(err, InputError | CodecError) else clean[1]
    )
