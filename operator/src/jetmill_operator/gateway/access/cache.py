"""What was answered, for a while: bounded, and each question asked once however many wait for its answer."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class AnswerCache(Generic[KeyT, ValueT]):
    """The newest `size` answers; `seconds_of` says for how long one counts. Errors are never kept."""

    def __init__(
        self, *, size: int, seconds_of: Callable[[ValueT], float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._size = size
        self._seconds_of = seconds_of
        self._clock = clock
        self._answers: OrderedDict[KeyT, tuple[float, ValueT]] = OrderedDict()
        self._asking: dict[KeyT, asyncio.Task[ValueT]] = {}
        self.hits = 0
        self.misses = 0

    async def get(self, key: KeyT, ask: Callable[[], Awaitable[ValueT]]) -> ValueT:
        """Give the answer that is known, else ask; who gives up waiting does not stop the others' question."""
        known = self._answers.get(key)
        if known is not None and self._clock() < known[0]:
            self.hits += 1
            self._answers.move_to_end(key)
            return known[1]
        self.misses += 1
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.ensure_future(self._ask(key, ask, began=self._clock()))
            task.add_done_callback(_note_error)
        return await asyncio.shield(task)

    def forget(self, key: KeyT) -> None:
        """Ask again next time."""
        self._answers.pop(key, None)

    async def _ask(self, key: KeyT, ask: Callable[[], Awaitable[ValueT]], *, began: float) -> ValueT:
        try:
            answer = await ask()
            seconds = self._seconds_of(answer)
            if seconds > 0:
                # from when it was asked: the answer is at least that old
                self._answers[key] = (began + seconds, answer)
                self._answers.move_to_end(key)
            while len(self._answers) > self._size:
                self._answers.popitem(last=False)
            return answer
        finally:
            del self._asking[key]


def _note_error(task: asyncio.Task[object]) -> None:
    """Take note of the error of a question that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
