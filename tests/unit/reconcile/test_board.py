"""What the autoscaler saw reaches the status: at once where it matters, slowly where it counts."""

from __future__ import annotations

from typing import Any

import pytest

from jetmill_operator.cluster.ports import Key
from jetmill_operator.policy.condition import Backlog, Scaling
from jetmill_operator.policy.reason import Reason
from jetmill_operator.reconcile.board import COUNTERS_SECONDS, Board, Sighting

KEY = Key("Job", "shop", "mail")


def see(ready: int, **scaling: Any) -> Sighting:
    return Sighting(Backlog(ready, 0, 0), Scaling(1, "Backlog", f"{ready}", "t", **scaling))


@pytest.fixture
def told() -> list[Key]:
    return []


@pytest.fixture
def board(hand, told) -> Board:
    return Board(told.append, clock=hand.clock)


def test_the_first_look_is_shown(board, told) -> None:
    board.put(KEY, see(1))
    assert told == [KEY]
    assert board.get(KEY) == see(1)


def test_the_same_look_again_is_nothing_new(board, told, hand) -> None:
    board.put(KEY, see(1))
    board.show(KEY, see(1))
    hand.seconds += 60
    board.put(KEY, see(1))
    assert told == [KEY]


def test_counters_follow_slowly(board, told, hand) -> None:
    board.put(KEY, see(1))
    board.show(KEY, see(1))
    board.put(KEY, see(2))
    assert told == [KEY]
    hand.seconds += COUNTERS_SECONDS
    board.put(KEY, see(3))
    assert told == [KEY, KEY]


@pytest.mark.parametrize("change", [{"active": False}, {"limited": Reason.MAX_REPLICAS}])
def test_what_changes_a_condition_goes_at_once(board, told, change) -> None:
    board.put(KEY, see(1))
    board.show(KEY, see(1))
    board.put(KEY, see(1, **change))
    assert told == [KEY, KEY]


def test_what_has_gone_is_forgotten(board) -> None:
    board.put(KEY, see(1))
    board.forget(KEY)
    board.show(KEY, see(1))
    assert board.get(KEY) is None
