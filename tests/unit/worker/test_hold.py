"""For how long a Job whose handler is missing is left to others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from jetmill.worker.hold import Holds
from support.wait import eventually


def make_holds(patience_seconds: float, on_over: Callable[[str], None] = lambda _: None) -> Holds:
    return Holds(patience_seconds=patience_seconds, on_over=on_over)


async def test_a_job_is_left_alone_until_the_patience_is_over() -> None:
    over: list[str] = []
    holds = make_holds(0.01, over.append)
    assert holds.is_held("mail", "no handler")
    await eventually(lambda: over == ["mail"])
    assert not holds.is_held("mail", "no handler")


async def test_a_look_that_found_nothing_old_enough_is_followed_by_another_wait() -> None:
    over: list[str] = []
    holds = make_holds(0.01, over.append)
    holds.is_held("mail", "no handler")
    await eventually(lambda: len(over) == 1)
    holds.hold_again("mail")
    assert holds.is_held("mail", "no handler")
    await eventually(lambda: len(over) == 2)


async def test_another_lack_begins_the_patience_anew_and_the_same_does_not() -> None:
    over: list[str] = []
    holds = make_holds(0.01, over.append)
    holds.is_held("mail", "no handler a")
    await eventually(lambda: over)
    assert not holds.is_held("mail", "no handler a")
    assert holds.is_held("mail", "no handler b")
    holds.close()


async def test_a_handler_that_is_known_again_ends_the_wait() -> None:
    over: list[str] = []
    holds = make_holds(0.01, over.append)
    holds.is_held("mail", "no handler")
    holds.is_held("other", "no handler")
    holds.release("mail")
    holds.hold_again("mail")  # the look came too late
    await eventually(lambda: over == ["other"])
    assert holds.is_held("mail", "no handler")
    holds.close()


async def test_without_patience_nothing_is_ever_left_alone() -> None:
    holds = make_holds(0.0)
    assert not holds.is_held("mail", "no handler")
    holds.hold_again("mail")
    assert not holds.is_held("mail", "no handler")


async def test_closing_ends_every_wait() -> None:
    over: list[str] = []
    holds, other = make_holds(0.01, over.append), make_holds(0.02, over.append)
    holds.is_held("mail", "no handler")
    other.is_held("other", "no handler")
    holds.close()
    await eventually(lambda: over == ["other"])
    await asyncio.sleep(0)
    assert over == ["other"]
