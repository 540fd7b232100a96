"""What the status says of scaling: the last decision that changed something or could not."""

from __future__ import annotations

from typing import Any

import pytest

from jetmill_operator.policy.account import account_blind, account_decision, account_hold, find_limit
from jetmill_operator.policy.condition import Scaling as Said
from jetmill_operator.policy.demand import Scaling
from jetmill_operator.policy.figure import Figures
from jetmill_operator.policy.reason import Reason
from jetmill_operator.policy.scaling import Decision, ScalerState, ScalingReason

SPEC = Scaling(max_replicas=5)


def decide(before: int, after: int, reason: str, **figures: Any) -> Decision:
    values = {"needed": after, "known": True, **figures}
    return Decision(after, ScalingReason(reason), Figures(before, after, **values), ScalerState())


def test_a_change_is_told_with_its_numbers_and_its_time() -> None:
    said = account_decision(decide(0, 3, "woken", pending=9), SPEC, None, now="noon")
    assert said == Said(3, "Woken", "0 → 3: 9 waiting, 0/s arriving, 1.0 s a job (assumed), drain in 30 s", "noon")


def test_a_look_that_finds_all_as_it_should_be_changes_nothing() -> None:
    said = account_decision(decide(0, 3, "woken"), SPEC, None, now="noon")
    assert account_decision(decide(3, 3, "steady", pending=1), SPEC, said, now="later") == said
    assert account_decision(decide(3, 3, "cooling"), SPEC, said, now="later").reason == "Cooling"


def test_why_a_change_could_not_be_is_told_once() -> None:
    said = account_decision(decide(3, 3, "cooling"), SPEC, None, now="noon")
    assert account_decision(decide(3, 3, "cooling", pending=2), SPEC, said, now="later") == said


@pytest.mark.parametrize(
    ("decision", "limit"),
    [
        (decide(5, 5, "limits", needed=9), Reason.MAX_REPLICAS),
        (decide(2, 4, "backlog", needed=9), Reason.PACED),
        (decide(2, 2, "unschedulable", needed=9), Reason.UNSCHEDULABLE),
        (decide(2, 0, "suspended", needed=9), None),
        (decide(2, 2, "steady"), None),
    ],
)
def test_what_keeps_it_from_more(decision: Decision, limit: Reason | None) -> None:
    assert find_limit(decision, SPEC) is limit


def test_a_limit_that_has_gone_is_taken_out_without_a_new_time() -> None:
    said = account_decision(decide(5, 5, "limits", needed=9), SPEC, None, now="noon")
    assert said.limited is Reason.MAX_REPLICAS
    after = account_decision(decide(5, 5, "steady"), SPEC, said, now="later")
    assert (after.limited, after.time) == (None, "noon")


def test_an_outage_leaves_the_last_decision_and_says_that_nothing_is_seen() -> None:
    said = account_decision(decide(0, 3, "woken"), SPEC, None, now="noon")
    blind = account_blind(3, said, now="later")
    assert (blind.active, blind.message, blind.time) == (False, said.message, "noon")
    assert account_decision(decide(3, 3, "steady"), SPEC, blind, now="later") == said
    unseen = Said(2, "Unknown", "2: the queue could not be read", "noon", active=False)
    assert account_blind(2, None, now="noon") == unseen


def test_somebody_elses_number_is_told_once() -> None:
    said = account_hold(7, None, deployment="mail-worker", now="noon")
    assert (said.desired, said.reason, said.limited) == (7, "ForeignScaler", Reason.FOREIGN_SCALER)
    assert "mail-worker" in said.message
    assert account_hold(7, said, deployment="mail-worker", now="later") == said
    assert account_hold(8, said, deployment="mail-worker", now="later").time == "later"
