"""Many short coroutines in one task: the runners of a relay.

A task for each job costs more than a short job's handler. Here one task drives one coroutine after another, each in a
context of its own, as long as none of them waits. One that waits keeps the task, from then on as if it had never had
another, and the rest goes on in a new task. So `asyncio.current_task()`, timeouts, cancellation and context variables
mean within a coroutine what they mean in a task of its own. But what one that never waited leaves behind under its task
(a timer that will cancel it, an entry in a table by task) is met by those that follow in it.

    ready ──▶ task ──┬─ ends without waiting ──▶ done(item, result), the next one
                     └─ waits ──▶ the task is its own ──▶ done(item, result), the task ends
                                  └─ what is ready goes on in another task each

Where the last one waited, the next ones probably do: each gets a task at once. Handed on from one task to the next
they would begin one in a turn of the loop, and a hundred that are ready together a hundred turns apart.
"""

from __future__ import annotations

import asyncio
import contextvars
import types
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Relay(Generic[T, R]):
    """Runs `perform(item, task)` for each item, then calls `done(item, result)`; `failed` hears of what it raised.

    `task` is the one that the item runs in; `spawn` makes them. `context` is what each coroutine's own is a copy of.
    """

    def __init__(
        self,
        perform: Callable[[T, asyncio.Task[Any] | None], Coroutine[Any, Any, R]],
        *,
        done: Callable[[T, R], None],
        failed: Callable[[T, BaseException], None],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        context: contextvars.Context,
    ) -> None:
        self._perform = perform
        self._done = done
        self._failed = failed
        self._spawn = spawn
        self._context = context
        self._ready: deque[T] = deque()
        self._coming = 0
        """Tasks that were made and have not begun."""
        self._waits = False
        """The last one waited."""

    def put(self, item: T) -> None:
        """Run an item when its turn comes, in this turn of the loop or the next."""
        self._ready.append(item)
        self._go_on()

    def _go_on(self) -> None:
        wanted = len(self._ready) if self._waits else min(1, len(self._ready))
        while self._coming < wanted:
            self._coming += 1
            self._spawn(self._run())

    async def _run(self) -> None:
        self._coming -= 1
        try:
            waiting = self._run_ready()
        finally:
            self._go_on()
        if waiting is not None:
            await self._finish(*waiting)

    def _run_ready(self) -> tuple[T, Awaitable[R]] | None:
        """Run what is ready, up to the first that waits: it, and what is left of it."""
        task = asyncio.current_task()
        ready, context = self._ready, self._context
        while ready:
            item = ready.popleft()
            own = context.copy()
            try:
                coroutine = self._perform(item, task)
                waits_for = own.run(coroutine.send, None)
            except StopIteration as end:
                self._waits = False
                self._done(item, end.value)
            except BaseException as err:
                self._failed(item, err)
                if not isinstance(err, Exception):
                    raise
            else:
                self._waits = True
                return item, _drive(coroutine, own, waits_for)
            if task is None or task.cancelling() or getattr(task, "_must_cancel", False):
                break  # it was told to stop and did not wait for it: the next one must not be told in its stead
        return None

    async def _finish(self, item: T, rest: Awaitable[R]) -> None:
        try:
            result = await rest
        except BaseException as err:
            self._failed(item, err)
            if not isinstance(err, Exception):
                raise
        else:
            self._done(item, result)


@types.coroutine
def _drive(coroutine: Coroutine[Any, Any, R], context: contextvars.Context, waits_for: Any) -> Generator[Any, Any, R]:
    """Go on with a coroutine that waits, each step in its own context."""
    try:
        while True:
            try:
                value = yield waits_for
            except BaseException as err:  # noqa: BLE001 - a task throws cancellation, and what its future raised
                waits_for = context.run(coroutine.throw, err)
            else:
                waits_for = context.run(coroutine.send, value)
    except StopIteration as end:
        result: R = end.value
        return result
