"""What comes in: standing pulls on every band of every Job, and the choice of what starts next.

Deliveries arrive by callback. With a slot free and nobody before it, one starts at once; else it is held, and `credit`
decides the order. Everything else happens once per turn of the loop, however many deliveries or ends that turn brought:
start what may start, ask for more.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from jetmill.bus.ports import Delivery, Pull, Queue
from jetmill.protocol.record import Band
from jetmill.protocol.subject import BANDS
from jetmill.worker.credit import HOLD_SECONDS, START, WEIGHTS, Demand, decide_band, decide_budget, decide_wants

TICK_SECONDS = 0.1
MAX_UNSETTLED = 2000
"""With so many outcomes on their way to the ledger nothing more is started: NATS is away, or the worker has a thousand
slots and is quicker than the ledger. What is lost of them with the worker is done again. With the claims they stay
under what may wait in the ledger's appender before a handler's own appends have to wait (`bus`).
"""


class Line:
    """One Job in this worker: how many may run, how many do."""

    __slots__ = ("job", "limit", "running", "sources")

    def __init__(self, job: str, limit: int) -> None:
        self.job = job
        self.limit = limit
        self.running = 0
        self.sources: list[Source] = []


class Source:
    """One band of one Job."""

    __slots__ = ("band", "flowing", "held", "line", "paused", "pull", "seen", "weight")

    def __init__(self, line: Line, band: Band, weight: int) -> None:
        self.line = line
        self.band = band
        self.weight = weight
        self.held: deque[tuple[Delivery, float]] = deque()
        self.pull: Pull | None = None
        self.flowing = False
        self.seen = False
        """Something came since the last tick."""
        self.paused = False


class Intake:
    """The pulls of one worker. `start(delivery)` begins a job; whoever does it says `freed` and `settled` later."""

    def __init__(self, queue: Queue, *, slots: int, start: Callable[[Delivery], None]) -> None:
        self._queue = queue
        self._loop = asyncio.get_running_loop()
        self._start = start
        self.slots = slots
        self.running = 0
        self.in_hand: set[Delivery] = set()
        """Every delivery that is held or claimed; the heartbeat extends them."""
        self._unsettled = 0
        self._lines: dict[str, Line] = {}
        self._bands: tuple[deque[Source], deque[Source], deque[Source]] = (deque(), deque(), deque())
        self._turns = START
        self._held = 0
        self._stopped = False
        self._resting = False
        self._on_empty: Callable[[], None] | None = None
        self._woken = False
        self._ticker: asyncio.TimerHandle | None = None
        self._tick_time = 0.0
        self._finished = 0
        self._rate = 0.0

    @property
    def held(self) -> int:
        """Deliveries that wait for a slot."""
        return self._held

    @property
    def begun(self) -> int:
        """Deliveries that are being claimed, run or settled; read from another thread, exact while nothing is taken."""
        return max(0, len(self.in_hand) - self._held)

    @property
    def free(self) -> int:
        """Slots that may be filled now."""
        if self._stopped or self._unsettled >= MAX_UNSETTLED:
            return 0
        return max(0, self.slots - self.running)

    def serve(self, job: str, *, limit: int) -> None:
        """Take a Job's deliveries from now on; again: its limit has changed."""
        line = self._lines.get(job)
        if line is None:
            line = self._lines[job] = Line(job, limit)
        line.limit = limit
        if not line.sources and not self._stopped:
            for band, weight, sources in zip(BANDS, WEIGHTS, self._bands, strict=True):
                source = Source(line, band, weight)  # type: ignore[arg-type]
                self._open(source)
                line.sources.append(source)
                sources.append(source)
        self._wake()

    def renew(self, job: str) -> None:
        """Ask anew for a Job's deliveries, now that it is suspended no more."""
        line = self._lines.get(job)
        for source in line.sources if line is not None else ():
            if source.pull is not None:
                source.pull.renew()

    def drop(self, job: str) -> None:
        """Take nothing more of a Job, and give back what waits; what runs goes on and counts. Idempotent."""
        line = self._lines.get(job)
        if line is None:
            return
        for source in line.sources:
            self._shut(source)
            self._bands[WEIGHTS.index(source.weight)].remove(source)
        line.sources = []
        self._wake()

    def freed(self, delivery: Delivery) -> None:
        """A job's handler has ended: its slot is free."""
        self.running -= 1
        line = self._lines.get(delivery.job)
        if line is not None:
            line.running -= 1
        self._finished += 1
        self._unsettled += 1
        self._wake()

    def settled(self, delivery: Delivery) -> None:
        """A delivery is done with; its slot was freed before."""
        self.in_hand.discard(delivery)
        self._unsettled -= 1
        if self._unsettled == MAX_UNSETTLED - 1:
            self._wake()
        if self._resting and not self.in_hand and self._on_empty is not None:
            self._on_empty()

    def stop(self) -> None:
        """Take nothing more, and give back what waits."""
        self._stopped = True
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        self._close()

    def rest(self, *, on_empty: Callable[[], None] | None = None) -> None:
        """Take nothing more until `resume`, and give back what waits; `on_empty` is called when the last is settled."""
        self._resting = True
        self._on_empty = on_empty
        self._close()

    def resume(self) -> None:
        """Take deliveries again."""
        if self._stopped or not self._resting:
            return
        self._resting = False
        for line in self._lines.values():
            for source in line.sources:
                if source.pull is None:
                    self._open(source)
        self._wake()

    def _open(self, source: Source) -> None:
        source.pull = self._queue.pull(source.line.job, source.band, partial(self._take, source))

    def _close(self) -> None:
        for line in self._lines.values():
            for source in line.sources:
                self._shut(source)

    def _shut(self, source: Source) -> None:
        if source.pull is not None:
            source.pull.stop()
            source.pull = None
        while source.held:
            self._give_back(source)

    def _take(self, source: Source, delivery: Delivery) -> None:
        if self._stopped or self._resting:
            delivery.nak()
            return
        self.in_hand.add(delivery)
        source.seen = source.flowing = True
        if not self._held and self.free and source.line.running < source.line.limit:
            self._begin(source.line, delivery)
        else:
            source.held.append((delivery, self._loop.time()))
            self._held += 1
        self._wake()

    def _begin(self, line: Line, delivery: Delivery) -> None:
        self.running += 1
        line.running += 1
        self._start(delivery)

    def _wake(self) -> None:
        if not self._woken and not self._stopped:
            self._woken = True
            self._loop.call_soon(self._turn)
            if self._ticker is None:
                self._tick_time = time.monotonic()
                self._ticker = self._loop.call_later(TICK_SECONDS, self._tick)

    def _turn(self) -> None:
        self._woken = False
        if self._stopped or self._resting:
            return
        if self._held:
            self._start_held()
        self._ask()

    def _start_held(self) -> None:
        while self.free:
            if self._start_only():
                return
            high, normal, low = (self._next_of(sources) for sources in self._bands)
            band, self._turns = decide_band(self._turns, (high is not None, normal is not None, low is not None))
            source = (high, normal, low)[band] if band >= 0 else None
            if source is None:
                return
            delivery, _ = source.held.popleft()
            self._held -= 1
            self._begin(source.line, delivery)
            sources = self._bands[band]
            sources.remove(source)  # whoever had a turn goes to the end
            sources.append(source)

    def _start_only(self) -> bool:
        """Where one source alone holds something, there is nothing to choose."""
        for sources in self._bands:
            for source in sources:
                if not source.held:
                    continue
                if len(source.held) != self._held:
                    return False
                line = source.line
                for _ in range(min(self._held, self.free, line.limit - line.running)):
                    delivery, _since = source.held.popleft()
                    self._held -= 1
                    self._begin(line, delivery)
                return True
        return True

    def _next_of(self, sources: deque[Source]) -> Source | None:
        """The first Job of a band that has something and may run it."""
        for source in sources:
            if source.held and source.line.running < source.line.limit:
                return source
        return None

    def _ask(self) -> None:
        free = self.free
        if free:
            for line in self._lines.values():
                for source in line.sources:
                    source.paused = False
        sources = [source for line in self._lines.values() for source in line.sources]
        demands = [
            Demand(source.weight, len(source.held), source.pull.outstanding, source.flowing, source.paused)
            for source in sources
            if source.pull is not None
        ]
        for source, want in zip(sources, decide_wants(decide_budget(free, self._rate), demands), strict=True):
            if want > 0 and source.pull is not None:
                source.pull.want(want)

    def _tick(self) -> None:
        """Ten times a second while anything happens: the rate, what waited too long, what flows no more."""
        self._ticker = None
        now = time.monotonic()
        self._rate += 0.4 * (self._finished / max(now - self._tick_time, 1e-3) - self._rate)
        self._finished, self._tick_time = 0, now
        limit = self._loop.time() - HOLD_SECONDS
        for line in self._lines.values():
            for source in line.sources:
                source.flowing = source.seen or bool(source.held)
                source.seen = False
                while source.held and source.held[0][1] < limit:
                    self._give_back(source)
                    source.paused = True
        if self._held or self.running or self._rate > 1.0:
            self._ticker = self._loop.call_later(TICK_SECONDS, self._tick)
        else:
            self._rate = 0.0

    def _give_back(self, source: Source) -> None:
        delivery, _ = source.held.popleft()
        self._held -= 1
        self.in_hand.discard(delivery)
        delivery.nak()
