"""How an endpoint fares, and what follows of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetmill.protocol.delivery import EndpointState, HourCount, LastDelivery
from jetmill_operator.policy.endpoint import (
    FEWEST,
    LONGEST_OPEN_SECONDS,
    OPEN_SECONDS,
    WINDOW_SECONDS,
    Phase,
    Seen,
    Window,
    begin_state,
    enable,
    find_phase,
    fold,
)

SECOND = 1_000_000
HOUR = 3_600 * SECOND
NOW = 500_000 * HOUR
NEW = EndpointState(uid="u", generation=1)


def see(*ends: bool, time: int = NOW, tripped: bool = False, gone: bool = False) -> Seen:
    seen = Seen(gone=gone)
    for number, delivered in enumerate(ends):
        seen.add(LastDelivery(id=f"d{number}", time=time + number, delivered=delivered))
    seen.tripped = tripped
    return seen


def after(state: EndpointState, seen: Seen, *, now: int = NOW, limit: float = 0.0) -> EndpointState:
    return fold(state, seen, now=now, disable_after_seconds=limit)


def test_failures_count_from_the_first_after_the_last_success() -> None:
    state = after(NEW, see(True, False, False))
    assert state.failing_since == NOW + 1
    later = after(state, see(False, time=NOW + SECOND))
    assert later.failing_since == NOW + 1
    assert after(later, see(False, True, time=NOW + 2 * SECOND)).failing_since is None


def test_the_last_attempt_is_that_which_ended_last_whoever_says_so_first() -> None:
    late = after(NEW, see(True, time=NOW + SECOND))
    state = after(late, see(False, time=NOW))
    assert state.last is not None
    assert (state.last.time, state.last.delivered) == (NOW + SECOND, True)


def test_most_of_ten_failures_open_the_circuit_and_fewer_do_not() -> None:
    window = Window()
    assert [window.add(NOW, delivered=False) for _ in range(FEWEST)] == [False] * (FEWEST - 1) + [True]
    mixed = Window()
    turns = [mixed.add(NOW + n, delivered=n % 2 == 0) for n in range(40)]
    assert not any(turns)


def test_what_failed_long_ago_opens_nothing() -> None:
    window = Window()
    for _ in range(FEWEST - 1):
        window.add(NOW, delivered=False)
    assert not window.add(NOW + round(WINDOW_SECONDS + 1) * SECOND, delivered=False)


def test_an_open_circuit_lets_nothing_through_then_one_at_a_time() -> None:
    state = after(NEW, see(False, tripped=True))
    assert find_phase(state, NOW) is Phase.OPEN
    assert find_phase(state, NOW + round(OPEN_SECONDS * SECOND)) is Phase.HALF_OPEN


def test_a_probe_that_is_delivered_closes_it_and_one_that_fails_opens_it_for_longer() -> None:
    state = after(NEW, see(False, tripped=True))
    probing = state.until
    assert find_phase(after(state, see(True, time=probing), now=probing), probing) is Phase.CLOSED
    again = after(state, see(False, time=probing), now=probing)
    assert again.until - probing == round(2 * OPEN_SECONDS * SECOND)
    for _ in range(30):
        again = after(again, see(False, time=again.until), now=again.until)
    assert again.until - round(LONGEST_OPEN_SECONDS * SECOND) <= again.last.time + SECOND  # type: ignore[union-attr]


def test_what_was_under_way_when_it_opened_changes_nothing() -> None:
    state = after(NEW, see(False, tripped=True))
    assert after(state, see(True), now=NOW + SECOND).until == state.until
    assert after(state, see(False), now=NOW + SECOND).opens == 1


def test_a_receiver_that_is_gone_is_sent_nothing_more_until_somebody_says_so() -> None:
    state = after(NEW, see(False, gone=True))
    assert find_phase(state, NOW + 1000 * HOUR) is Phase.DISABLED
    assert state.disabled == "gone"
    assert find_phase(enable(state, generation=1), NOW) is Phase.CLOSED


@pytest.mark.parametrize(("limit", "disabled"), [(0.0, None), (3_600.0, "failing"), (7_200.0, None)])
def test_nothing_but_failures_for_too_long_disables_it_unless_that_is_switched_off(limit: float, disabled: str) -> None:
    state = after(NEW, see(False))
    assert after(state, see(False, time=NOW + HOUR), now=NOW + HOUR + SECOND, limit=limit).disabled == disabled


def test_time_alone_disables_nothing() -> None:
    state = after(NEW, see(False))
    assert after(state, Seen(filter_errors=1), now=NOW + 100 * HOUR, limit=60.0).disabled is None


def test_an_edit_begins_anew_and_keeps_the_counts_another_object_of_the_name_keeps_nothing() -> None:
    state = after(NEW, see(True, False, tripped=True, gone=True))
    edited = begin_state(state, uid="u", generation=2)
    assert (edited.disabled, edited.opens, edited.failing_since, edited.generation) == (None, 0, None, 2)
    assert edited.hours == state.hours
    assert begin_state(state, uid="u", generation=1) is state
    assert begin_state(edited, uid="u", generation=1) is edited  # a dispatcher that lags undoes nothing
    assert begin_state(state, uid="other", generation=1) == EndpointState(uid="other", generation=1)


def test_attempts_are_counted_by_the_hour_and_forgotten_after_a_day() -> None:
    state = after(NEW, see(True, True, False))
    state = after(state, see(True), now=NOW + 23 * HOUR)
    assert [(one.delivered, one.failed) for one in state.hours] == [(2, 1), (1, 0)]
    assert [one.delivered for one in after(state, see(True), now=NOW + 24 * HOUR).hours] == [1, 1]


@given(st.lists(st.lists(st.booleans(), max_size=6), max_size=8))
def test_whoever_says_it_nothing_is_counted_twice_or_lost(parts: list[list[bool]]) -> None:
    state = NEW
    for part in parts:
        state = after(state, see(*part))
    total = sum((one.delivered for one in state.hours), 0), sum((one.failed for one in state.hours), 0)
    ends = [end for part in parts for end in part]
    assert total == (ends.count(True), ends.count(False))
    assert msgspec.json.decode(msgspec.json.encode(state), type=EndpointState) == state
    assert all(isinstance(one, HourCount) for one in state.hours)
