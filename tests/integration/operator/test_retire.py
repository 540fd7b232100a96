"""A step down, with every fault between each two of its steps: whatever happens, no worker with a job in hand is taken
away; afterwards no mark is left and nobody rests who was not to go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest
import structlog

from jetmill_operator.cluster.ports import POD
from support.declare import NAMESPACE
from support.stand import CHILD, Stand, open_stand
from support.taker import Taker
from support.virtual import VirtualLoop

BUSY = f"{CHILD}-003"
QUICK = {"scaling": {"cooldownSeconds": 0}}
Act = Callable[[Stand], Awaitable[None]]

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


def on_virtual_time(test: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(asyncio.wait_for(test, 100_000))


async def prepare(stand: Stand) -> None:
    """Four workers, of whom the youngest but one has a job that never ends; one worker would be enough."""
    await stand.begin(replicas=4)
    await stand.enqueue(1, wake=False)
    await Taker(stand.plain, want=1).next()
    stand.workers[BUSY].begin()


async def step_down(fault: Act | None = None, *, at: int | None = None) -> Stand:
    """Scale in, with a fault right before one of the steps, then let everything come to rest."""
    async with open_stand(**QUICK) as stand:
        await prepare(stand)
        stand.meddler.at = at
        if fault is not None:
            stand.meddler.fault = lambda: fault(stand)
        stand.start()
        meddler = stand.meddler
        await stand.until(lambda: len(meddler.steps) > (at or 0) or meddler.dead)
        if stand.meddler.dead:
            await stand.succeed()
        await asyncio.sleep(400)
        assert stand.killed == [], f"a worker was taken away that had a job in hand: {meddler.steps}"
        assert await stand.marks() == [], "a mark was left"
        assert not [worker.pod for worker in stand.workers.values() if worker.resting], "somebody rests for ever"
        assert await stand.replicas() == len(stand.workers)
        return stand


@pytest.fixture(scope="module")
def steps() -> list[str]:
    """The steps of a scale-in from four workers to the one that is busy, when nothing goes wrong."""
    with structlog.testing.capture_logs():
        return on_virtual_time(_list_steps())  # type: ignore[no-any-return]


async def _list_steps() -> list[str]:
    async with open_stand(**QUICK) as stand:
        await prepare(stand)
        stand.start()
        await stand.until(lambda: stand.has(1))
        steps = stand.meddler.steps
        return steps[: steps.index("scale") + 5]


def test_without_a_fault_all_go_but_the_busy_one(steps: list[str]) -> None:
    first = [step for step in steps[: steps.index("scale") + 1] if step.split()[0] in ("mark", "ask", "scale")]
    assert first == [f"mark {CHILD}-001", f"mark {CHILD}-002", "ask worker", "ask worker", "scale"]

    async def check() -> None:
        stand = await step_down()
        assert list(stand.workers) == [BUSY]
        assert [event.split(":")[0] for event in await stand.events() if "Scaled" in event] == ["ScaledDown"] * 2

    on_virtual_time(check())


# Faults


async def crash_idle(stand: Stand) -> None:
    """The survivor-to-be crashes, its presence stays until it runs out, its pod is not ready."""
    await _crash(stand, f"{CHILD}-004")


async def crash_busy(stand: Stand) -> None:
    await _crash(stand, BUSY)


async def crash_victim(stand: Stand) -> None:
    await _crash(stand, f"{CHILD}-001")


async def _crash(stand: Stand, pod: str) -> None:
    worker = stand.workers.get(pod)
    if worker is not None:
        worker.crash()
        await stand.replica_set.set_ready(NAMESPACE, pod, ready=False)
        asyncio.get_running_loop().call_later(20, _restart, stand, pod)


def _restart(stand: Stand, pod: str) -> None:
    if pod in stand.workers:
        stand._start_worker(pod)
        stand._spawn(stand.replica_set.set_ready(NAMESPACE, pod, ready=True))
        stand.signals.lost = False


async def lose_victim(stand: Stand) -> None:
    """Its node is drained."""
    await stand.cluster.delete(POD, NAMESPACE, f"{CHILD}-002")
    stand._stop_worker(f"{CHILD}-002")


async def lose_pushes(stand: Stand) -> None:
    """Pushes are lost for a while, those that let workers go on too; after a minute they do by themselves."""
    stand.signals.lost = True

    def heal() -> None:
        stand.signals.lost = False

    asyncio.get_running_loop().call_later(30, heal)


async def roll(stand: Stand) -> None:
    """A rollout begins, and stands half-way for a while."""
    await stand.roll()
    loop = asyncio.get_running_loop()
    loop.call_later(60, lambda: stand._spawn(stand.replica_set.finish_rollout()))


async def scale_by_hand(stand: Stand) -> None:
    await stand.scale(await stand.replicas() + 1)


async def lose_bus(stand: Stand) -> None:
    stand.connected = False
    asyncio.get_running_loop().call_later(30, lambda: setattr(stand, "connected", True))


async def kill(stand: Stand) -> None:
    """SIGKILL: nothing that the process does from here on has an effect."""
    stand.meddler.dead = True


async def end_gracefully(stand: Stand) -> None:
    asyncio.get_running_loop().call_soon(lambda: stand._spawn(_restart_scaler(stand)))


async def _restart_scaler(stand: Stand) -> None:
    await stand.stop()
    stand.start()


FAULTS: list[Act] = [
    crash_idle,
    crash_busy,
    crash_victim,
    lose_victim,
    lose_pushes,
    roll,
    scale_by_hand,
    lose_bus,
    kill,
    end_gracefully,
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_between_any_two_steps_takes_away_nobody_who_is_busy(fault: Act, steps: list[str]) -> None:
    for at in range(len(steps)):
        try:
            on_virtual_time(step_down(fault, at=at))
        except AssertionError as err:
            raise AssertionError(f"{fault.__name__} before step {at} ({steps[at]}): {err}") from err


def test_a_job_that_slips_in_before_the_last_question_keeps_its_worker(steps: list[str]) -> None:
    """A worker whose minute ran out takes jobs again; it is asked once more right before /scale."""

    async def slip_in(stand: Stand) -> None:
        worker = stand.workers[f"{CHILD}-001"]
        worker.resume()
        worker.begin()
        stand.signals.lost = True  # it does not hear that it should rest
        await asyncio.sleep(0.01)

        def heal() -> None:
            stand.signals.lost = False

        asyncio.get_running_loop().call_later(5, heal)
        asyncio.get_running_loop().call_later(30, worker.finish)

    asked = steps.index("ask worker")
    for at in range(asked + 1):
        on_virtual_time(step_down(slip_in, at=at))


def test_nobody_goes_while_a_busy_workers_pod_is_not_ready(steps: list[str]) -> None:
    """It would be taken in their place, whatever their marks say; up to the last look at the pods that is seen."""

    async def flap(stand: Stand) -> None:
        await stand.replica_set.set_ready(NAMESPACE, BUSY, ready=False)

        def heal() -> None:
            stand._spawn(stand.replica_set.set_ready(NAMESPACE, BUSY, ready=True))

        asyncio.get_running_loop().call_later(100, heal)

    for at in range(steps.index("list Pod") + 1):
        on_virtual_time(step_down(flap, at=at))


def test_a_step_down_goes_from_what_it_was_decided_for_or_not_at_all(steps: list[str]) -> None:
    """Somebody sets another number meanwhile: it stands, until it is decided anew."""

    async def check(at: int) -> None:
        async with open_stand(**QUICK) as stand:
            await prepare(stand)
            stand.meddler.at, stand.meddler.fault = at, lambda: stand.scale(5)
            stand.start()
            await stand.until(lambda: len(stand.meddler.steps) > at)
            await asyncio.sleep(10)
            told = [event for event in await stand.events() if "Scaled" in event]
            assert told[0].startswith("ScaledDown: 5 → "), told
            assert await stand.replicas() == 3

    for at in range(steps.index("scale") + 1):
        on_virtual_time(check(at))


def test_what_is_given_up_is_undone_at_once(steps: list[str]) -> None:
    """The marks are not left to the sweep, nor the workers to a minute's silence."""

    async def check(at: int) -> None:
        async with open_stand(**QUICK) as stand:
            await prepare(stand)
            stand.meddler.at, stand.meddler.fault = at, stand.roll
            stand.start()
            await stand.until(lambda: len(stand.meddler.steps) > at)
            await asyncio.sleep(0.1)
            assert (await stand.replicas(), stand.gone) == (4, [])
            assert await stand.marks() == []
            assert not [worker.pod for worker in stand.workers.values() if worker.resting]

    for at in range(steps.index("scale") + 1):
        on_virtual_time(check(at))


def test_when_more_is_to_be_done_again_nobody_goes(steps: list[str]) -> None:
    """A backlog comes while the step is under way: it is undone, and everybody works."""

    async def check(at: int) -> None:
        async with open_stand(**QUICK) as stand:
            await prepare(stand)

            async def flood() -> None:
                await stand.enqueue(400)
                await asyncio.sleep(3)  # the autoscaler looks meanwhile

            stand.meddler.at, stand.meddler.fault = at, flood
            stand.start()
            await stand.until(lambda: len(stand.meddler.steps) > at)
            await asyncio.sleep(20)
            assert stand.killed == []
            assert await stand.replicas() > 4
            assert await stand.marks() == []
            assert not [worker.pod for worker in stand.workers.values() if worker.resting]
            if at < steps.index("scale"):
                assert stand.gone == [], "it was known before /scale was written"

    for at in range(steps.index("scale") + 2):
        on_virtual_time(check(at))


def test_a_stale_leader_writes_nothing_and_its_scaler_ends(steps: list[str]) -> None:
    async def check() -> None:
        async with open_stand(**QUICK) as stand:
            await prepare(stand)

            async def depose() -> None:
                stand.hands.leading = False

            stand.meddler.at, stand.meddler.fault = steps.index("scale"), depose
            stand.start()
            assert stand._scaling is not None
            await asyncio.wait([stand._scaling])
            assert type(stand._scaling.exception()).__name__ == "NotLeaderError"
            assert await stand.replicas() == 4
            assert await stand.marks() == [f"{CHILD}-001", f"{CHILD}-002"]
            await stand.succeed()
            await stand.until(lambda: stand.has(1))
            await asyncio.sleep(100)
            assert await stand.marks() == []
            assert stand.killed == []

    on_virtual_time(check())
