"""For how long a Job whose handler is missing is left to others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from factories import JOB, make_presence
from jetmill.worker.hold import Holds, is_known_elsewhere
from support.wait import eventually


def make_holds(patience_seconds: float, on_over: Callable[[str], None] = lambda _: None) -> Holds:
    return Holds(patience_seconds=patience_seconds, on_over=on_over)


async def test_a_job_is_left_alone_until_the_patience_is_over() -> None:
    over: list[str] = []
    holds = make_holds(0.01, over.append)
    assert holds.is_held("mail", "no handler")
    await eventually(lambda: over)
    assert holds.is_held("mail", "no handler")
    holds.open("mail")
    assert not holds.is_held("mail", "no handler")
    assert set(over) == {"mail"}


async def test_a_job_that_is_not_opened_is_looked_at_again_and_again() -> None:
    over: list[str] = []
    holds = make_holds(0.01, over.append)
    holds.is_held("mail", "no handler")
    await eventually(lambda: len(over) == 3)
    holds.close()


async def test_a_look_that_found_nothing_old_enough_is_followed_by_another_wait() -> None:
    over: list[str] = []
    holds = make_holds(0.01, over.append)
    holds.is_held("mail", "no handler")
    await eventually(lambda: over)
    holds.open("mail")
    holds.hold_again("mail")
    assert holds.is_held("mail", "no handler")
    before = len(over)
    await eventually(lambda: len(over) > before)
    holds.close()


async def test_another_lack_begins_the_patience_anew_and_the_same_does_not() -> None:
    over: list[str] = []
    holds = make_holds(0.01, over.append)
    holds.is_held("mail", "no handler a")
    await eventually(lambda: over)
    holds.open("mail")
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
    await eventually(lambda: over)
    assert set(over) == {"other"}
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
    await eventually(lambda: over)
    other.close()
    assert set(over) == {"other"}


@pytest.mark.parametrize(
    ("fields", "known"),
    [
        ({}, True),
        ({"missing": [JOB]}, False),
        ({"jobs": ["other"]}, False),
        ({"stopping": True}, False),
        ({"draining": True}, True),
        ({"worker": "me"}, False),
    ],
)
def test_another_worker_knows_a_handler_that_serves_its_job_and_misses_nothing(
    fields: dict[str, Any], known: bool
) -> None:
    there = [make_presence("third", missing=[JOB]), make_presence(**{"worker": "other", **fields})]
    assert is_known_elsewhere(JOB, there, worker="me") is known
