"""The work queue: keys go in as often as something happens, and come out one reconcile at a time.

```
             add                    a worker is free
   ─────────────────▶ waiting ─────────────────────────▶ running ──▶ done, nothing is kept
        ▲   (live before backlog)                         │  │ ▲
        │                                                 │  │ └── add while it runs: again afterwards
        └──────────── delayed ◀───────────────────────────┘  │
              add_after, Again(seconds)      failed: backoff ┘
```

- A key waits once, however often it was added, and is never reconciled twice at once.
- What happens now goes before what the first listing brought; after sixteen live keys in a row one of the backlog gets
  its turn, so that a busy cluster does not starve it.
- A failed key comes again after 5 ms, then up to twice as long each time, up to 5 minutes, with full jitter; at the
  earliest when the server said (`retry_after_seconds`). Something new about it brings it forward.
- Time is the event loop's. Nothing is written down: after a restart the first listing brings every key.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

import structlog

from jetmill_operator.cluster.errors import NotLeaderError, UnavailableError

K = TypeVar("K")

FIRST_BACKOFF_SECONDS = 0.005
LONGEST_BACKOFF_SECONDS = 300.0
RUN_SECONDS = 120.0
"""A reconcile that takes longer is cancelled and counts as failed: it must not hold up the others for ever."""
WORKERS = 16
"""They wait for answers most of the time: of NATS, which then syncs the writes of many at once, and of the cluster."""
_STREAK = 16
_DOUBLINGS = 16
"""2^16 times the first backoff is more than the longest."""

log = structlog.get_logger("jetmill.operator")


@dataclass(frozen=True, slots=True)
class Again:
    """A reconcile ended well, and wants to look again."""

    seconds: float


class End(StrEnum):
    """How a reconcile ended, for the metrics."""

    DONE = "done"
    AGAIN = "again"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Run(Generic[K]):
    """One reconcile that has ended."""

    key: K
    end: End
    waited_seconds: float
    """From the first add to the start."""
    seconds: float


@dataclass(slots=True)
class _Waiting:
    since: float
    live: bool


class WorkQueue(Generic[K]):
    """Runs `reconcile` for each key that is added, at most `workers` at once.

    `on_run` is told of every run. `chance` gives numbers in [0, 1) for the jitter. To be used from one event loop;
    another thread comes in by `call_soon_threadsafe`.
    """

    def __init__(
        self,
        reconcile: Callable[[K], Awaitable[Again | None]],
        *,
        workers: int = WORKERS,
        run_seconds: float = RUN_SECONDS,
        chance: Callable[[], float] = random.random,
        on_run: Callable[[Run[K]], None] = lambda _: None,
    ) -> None:
        self._reconcile = reconcile
        self._workers = workers
        self._run_seconds = run_seconds
        self._chance = chance
        self._on_run = on_run
        self._loop = asyncio.get_running_loop()
        self._live: dict[K, _Waiting] = {}
        self._backlog: dict[K, _Waiting] = {}
        self._streak = 0
        self._dirty: dict[K, _Waiting] = {}
        self._running: dict[K, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._delayed: dict[K, asyncio.TimerHandle] = {}
        self._failures: dict[K, int] = {}
        self._started = False
        self._stopped = False
        self._ended: asyncio.Future[None] = self._loop.create_future()

    # -- what can be read

    @property
    def depth(self) -> int:
        """Keys that wait for a worker."""
        return len(self._live) + len(self._backlog)

    @property
    def delayed(self) -> int:
        """Keys that wait for their time."""
        return len(self._delayed)

    @property
    def running(self) -> int:
        """Keys that are being reconciled."""
        return len(self._running)

    @property
    def oldest_seconds(self) -> float:
        """How long the key that waits longest for a worker has waited; 0 if none does."""
        since = [waiting.since for waiting in (*self._live.values(), *self._backlog.values())]
        return self._loop.time() - min(since) if since else 0.0

    @property
    def longest_run_seconds(self) -> float:
        """How long the reconcile that runs longest has been running; 0 if none does."""
        return self._loop.time() - min(self._running.values()) if self._running else 0.0

    def failures(self, key: K) -> int:
        """How often in a row a key has failed."""
        return self._failures.get(key, 0)

    # -- what goes in

    def add(self, key: K, *, live: bool = True) -> None:
        """Look at a key, as soon as a worker is free; `live`: something has just happened to it."""
        if self._stopped:
            return
        self._cancel_delay(key)
        now = self._loop.time()
        if key in self._running:
            since = self._dirty[key].since if key in self._dirty else now
            self._dirty[key] = _Waiting(since, live or (key in self._dirty and self._dirty[key].live))
            return
        known = self._live.get(key) or self._backlog.get(key)
        if known is None:
            (self._live if live else self._backlog)[key] = _Waiting(now, live)
        elif live and not known.live:
            del self._backlog[key]
            self._live[key] = _Waiting(known.since, live=True)
        self._start_some()

    def add_after(self, key: K, seconds: float, *, live: bool = True) -> None:
        """Look at a key in a while, at the latest: whatever adds it before makes this needless."""
        if self._stopped or key in self._live or key in self._backlog or key in self._dirty:
            return
        due = self._loop.time() + seconds
        planned = self._delayed.get(key)
        if planned is not None and planned.when() <= due:
            return
        self._cancel_delay(key)
        self._delayed[key] = self._loop.call_at(due, self._come, key, live)

    # -- running

    async def run(self) -> None:
        """Work until `stop`; raises NotLeaderError if a reconcile does: this process has nothing more to say."""
        self._started = True
        self._start_some()
        await asyncio.shield(self._ended)

    async def stop(self, *, grace_seconds: float = 5.0) -> None:
        """Start nothing more, let what runs end, and cancel what does not within the grace. Idempotent."""
        self._stopped = True
        for handle in self._delayed.values():
            handle.cancel()
        self._delayed.clear()
        self._live.clear()
        self._backlog.clear()
        self._dirty.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self._ended.done():
            self._ended.set_result(None)
        self._ended.exception()  # whether anybody still waits for it or not: asyncio would complain

    def _start_some(self) -> None:
        while self._started and not self._stopped and self.depth and len(self._running) < self._workers:
            key, waiting = self._take()
            self._running[key] = self._loop.time()
            task = asyncio.create_task(self._run(key, waiting), name=f"reconcile {key}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _take(self) -> tuple[K, _Waiting]:
        if self._live and not (self._backlog and self._streak >= _STREAK):
            chosen = self._live
            self._streak += 1
        else:
            chosen = self._backlog
            self._streak = 0
        key = next(iter(chosen))
        return key, chosen.pop(key)

    async def _run(self, key: K, waiting: _Waiting) -> None:
        started = self._running[key]
        again: float | None = None
        end = End.FAILED
        try:
            async with asyncio.timeout(self._run_seconds):
                result = await self._reconcile(key)
            self._failures.pop(key, None)
            end, again = (End.DONE, None) if result is None else (End.AGAIN, result.seconds)
        except NotLeaderError as err:
            self._stopped = True
            if not self._ended.done():
                self._ended.set_exception(err)
        except Exception as err:  # noqa: BLE001 (one of the house's two edges: whatever it was, the others go on)
            again = self._count_failure(key, err)
        finally:
            del self._running[key]
        self._on_run(Run(key, end, started - waiting.since, self._loop.time() - started))
        self._go_on(key, again, live=waiting.live)

    def _go_on(self, key: K, again: float | None, *, live: bool) -> None:
        dirty = self._dirty.pop(key, None)
        if not self._stopped:
            if dirty is not None:
                (self._live if dirty.live else self._backlog)[key] = dirty
            elif again is not None:
                self.add_after(key, again, live=live)
        self._start_some()

    def _count_failure(self, key: K, err: Exception) -> float:
        count = self._failures[key] = self._failures.get(key, 0) + 1
        longest = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(count - 1, _DOUBLINGS))
        wait: float = longest * self._chance()
        if isinstance(err, UnavailableError) and err.retry_after_seconds is not None:
            wait += err.retry_after_seconds
        expected = getattr(err, "retryable", False)
        log.warning(
            "reconcile_failed",
            key=str(key),
            error=str(err) or type(err).__name__,
            failures=count,
            retry_seconds=round(wait, 3),
            exc_info=None if expected else err,
        )
        return wait

    def _come(self, key: K, live: bool) -> None:  # noqa: FBT001 (call_at passes arguments by place)
        self._delayed.pop(key, None)
        self.add(key, live=live)

    def _cancel_delay(self, key: K) -> None:
        handle = self._delayed.pop(key, None)
        if handle is not None:
            handle.cancel()
