"""The memory bus's clock: what is due fires in order, at its own time."""

from __future__ import annotations

import asyncio
import time

import pytest

from factories import NOON
from jetmill.bus.memory import MemoryClock
from support.wait import soon

SECOND = 1_000_000


def test_a_clock_begins_now_and_goes_with_real_time() -> None:
    clock = MemoryClock()
    first = clock.now()
    assert abs(first - time.time_ns() // 1000) < 10 * SECOND
    while clock.now() == first:
        pass
    assert clock.now() > first


def test_a_frozen_clock_stands_until_it_is_moved() -> None:
    clock = MemoryClock(frozen=True, start=NOON)
    clock.move(1.5)
    assert clock.now() == NOON + 1_500_000


def test_a_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="forward"):
        MemoryClock().move(-1)


def test_what_is_due_fires_in_order_and_each_at_its_own_time() -> None:
    clock = MemoryClock(frozen=True, start=NOON)
    fired: list[tuple[str, int]] = []
    for name, seconds in (("b", 2), ("a", 1), ("c", 3), ("late", 100)):
        clock.at(NOON + seconds * SECOND, lambda name=name: fired.append((name, clock.now())))  # type: ignore[misc]
    clock.move(10)
    assert fired == [("a", NOON + SECOND), ("b", NOON + 2 * SECOND), ("c", NOON + 3 * SECOND)]
    assert clock.now() == NOON + 10 * SECOND
    assert clock.next_due() == NOON + 100 * SECOND


def test_what_a_timer_sets_off_fires_in_the_same_move_if_it_is_due_by_then() -> None:
    clock = MemoryClock(frozen=True, start=NOON)
    fired: list[int] = []

    def tick() -> None:
        fired.append(clock.now())
        clock.at(clock.now() + SECOND, tick)

    clock.at(NOON + SECOND, tick)
    clock.move(3)
    assert fired == [NOON + SECOND, NOON + 2 * SECOND, NOON + 3 * SECOND]


def test_a_cancelled_timer_does_not_fire_and_takes_no_room() -> None:
    clock = MemoryClock(frozen=True, start=NOON)
    timers = [clock.at(NOON + number, lambda: pytest.fail("it was cancelled")) for number in range(5000)]
    kept: list[int] = []
    clock.at(NOON + 2500, lambda: kept.append(clock.now()))
    for timer in timers:
        timer.cancel()
        timer.cancel()
    assert len(clock._heap) < 2500
    clock.move(1)
    assert kept == [NOON + 2500]
    assert clock.next_due() is None


@pytest.mark.parametrize("frozen", [True, False])
async def test_what_is_past_due_fires_on_a_later_turn_without_a_move(frozen: bool) -> None:
    clock = MemoryClock(frozen=frozen)
    clock.attach(asyncio.get_running_loop())
    fired = asyncio.Event()
    clock.at(clock.now() - SECOND, fired.set)
    assert not fired.is_set()
    await soon(fired.wait())


async def test_real_time_fires_what_is_due_and_a_nearer_timer_comes_first() -> None:
    clock = MemoryClock()
    clock.attach(asyncio.get_running_loop())
    fired: list[str] = []
    last = asyncio.Event()
    now = clock.now()
    clock.at(now + 30_000, last.set)
    clock.at(now + 20_000, lambda: fired.append("second"))
    clock.at(now + 10_000, lambda: fired.append("first"))
    await soon(last.wait())
    assert fired == ["first", "second"]
