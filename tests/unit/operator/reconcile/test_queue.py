"""The work queue, on a loop whose time passes by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import structlog

from jetmill_operator.cluster.errors import NotLeaderError, UnavailableError
from jetmill_operator.reconcile.queue import Again, End, Run, WorkQueue
from support.virtual import VirtualLoop


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    """What is logged, kept instead of drawn."""
    with structlog.testing.capture_logs() as entries:
        yield entries


def on_virtual_time(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(asyncio.wait_for(test(), 100_000))


class Desk:
    """A queue whose reconciles are done by script: by key what each next run does, otherwise it just ends."""

    def __init__(self, *, workers: int = 1, **options: Any) -> None:
        self.started: list[str] = []
        self.times: list[float] = []
        self.runs: list[Run[str]] = []
        self.script: dict[str, list[Any]] = {}
        self.together = 0
        self.busy: set[str] = set()
        options = {"chance": lambda: 1.0, **options}
        self.ran = asyncio.Event()
        self.queue = WorkQueue(self.reconcile, workers=workers, on_run=self.note, **options)
        self.task: asyncio.Task[None] | None = None

    async def reconcile(self, key: str) -> Again | None:
        assert key not in self.busy, "a key ran twice at once"
        self.busy.add(key)
        self.together = max(self.together, len(self.busy))
        self.started.append(key)
        self.times.append(asyncio.get_running_loop().time())
        try:
            step = self.script[key].pop(0) if self.script.get(key) else None
            if isinstance(step, asyncio.Event):
                await step.wait()
                return None
            if isinstance(step, Exception):
                raise step
            assert step is None or isinstance(step, Again)
            return step
        finally:
            self.busy.discard(key)

    def note(self, run: Run[str]) -> None:
        self.runs.append(run)
        self.ran.set()

    def start(self) -> None:
        self.task = asyncio.create_task(self.queue.run())

    async def until(self, runs: int) -> None:
        while len(self.runs) < runs:
            self.ran.clear()
            await self.ran.wait()

    async def end(self) -> None:
        await self.queue.stop()
        assert self.task is not None
        await self.task


def test_a_key_that_is_added_often_runs_once() -> None:
    async def scene() -> None:
        desk = Desk()
        for _ in range(5):
            desk.queue.add("a")
        assert desk.queue.depth == 1
        desk.start()
        await desk.until(1)
        await desk.end()
        assert desk.started == ["a"]

    on_virtual_time(scene)


def test_a_key_that_is_added_while_it_runs_runs_again_afterwards_and_never_twice_at_once() -> None:
    async def scene() -> None:
        desk, gate = Desk(workers=3), asyncio.Event()
        desk.script["a"] = [gate]
        desk.queue.add("a")
        desk.start()
        await asyncio.sleep(1)
        for _ in range(3):
            desk.queue.add("a")
        desk.queue.add("b")
        await desk.until(1)
        assert desk.started == ["a", "b"]
        gate.set()
        await desk.until(3)
        await asyncio.sleep(10)
        await desk.end()
        assert desk.started == ["a", "b", "a"]

    on_virtual_time(scene)


def test_live_keys_go_before_the_backlog_and_bring_their_own_forward() -> None:
    async def scene() -> None:
        desk = Desk()
        for key in ("old-1", "old-2", "old-3"):
            desk.queue.add(key, live=False)
        desk.queue.add("new")
        desk.queue.add("old-3")
        desk.start()
        await desk.until(4)
        await desk.end()
        assert desk.started == ["new", "old-3", "old-1", "old-2"]

    on_virtual_time(scene)


def test_the_backlog_is_not_starved() -> None:
    async def scene() -> None:
        desk = Desk()
        desk.queue.add("old", live=False)
        for number in range(40):
            desk.queue.add(f"new-{number}")
        desk.start()
        await desk.until(41)
        await desk.end()
        assert desk.started.index("old") == 16

    on_virtual_time(scene)


def test_as_many_run_at_once_as_there_are_workers() -> None:
    async def scene() -> None:
        desk, gate = Desk(workers=3), asyncio.Event()
        for number in range(7):
            desk.script[str(number)] = [gate]
            desk.queue.add(str(number))
        desk.start()
        await asyncio.sleep(1)
        assert (desk.queue.running, desk.queue.depth) == (3, 4)
        gate.set()
        await desk.until(7)
        await desk.end()
        assert desk.together == 3

    on_virtual_time(scene)


def test_failures_back_off_from_milliseconds_to_five_minutes() -> None:
    async def scene() -> None:
        desk = Desk()
        desk.script["a"] = [ValueError("no")] * 20
        desk.queue.add("a")
        desk.start()
        await desk.until(21)
        await desk.end()
        waits = [after - before for before, after in zip(desk.times, desk.times[1:], strict=False)]
        assert waits[:3] == pytest.approx([0.005, 0.01, 0.02], abs=1e-4)
        assert waits[-1] == pytest.approx(300, abs=1e-3)
        assert waits == pytest.approx(sorted(waits))
        assert [run.end for run in desk.runs] == [End.FAILED] * 20 + [End.DONE]
        assert desk.queue.failures("a") == 0

    on_virtual_time(scene)


def test_the_jitter_is_full() -> None:
    async def scene() -> None:
        desk = Desk(chance=lambda: 0.25)
        desk.script["a"] = [ValueError("no")] * 20
        desk.queue.add("a")
        desk.start()
        await desk.until(21)
        await desk.end()
        assert desk.times[-1] - desk.times[-2] == pytest.approx(75, abs=1e-3)

    on_virtual_time(scene)


def test_one_keys_failures_are_not_anothers() -> None:
    async def scene() -> None:
        desk = Desk()
        desk.script["bad"] = [ValueError("no")] * 8
        desk.queue.add("bad")
        desk.queue.add("good")
        desk.start()
        await desk.until(2)
        assert desk.queue.failures("bad") == 1
        assert desk.started == ["bad", "good"]
        await desk.end()

    on_virtual_time(scene)


def test_a_server_that_says_when_is_heeded() -> None:
    async def scene() -> None:
        desk = Desk()
        desk.script["a"] = [UnavailableError("busy", code=429, retry_after_seconds=7)]
        desk.queue.add("a")
        desk.start()
        await desk.until(2)
        await desk.end()
        assert desk.times[1] - desk.times[0] == pytest.approx(7.005, abs=1e-3)

    on_virtual_time(scene)


def test_news_bring_a_failing_key_forward() -> None:
    async def scene() -> None:
        desk = Desk()
        desk.script["a"] = [UnavailableError("busy", code=429, retry_after_seconds=600)]
        desk.queue.add("a")
        desk.start()
        await desk.until(1)
        assert desk.queue.delayed == 1
        desk.queue.add("a")
        assert desk.queue.delayed == 0
        await desk.until(2)
        await asyncio.sleep(1000)
        await desk.end()
        assert len(desk.started) == 2

    on_virtual_time(scene)


def test_a_reconcile_may_ask_to_look_again() -> None:
    async def scene() -> None:
        desk = Desk()
        desk.script["a"] = [Again(30)]
        desk.queue.add("a")
        desk.start()
        await desk.until(2)
        await desk.end()
        assert desk.times[1] - desk.times[0] == pytest.approx(30, abs=1e-3)
        assert [run.end for run in desk.runs] == [End.AGAIN, End.DONE]

    on_virtual_time(scene)


def test_of_two_delays_the_shorter_counts() -> None:
    async def scene() -> None:
        desk = Desk()
        desk.start()
        for seconds in (60, 5, 90):
            desk.queue.add_after("a", seconds)
        await desk.until(1)
        await asyncio.sleep(200)
        await desk.end()
        assert desk.times == pytest.approx([5], abs=1e-2)

    on_virtual_time(scene)


def test_a_reconcile_that_hangs_is_cancelled_and_fails() -> None:
    async def scene() -> None:
        desk = Desk(run_seconds=10)
        desk.script["a"] = [asyncio.Event()]
        desk.queue.add("a")
        desk.start()
        await asyncio.sleep(1)
        assert desk.queue.longest_run_seconds == pytest.approx(1, abs=1e-2)
        await desk.until(2)
        await desk.end()
        assert [run.end for run in desk.runs] == [End.FAILED, End.DONE]

    on_virtual_time(scene)


def test_depth_and_age_can_be_read() -> None:
    async def scene() -> None:
        desk, gate = Desk(), asyncio.Event()
        assert (desk.queue.depth, desk.queue.oldest_seconds, desk.queue.longest_run_seconds) == (0, 0, 0)
        desk.script["a"] = [gate]
        desk.queue.add("a")
        desk.start()
        await asyncio.sleep(1)
        desk.queue.add("b", live=False)
        await asyncio.sleep(4)
        desk.queue.add("c")
        assert desk.queue.depth == 2
        assert desk.queue.oldest_seconds == pytest.approx(4, abs=1e-2)
        gate.set()
        await desk.until(3)
        assert desk.queue.oldest_seconds == 0
        assert next(run for run in desk.runs if run.key == "b").waited_seconds == pytest.approx(4, abs=1e-2)
        await desk.end()

    on_virtual_time(scene)


def test_a_stop_lets_what_runs_end_and_starts_nothing_more() -> None:
    async def scene() -> None:
        desk, gate = Desk(), asyncio.Event()
        desk.script["a"] = [gate]
        desk.queue.add("a")
        desk.start()
        await asyncio.sleep(1)
        desk.queue.add("b")
        desk.queue.add("a")
        desk.queue.add_after("c", 1)
        asyncio.get_running_loop().call_later(2, gate.set)
        await desk.end()
        desk.queue.add("d")
        await asyncio.sleep(10)
        assert desk.started == ["a"]
        assert [run.end for run in desk.runs] == [End.DONE]

    on_virtual_time(scene)


def test_a_stop_does_not_wait_for_ever() -> None:
    async def scene() -> None:
        desk = Desk()
        desk.script["a"] = [asyncio.Event()]
        desk.queue.add("a")
        desk.start()
        await asyncio.sleep(1)
        before = asyncio.get_running_loop().time()
        await desk.queue.stop(grace_seconds=3)
        assert asyncio.get_running_loop().time() - before == pytest.approx(3, abs=1e-2)
        assert not desk.busy

    on_virtual_time(scene)


def test_who_leads_no_more_stops() -> None:
    async def scene() -> None:
        desk = Desk()
        desk.script["a"] = [NotLeaderError("the lease has run out")]
        desk.queue.add("a")
        desk.queue.add("b")
        desk.start()
        assert desk.task is not None
        with pytest.raises(NotLeaderError):
            await desk.task
        assert desk.started == ["a"]
        await desk.queue.stop()

    on_virtual_time(scene)
