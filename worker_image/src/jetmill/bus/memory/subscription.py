"""Durable subscriptions in memory: a cursor on the events, what is in hand, and what was given up.

```
event ──deliver──▶ held ──ack──▶ done
   again ──────▶   │  ▲ └─nak(delay)─▶ resting ─due─▶ ready
                   └──┴─ lapses after 30 s ─────────▶ ready
```
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from jetmill.bus.memory.clock import Timer
from jetmill.bus.memory.link import MemoryLink
from jetmill.bus.ports import DeadMessage, EventDelivery, SubscriptionInfo
from jetmill.errors import DisconnectedError, NotFoundError
from jetmill.protocol.event import EventPattern
from jetmill.protocol.name import parse_subscription

if TYPE_CHECKING:
    from jetmill.bus.memory.world import MemoryWorld

ACK_WAIT = 30_000_000
MAX_IN_HAND = 1_000


class Item:
    """An event on its way to one subscription."""

    __slots__ = ("attempt", "data", "seq", "time", "timer")

    def __init__(self, seq: int, time: int, data: bytes) -> None:
        self.seq = seq
        self.time = time
        self.data = data
        self.attempt = 0
        self.timer: Timer | None = None


class Shelf:
    """One subscription."""

    def __init__(self, world: MemoryWorld, patterns: Sequence[EventPattern], start: int) -> None:
        self._world = world
        self.patterns = tuple(patterns)
        self._cursor = max(1, start) - 1
        self._ready: deque[Item] = deque()
        self._in_hand: dict[int, Item] = {}
        self._tokens = 0
        self._resting: set[Item] = set()

    def waiting(self) -> int:
        """Events that were delivered to nobody yet."""
        fresh = sum(self._wants(event.type) for event in self._world.events.after(self._cursor))
        return fresh + sum(item.attempt == 0 for item in self._ready)

    def in_hand(self) -> int:
        """Delivered and not acked."""
        return len(self._in_hand) + len(self._resting) + sum(item.attempt > 0 for item in self._ready)

    def add(self, item: Item) -> None:
        """Hand an event out once more."""
        self._ready.append(item)

    def take(self) -> tuple[int, Item] | None:
        """The next event, now in hand under a number."""
        item = self._next() if self.in_hand() < MAX_IN_HAND or self._ready else None
        if item is None:
            return None
        self._tokens += 1
        token = self._tokens
        item.attempt += 1
        self._in_hand[token] = item
        self._watch(token, item)
        return token, item

    def _next(self) -> Item | None:
        if self._ready:
            return self._ready.popleft()
        for event in self._world.events.after(self._cursor):
            self._cursor = event.seq
            if self._wants(event.type):
                return Item(event.seq, event.time, event.data)
        return None

    def _wants(self, event_type: str) -> bool:
        return any(pattern.matches(event_type) for pattern in self.patterns)

    def _watch(self, token: int, item: Item) -> None:
        clock = self._world.clock
        item.timer = clock.at(clock.now() + ACK_WAIT, lambda: self.give_back(token, 0))

    def extend(self, token: int) -> None:
        """Begin the time in hand anew."""
        item = self._in_hand.get(token)
        if item is not None and item.timer is not None:
            item.timer.cancel()
            self._watch(token, item)

    def ack(self, token: int) -> None:
        """Done with."""
        item = self._in_hand.pop(token, None)
        if item is not None and item.timer is not None:
            item.timer.cancel()

    def give_back(self, token: int, delay: int) -> None:
        """Deliver again, after a delay in µs."""
        item = self._in_hand.pop(token, None)
        if item is None:
            return
        if item.timer is not None:
            item.timer.cancel()
        if delay <= 0:
            self._return(item)
            return
        self._resting.add(item)
        clock = self._world.clock
        item.timer = clock.at(clock.now() + delay, lambda: self._return(item))

    def _return(self, item: Item) -> None:
        self._resting.discard(item)
        self._ready.append(item)
        self._world.subscriptions.wake()


class SubscriptionStore:
    """The subscriptions of a world, who takes from them, and their dead letters."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world
        self.shelves: dict[str, Shelf] = {}
        self.dead: dict[tuple[str, int], DeadMessage] = {}
        self.pulls: dict[str, deque[MemoryEventPull]] = {}
        self._waking = False

    def wake(self) -> None:
        """Deliver on the next turn what can be."""
        if not self._waking and any(self.pulls.values()):
            self._waking = True
            self._world.turn.later(self._pump)

    def reset_turn(self) -> None:
        """The event loop is another one: nothing is under way on it."""
        self._waking = False

    def _pump(self) -> None:
        self._waking = False
        for name, pulls in self.pulls.items():
            shelf = self.shelves.get(name)
            if shelf is None:
                for pull in tuple(pulls):
                    pull.on_missing()
                continue
            while pulls:
                taken = shelf.take()
                if taken is None:
                    break
                pull = pulls.popleft()
                pull.outstanding -= 1
                if pull.outstanding:
                    pulls.append(pull)
                pull.deliver(MemoryEventDelivery(shelf, name, *taken, pull))


class MemoryEventDelivery:
    """The port `EventDelivery`."""

    __slots__ = ("_pull", "_shelf", "_token", "attempt", "data", "seq", "time", "token")

    def __init__(self, shelf: Shelf, name: str, token: int, item: Item, pull: MemoryEventPull) -> None:
        self._shelf = shelf
        self._token = token
        self._pull = pull
        self.seq = item.seq
        self.time = item.time
        self.data = item.data
        self.attempt = item.attempt
        self.token = f"{name}.{token}"

    def ack(self) -> None:
        """See the port."""
        if not self._pull.closed:
            self._shelf.ack(self._token)

    def nak(self, delay_seconds: float = 0.0) -> None:
        """See the port."""
        if not self._pull.closed:
            self._shelf.give_back(self._token, round(delay_seconds * 1_000_000))


class MemoryEventPull:
    """The port `Pull`, of events."""

    def __init__(
        self,
        link: MemoryLink,
        name: str,
        on_delivery: Callable[[EventDelivery], None],
        on_missing: Callable[[], None],
    ) -> None:
        self._link = link
        self._name = name
        self._store = link.world.subscriptions
        self._on_delivery = on_delivery
        self.on_missing = on_missing
        self._stopped = False
        self.outstanding = 0
        self._forget = link.on_close(self._leave)

    @property
    def closed(self) -> bool:
        """The link is closed: what its deliveries say is not heard."""
        return self._link.closed

    def want(self, count: int) -> None:
        """See the port."""
        if self._stopped or count <= 0:
            return
        if self.outstanding == 0:
            self._store.pulls.setdefault(self._name, deque()).append(self)
        self.outstanding += count
        self._store.wake()

    def renew(self) -> None:
        """See the port; here whoever waits is always known."""

    def stop(self) -> None:
        """See the port."""
        self._forget()

    def _leave(self) -> None:
        self._stopped = True
        if self.outstanding:
            self._store.pulls[self._name].remove(self)
        self.outstanding = 0

    def deliver(self, delivery: MemoryEventDelivery) -> None:
        """Hand an event over."""
        try:
            self._on_delivery(delivery)
        except Exception as err:  # noqa: BLE001 - one taker's fault must not stop the others; the loop reports it
            self._link.loop.call_exception_handler({"message": "a delivery's callback failed", "exception": err})


class MemorySubscriptions:
    """The port `Subscriptions`."""

    def __init__(self, link: MemoryLink) -> None:
        self._link = link
        self._world = link.world
        self._store = link.world.subscriptions

    async def apply(self, name: str, *, patterns: Sequence[EventPattern], start: int = 1) -> None:
        """See the port."""
        await self._ask(name)
        shelf = self._store.shelves.get(name)
        if shelf is None:
            self._store.shelves[name] = Shelf(self._world, patterns, start)
        else:
            shelf.patterns = tuple(patterns)
        self._store.wake()

    def pull(
        self, name: str, on_delivery: Callable[[EventDelivery], None], *, on_missing: Callable[[], None]
    ) -> MemoryEventPull:
        """See the port."""
        self._link.check()
        return MemoryEventPull(self._link, parse_subscription(name), on_delivery, on_missing)

    def working(self, token: str) -> None:
        """See the port."""
        name, _, number = token.rpartition(".")
        shelf = None if self._link.closed else self._store.shelves.get(name)
        if shelf is not None:
            shelf.extend(int(number))

    async def all(self) -> list[SubscriptionInfo]:
        """See the port."""
        await self._ask()
        return [
            SubscriptionInfo(
                name=name,
                patterns=tuple(pattern.text for pattern in shelf.patterns),
                waiting=shelf.waiting(),
                in_hand=shelf.in_hand(),
            )
            for name, shelf in sorted(self._store.shelves.items())
        ]

    async def remove(self, name: str) -> None:
        """See the port."""
        await self._ask(name)
        self._store.shelves.pop(name, None)
        for key in [key for key in self._store.dead if key[0] == name]:
            del self._store.dead[key]
        self._store.wake()

    async def bury(self, name: str, seq: int, data: bytes) -> None:
        """See the port."""
        await self._ask(name)
        self._store.dead.pop((name, seq), None)
        self._store.dead[name, seq] = DeadMessage(name, seq, self._world.clock.now(), bytes(data))

    async def dead(self, name: str | None = None, *, limit: int = 1000) -> list[DeadMessage]:
        """See the port."""
        await self._ask(name)
        return [one for (owner, _), one in self._store.dead.items() if name in (None, owner)][:limit]

    async def resolve(self, name: str, seq: int, *, again: bytes | None) -> None:
        """See the port."""
        await self._ask(name)
        if self._store.dead.pop((name, seq), None) is None:
            raise NotFoundError(f"subscription {name} has no dead letter {seq}", code=404)
        shelf = self._store.shelves.get(name)
        if again is not None and shelf is not None:
            shelf.add(Item(seq, self._world.clock.now(), bytes(again)))
            self._store.wake()

    async def _ask(self, name: str | None = None) -> None:
        if name is not None:
            parse_subscription(name)
        if self._link.closed:
            raise DisconnectedError("the memory bus was closed", cure="connect again")
        self._world.need_namespace()
        await self._link.turn()
