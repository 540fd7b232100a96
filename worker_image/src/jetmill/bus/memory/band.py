"""A Job's work queue in memory: the messages of its three bands, who holds them, and what is due later.

```
fresh ──deliver──▶ held ──ack──▶ gone            delayed hint ──due──▶ fresh
                   │  ▲ └─nak(delay)─▶ resting ──due──┐
                   │  └───deliver──── again ◀──lapse, nak, resting over
```

Like JetStream, and unlike what one would wish: an ack or nak counts whoever holds the message by now; redelivered
messages come before fresh ones; a purge takes messages out of hands without a word. Messages that are gone stay in the
deques until they come up, so nothing is ever searched for.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING

from jetmill.bus.memory.clock import Timer
from jetmill.bus.ports import Depth, Flow
from jetmill.protocol.hint import Hint
from jetmill.protocol.record import Band

if TYPE_CHECKING:
    from jetmill.bus.memory.queue import MemoryPull
    from jetmill.bus.memory.world import MemoryWorld


class Place(Enum):
    """Where a message is."""

    FRESH = auto()
    HELD = auto()
    RESTING = auto()
    AGAIN = auto()
    GONE = auto()


class Message:
    """A ready hint in a queue stream."""

    __slots__ = ("band", "deadline", "deliveries", "hint", "place", "seq", "time", "timer")

    def __init__(self, hint: Hint, *, seq: int, time: int, band: BandQueue) -> None:
        self.hint = hint
        self.seq = seq
        self.time = time
        self.band = band
        self.deliveries = 0
        self.place = Place.FRESH
        self.deadline = 0
        self.timer: Timer | None = None


class BandQueue:
    """One band with its consumer."""

    def __init__(self, world: MemoryWorld, job: str, band: Band) -> None:
        self._world = world
        self._key = (job, band)
        self.ack_wait = 30_000_000
        self.paused = False
        self.fresh_count = 0
        self.delivered = 0
        """How often anything was delivered."""
        self.epoch = 0
        """Grows when the server forgets its deliveries; what was delivered before means nothing then."""
        self.pending: dict[int, Message] = {}
        """Delivered and not acked: held, resting and again."""
        self._held: dict[int, Message] = {}
        self._fresh: deque[Message] = deque()
        self._again: deque[Message] = deque()
        self._lapse_timer: Timer | None = None
        self._pumping = False

    def add(self, message: Message) -> None:
        """Put a fresh message."""
        self._fresh.append(message)
        self.fresh_count += 1
        self.pump_later()

    def pump_later(self) -> None:
        """Deliver on the next turn what can be."""
        if not self._pumping and self._world.pulls.get(self._key):
            self._pumping = True
            self._world.turn.later(self._pump)

    def reset_turn(self) -> None:
        """The event loop is another one: nothing is under way on it."""
        self._pumping = False

    def _pump(self) -> None:
        self._pumping = False
        pulls = self._world.pulls.get(self._key)
        while pulls and not self.paused:
            message = self._next()
            if message is None:
                return
            pull = pulls.popleft()
            pull.outstanding -= 1
            if pull.outstanding:
                pulls.append(pull)
            self._hold(message)
            self._hand_over(pull, message)

    def _hand_over(self, pull: MemoryPull, message: Message) -> None:
        try:
            pull.deliver(message)
        except Exception as err:  # noqa: BLE001 - one taker's fault must not stop the others; the loop reports it
            pull.loop.call_exception_handler({"message": "a delivery's callback failed", "exception": err})

    def _next(self) -> Message | None:
        while self._again:
            message = self._again.popleft()
            if message.place is Place.AGAIN:
                return message
        while self._fresh:
            message = self._fresh.popleft()
            if message.place is Place.FRESH:
                self.fresh_count -= 1
                return message
        return None

    def _hold(self, message: Message) -> None:
        message.place = Place.HELD
        message.deliveries += 1
        self.delivered += 1
        message.deadline = self._world.clock.now() + self.ack_wait
        self.pending[message.seq] = message
        self._held[message.seq] = message
        if self._lapse_timer is None:
            self._lapse_timer = self._world.clock.at(message.deadline, self._lapse_due)

    def _lapse_due(self) -> None:
        """The oldest in hand comes first in `_held`, for every (re)start of a deadline puts it last."""
        self._lapse_timer = None
        now = self._world.clock.now()
        for message in list(self._held.values()):
            if message.deadline > now:
                self._lapse_timer = self._world.clock.at(message.deadline, self._lapse_due)
                return
            self.back(message)

    def back(self, message: Message) -> None:
        """Let a message that was delivered be delivered again."""
        if message.seq not in self.pending or message.place is Place.AGAIN:
            return
        self._let_go(message)
        message.place = Place.AGAIN
        self._again.append(message)
        self.pump_later()

    def rest(self, message: Message, seconds: float) -> None:
        """Let it be delivered again after a delay."""
        if message.seq not in self.pending:
            return
        self._let_go(message)
        message.place = Place.RESTING
        clock = self._world.clock
        message.timer = clock.at(clock.now() + round(seconds * 1_000_000), lambda: self.back(message))
        self._world.settled.ring()

    def extend(self, message: Message) -> None:
        """Start the deadline of a message in hand anew."""
        if self._held.pop(message.seq, None) is not None:
            message.deadline = self._world.clock.now() + self.ack_wait
            self._held[message.seq] = message

    def remove(self, message: Message) -> None:
        """The message is gone, wherever it was."""
        if message.place is Place.FRESH:
            self.fresh_count -= 1
        self._let_go(message)
        message.place = Place.GONE
        self.pending.pop(message.seq, None)
        self._world.settled.ring()

    def _let_go(self, message: Message) -> None:
        self._held.pop(message.seq, None)
        if message.timer is not None:
            message.timer.cancel()
            message.timer = None

    @property
    def is_idle(self) -> bool:
        """Nothing is in hand, and nothing could be delivered now: what is left rests or is paused."""
        return not self._held and (self.paused or not (self.fresh_count or self._again))

    def set_ack_wait(self, ack_wait: int) -> None:
        """Change the lease time; what is in hand keeps the deadline that it has."""
        if ack_wait != self.ack_wait:
            self.ack_wait = ack_wait
            self._held = dict(sorted(self._held.items(), key=lambda item: item[1].deadline))

    def forget_deliveries(self) -> None:
        """Everything in hand is fresh again, in order, before what was never delivered."""
        self.epoch += 1
        pending = sorted(self.pending.values(), key=lambda message: message.seq)
        for message in reversed(pending):
            self._let_go(message)
            message.place = Place.FRESH
            message.deliveries = 0
            self._fresh.appendleft(message)
        self.fresh_count += len(pending)
        self.pending.clear()
        self._again.clear()
        self.pump_later()


class JobQueue:
    """The queue stream of one Job."""

    def __init__(self, world: MemoryWorld, job: str) -> None:
        self._world = world
        self.bands: dict[Band, BandQueue] = {
            "high": BandQueue(world, job, "high"),
            "normal": BandQueue(world, job, "normal"),
            "low": BandQueue(world, job, "low"),
        }
        self.last_seq = 0
        self.messages: dict[int, Message] = {}
        self._by_id: dict[str, list[Message]] = {}
        self._delayed: dict[str, tuple[int, Timer]] = {}

    def put(self, hint: Hint) -> None:
        """Store a hint, ready or delayed."""
        if hint.due is None:
            self._store(hint)
            return
        self.last_seq += 1
        earlier = self._delayed.get(hint.id)
        if earlier is not None:
            earlier[1].cancel()
        timer = self._world.clock.at(hint.due, lambda: self._fire(hint))
        self._delayed[hint.id] = (self.last_seq, timer)

    def _fire(self, hint: Hint) -> None:
        self._delayed.pop(hint.id, None)
        self._store(hint)
        self._world.settled.ring()

    def _store(self, hint: Hint) -> None:
        self.last_seq += 1
        band = self.bands[hint.band]
        message = Message(hint, seq=self.last_seq, time=self._world.clock.now(), band=band)
        self.messages[message.seq] = message
        same = self._by_id.get(hint.id)
        if same is None:
            self._by_id[hint.id] = [message]
        else:
            same.append(message)
        band.add(message)

    def remove(self, message: Message) -> None:
        """Take a message out of the stream."""
        if self.messages.get(message.seq) is not message:
            return
        del self.messages[message.seq]
        same = self._by_id[message.hint.id]
        same.remove(message)
        if not same:
            del self._by_id[message.hint.id]
        message.band.remove(message)

    def purge(self, job_id: str, *, up_to: int) -> None:
        """Remove a job's hints below a sequence."""
        for message in list(self._by_id.get(job_id, ())):
            if message.seq < up_to:
                self.remove(message)
        delayed = self._delayed.get(job_id)
        if delayed is not None and delayed[0] < up_to:
            delayed[1].cancel()
            del self._delayed[job_id]

    def hinted(self) -> set[str]:
        """The ids that have a hint."""
        return self._by_id.keys() | self._delayed.keys()

    def delayed_ids(self) -> set[str]:
        """The ids whose hint waits for its time."""
        return set(self._delayed)

    def depth(self) -> Depth:
        """How much waits."""
        bands = self.bands.values()
        return Depth(
            ready=sum(band.fresh_count for band in bands),
            in_flight=sum(len(band.pending) for band in bands),
            delayed=len(self._delayed),
        )

    def flow(self) -> Flow:
        """How much goes through."""
        bands = self.bands.values()
        ready = sum(band.fresh_count for band in bands)
        return Flow(
            ready=ready,
            in_flight=sum(len(band.pending) for band in bands),
            stored=self.last_seq,
            offered=ready + sum(band.delivered for band in bands),
            delayed=len(self._delayed),
        )

    def is_idle(self) -> bool:
        """Nothing is in hand or could be."""
        return all(band.is_idle for band in self.bands.values())

    def next_hint(self) -> int | None:
        """When the next delayed hint is due (µs)."""
        return min((timer.due for _, timer in self._delayed.values()), default=None)

    def duplicate(self, job_id: str) -> int:
        """Store each ready hint of a job again."""
        originals = [message.hint for message in self._by_id.get(job_id, ())]
        for hint in originals:
            self._store(hint)
        return len(originals)

    def lapse(self, job_id: str | None) -> int:
        """Let what is in hand lapse."""
        count = 0
        for band in self.bands.values():
            for message in list(band.pending.values()):
                if message.place is Place.HELD and job_id in (None, message.hint.id):
                    band.back(message)
                    count += 1
        return count

    def forget_deliveries(self) -> None:
        """What a killed server forgets."""
        for band in self.bands.values():
            band.forget_deliveries()

    def reset_turn(self) -> None:
        """The event loop is another one."""
        for band in self.bands.values():
            band.reset_turn()

    def close(self) -> None:
        """The stream is deleted."""
        for message in list(self.messages.values()):
            self.remove(message)
        for _, timer in self._delayed.values():
            timer.cancel()
        self._delayed.clear()
