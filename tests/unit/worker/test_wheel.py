"""Many timeouts on one timer."""

from __future__ import annotations

import asyncio
import time

from jetmill.worker.wheel import TICK_SECONDS, Wheel
from support.wait import eventually


async def test_timers_fire_in_order_and_never_early() -> None:
    wheel = Wheel(asyncio.get_running_loop())
    begin = time.monotonic()
    fired: list[tuple[float, float]] = []
    for delay in (0.3, 0.0, 0.15):
        wheel.arm(delay, lambda delay=delay: fired.append((delay, time.monotonic() - begin)))  # type: ignore[misc]
    await eventually(lambda: len(fired) == 3)
    assert [delay for delay, _ in fired] == [0.0, 0.15, 0.3]
    assert all(gone >= delay for delay, gone in fired)


async def test_a_timer_that_was_disarmed_never_fires_and_leaves_nothing_behind() -> None:
    wheel = Wheel(asyncio.get_running_loop())
    fired: list[int] = []
    timers = [wheel.arm(0.1, lambda: fired.append(1)) for _ in range(1000)]
    last = wheel.arm(0.1 + 3 * TICK_SECONDS, lambda: fired.append(2))
    for timer in timers:
        wheel.disarm(timer)
        wheel.disarm(timer)
    await eventually(lambda: fired == [2])
    wheel.disarm(last)
    assert not wheel._buckets


async def test_one_timer_that_raises_does_not_take_the_others_with_it() -> None:
    def fail() -> None:
        raise ValueError

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    wheel = Wheel(loop)
    fired: list[int] = []
    wheel.arm(0.0, fail)
    wheel.arm(0.0, lambda: fired.append(1))
    await eventually(lambda: fired)


async def test_a_blocked_loop_shows_in_how_late_the_timers_are() -> None:
    wheel = Wheel(asyncio.get_running_loop())
    wheel.arm(0.0, lambda: None)
    assert wheel.late_seconds() == 0.0
    time.sleep(4 * TICK_SECONDS)  # noqa: ASYNC251 - the loop is to be blocked
    assert wheel.late_seconds() > TICK_SECONDS
    await eventually(lambda: wheel.late_seconds() == 0.0)
    wheel.close()
