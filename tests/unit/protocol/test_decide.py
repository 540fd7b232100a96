"""Rule 2 as a table: every state, due or not, with or without its owner."""

from __future__ import annotations

import itertools

import pytest

from factories import NOON, make_entry
from jetmill.protocol.decide import Ack, Bury, Claim, Conclude, PutDelayed, Wait, decide
from jetmill.protocol.state import CRASH_BUDGET, FINAL, State

EARLY, LATE = NOON - 1, NOON + 1


def test_a_hint_without_a_chain_is_acked() -> None:
    assert decide(None, held_since=NOON, owner_present=False) == Ack()


@pytest.mark.parametrize(("state", "present"), list(itertools.product(sorted(FINAL), [True, False])))
def test_a_hint_of_a_final_job_is_acked(state: State, present: bool) -> None:
    assert decide(make_entry(state), held_since=NOON, owner_present=present) == Ack()


@pytest.mark.parametrize("present", [True, False])
def test_a_queued_job_is_claimed(present: bool) -> None:
    entry = make_entry(State.QUEUED)
    assert decide(entry, held_since=0, owner_present=present) == Claim(entry)


@pytest.mark.parametrize("state", [State.SCHEDULED, State.RETRYING])
@pytest.mark.parametrize(("held_since", "due"), [(NOON, True), (LATE, True), (EARLY, False), (0, False)])
def test_a_job_that_waits_for_its_time_is_claimed_only_by_a_hint_stored_since(
    state: State, held_since: int, due: bool
) -> None:
    entry = make_entry(state, due=NOON)
    expected = Claim(entry) if due else PutDelayed(entry)
    assert decide(entry, held_since=held_since, owner_present=False) == expected


@pytest.mark.parametrize("state", [State.RUNNING, State.CANCELLING])
@pytest.mark.parametrize("crashes", range(CRASH_BUDGET + 2))
def test_a_job_whose_owner_lives_is_left_alone(state: State, crashes: int) -> None:
    assert decide(make_entry(state, crashes=crashes), held_since=LATE, owner_present=True) == Wait()


@pytest.mark.parametrize("crashes", range(CRASH_BUDGET))
def test_a_running_job_whose_owner_is_gone_is_taken_over(crashes: int) -> None:
    entry = make_entry(State.RUNNING, crashes=crashes)
    assert decide(entry, held_since=NOON, owner_present=False) == Claim(entry)


@pytest.mark.parametrize("crashes", [CRASH_BUDGET, CRASH_BUDGET + 1])
def test_a_job_that_has_spent_its_crash_budget_is_buried(crashes: int) -> None:
    entry = make_entry(State.RUNNING, crashes=crashes)
    assert decide(entry, held_since=NOON, owner_present=False) == Bury(entry)


@pytest.mark.parametrize("crashes", [0, CRASH_BUDGET])
def test_a_cancelled_job_whose_owner_is_gone_is_concluded(crashes: int) -> None:
    entry = make_entry(State.CANCELLING, crashes=crashes)
    assert decide(entry, held_since=NOON, owner_present=False) == Conclude(entry)


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("held_since", [0, NOON, LATE + 120_000_000])
def test_only_a_final_job_loses_its_hint(held_since: int, present: bool) -> None:
    """Nothing else is ever acked: whatever is open still needs someone to look at it."""
    acked = {
        state for state in State if decide(make_entry(state), held_since=held_since, owner_present=present) == Ack()
    }
    assert acked == FINAL
