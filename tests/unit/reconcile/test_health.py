"""What the operator says to probes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jetmill_operator.reconcile.health import Health


def make_health(*, connected: bool = True, oldest: float = 0.0, complete: bool = True, age: float = 1.0) -> Health:
    health = Health()
    health.trunk = SimpleNamespace(connected=connected)
    team: Any = SimpleNamespace(queue=SimpleNamespace(oldest_seconds=oldest))
    health.lead(team, SimpleNamespace(complete=complete, age_seconds=age))
    health._watched_since -= 3_600
    return health


def test_a_leader_that_keeps_up_is_live_and_ready() -> None:
    health = make_health()
    assert (health.is_live(), health.is_ready(), health.leading) == (None, None, True)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"connected": False}, "NATS"),
        ({"complete": False}, "listed"),
        ({"oldest": 61.0}, "waited for 61 s"),
    ],
)
def test_who_cannot_do_its_work_now_is_live_and_not_ready(state, said) -> None:
    health = make_health(**state)
    assert health.is_live() is None
    assert said in (health.is_ready() or "")


@pytest.mark.parametrize(("state", "said"), [({"oldest": 601.0}, "waited for"), ({"age": 181.0}, "silent")])
def test_who_will_never_do_its_work_again_is_not_live(state, said) -> None:
    assert said in (make_health(**state).is_live() or "")


def test_a_loop_that_does_not_turn_is_not_live() -> None:
    health = make_health()
    health._beat -= 31
    assert "loop" in (health.is_live() or "")


def test_who_stands_by_is_ready_and_who_has_not_reached_nats_is_not() -> None:
    health = Health()
    assert health.is_live() is None
    assert "NATS" in (health.is_ready() or "")
    health.trunk = SimpleNamespace(connected=True)
    health.standby = True
    assert health.is_ready() is None


def test_a_watch_that_has_just_begun_is_given_time() -> None:
    health = make_health(age=float("inf"), complete=False)
    health._watched_since += 3_600
    assert health.is_live() is None
