"""Many coroutines in one task, and none of them the wiser."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from jetmill.worker.relay import Relay

Work = Callable[[], Coroutine[Any, Any, Any]]
number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)


class Course:
    """A relay whose items are coroutine functions, and what became of them."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.ended: dict[Work, Any] = {}
        self._expected: tuple[int, asyncio.Event] = (0, asyncio.Event())
        self.relay: Relay[Work, Any] = Relay(
            lambda work, _task: work(),
            done=self._note,
            failed=self._note,
            spawn=lambda run: self.tasks.append(asyncio.ensure_future(run)),
            context=contextvars.copy_context(),
        )

    def _note(self, work: Work, end: Any) -> None:
        self.ended[work] = end
        count, reached = self._expected
        if len(self.ended) >= count:
            reached.set()

    async def run(self, *works: Work) -> list[Any]:
        self._expected = (len(works), asyncio.Event())
        for work in works:
            self.relay.put(work)
        async with asyncio.timeout(60):
            await self._expected[1].wait()
        return [self.ended[work] for work in works]


@pytest.fixture
async def course() -> Course:
    return Course()


async def test_coroutines_that_do_not_wait_share_a_task(course: Course) -> None:
    def make(value: int) -> Work:
        async def work() -> int:
            return value

        return work

    assert await course.run(*map(make, range(100))) == list(range(100))
    assert len(course.tasks) == 1


async def test_one_that_waits_keeps_its_task_and_the_others_go_on_in_another(course: Course) -> None:
    gate = asyncio.Event()

    async def wait() -> bool:
        before = asyncio.current_task()
        await gate.wait()
        return asyncio.current_task() is before

    async def open_gate() -> asyncio.Task[Any] | None:
        gate.set()
        return asyncio.current_task()

    same, opener = await course.run(wait, open_gate)
    assert same
    assert course.tasks.index(opener) == 1


async def test_those_that_wait_begin_together_and_not_one_after_the_other(course: Course) -> None:
    """Turn by turn of a busy loop a hundred requests would begin a second apart."""
    begun: list[int] = []
    gate = asyncio.Event()

    def make(value: int) -> Work:
        async def work() -> int:
            begun.append(value)
            await gate.wait()
            return value

        return work

    running = asyncio.ensure_future(course.run(*map(make, range(100))))
    for _ in range(4):  # of run(), of the first one, of all the others, and one more
        await asyncio.sleep(0)
    assert begun == list(range(100))
    gate.set()
    assert await running == list(range(100))


async def test_each_has_context_variables_of_its_own_before_and_after_it_waits(course: Course) -> None:
    def make(value: int, *, wait: bool) -> Work:
        async def work() -> tuple[int, int]:
            before = number.get()
            number.set(value)
            if wait:
                await asyncio.sleep(0)
            return before, number.get()

        return work

    works = [make(value, wait=value % 2 == 0) for value in range(1, 7)]
    assert await course.run(*works) == [(0, value) for value in range(1, 7)]
    assert number.get() == 0


async def test_what_one_raises_is_told_and_takes_nothing_from_the_others(course: Course) -> None:
    async def fail() -> None:
        raise ValueError("mine")

    async def fail_late() -> None:
        await asyncio.sleep(0)
        raise ValueError("mine too")

    async def work() -> str:
        return "well"

    first, late, well = await course.run(fail, fail_late, work)
    assert (str(first), str(late), well) == ("mine", "mine too", "well")


async def test_one_that_cannot_even_be_made_is_told_and_takes_nothing_from_the_others(course: Course) -> None:
    def broken() -> Coroutine[Any, Any, None]:
        raise ValueError("no coroutine")

    async def work() -> str:
        return "well"

    error, well = await course.run(broken, work)
    assert (str(error), well) == ("no coroutine", "well")


async def test_a_timeout_inside_ends_what_is_inside_and_no_more(course: Course) -> None:
    async def work() -> str:
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            await asyncio.sleep(0)
            return "in time"
        return "never"

    assert await course.run(work) == ["in time"]


async def test_one_that_waits_can_be_cancelled_by_its_task(course: Course) -> None:
    begun: asyncio.Future[asyncio.Task[Any] | None] = asyncio.get_running_loop().create_future()

    async def work() -> str:
        begun.set_result(asyncio.current_task())
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "cancelled"
        return "never"

    async def cancel() -> None:
        task = await begun
        assert task is not None
        task.cancel()

    assert (await course.run(work, cancel))[0] == "cancelled"


async def test_one_that_cancels_its_own_task_and_does_not_wait_cancels_no_other(course: Course) -> None:
    async def cancel_self() -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return "told"

    async def wait() -> str:
        await asyncio.sleep(0)
        return "well"

    assert await course.run(cancel_self, wait) == ["told", "well"]


async def test_an_item_put_by_another_has_its_turn(course: Course) -> None:
    async def second() -> str:
        return "second"

    async def first() -> str:
        course.relay.put(second)
        return "first"

    await course.run(first)
    await course.run(first)
    assert course.ended[second] == "second"
