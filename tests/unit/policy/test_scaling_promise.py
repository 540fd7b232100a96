"""What holds of every decision, whatever was seen before."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from jetmill_operator.policy.demand import Scaling, Seen
from jetmill_operator.policy.scaling import ScalerState, ScalingReason, decide_replicas

specs = st.builds(
    lambda low, more, drain, cooldown, concurrency, limit, suspend: Scaling(
        low, low + more, drain, cooldown, concurrency, limit, suspend
    ),
    st.integers(0, 10),
    st.integers(1, 60),
    st.floats(1, 600),
    st.floats(0, 120),
    st.integers(1, 60),
    st.none() | st.integers(1, 500),
    st.booleans(),
)
workers = st.integers(0, 40).flatmap(
    lambda replicas: st.tuples(st.just(replicas), st.integers(0, replicas), st.integers(0, 3))
)
counts = st.integers(0, 60) | st.integers(0, 1_000_000)


@st.composite
def looks(draw: st.DrawFn) -> list[Seen]:
    """A few looks in order, at anything that could be seen."""
    found, time, total = [], 0.0, 0
    for _ in range(draw(st.integers(1, 6))):
        time += draw(st.floats(0.01, 90))
        total += draw(st.integers(0, 5_000))
        replicas, ready, unschedulable = draw(workers)
        found.append(
            Seen(
                time,
                replicas,
                ready,
                unschedulable,
                draw(st.integers(0, 9)) > 0,
                draw(counts),
                draw(counts),
                (total,),
                draw(st.sampled_from([0.0, 0.01, 2.0, 600.0])),
            )
        )
    return found


def remember(spec: Scaling, seen: list[Seen]) -> ScalerState:
    state = ScalerState()
    for one in seen:
        state = decide_replicas(spec, state, one).state
    return state


def count_floor(spec: Scaling, seen: Seen) -> int:
    return min(math.ceil(seen.in_flight / spec.concurrency), seen.replicas) if seen.valid else seen.replicas


@given(spec=specs, seen=looks())
def test_limits_are_kept_but_for_jobs_in_hand(spec: Scaling, seen: list[Seen]) -> None:
    replicas = decide_replicas(spec, remember(spec, seen[:-1]), seen[-1]).replicas
    assert replicas <= max(spec.highest, count_floor(spec, seen[-1]))
    assert replicas >= spec.min_replicas or spec.suspend or seen[-1].unschedulable


@given(spec=specs, seen=looks())
def test_never_fewer_than_have_jobs_in_hand(spec: Scaling, seen: list[Seen]) -> None:
    assert decide_replicas(spec, remember(spec, seen[:-1]), seen[-1]).replicas >= count_floor(spec, seen[-1])


@given(spec=specs, seen=looks())
def test_a_suspended_job_gets_nobody_new(spec: Scaling, seen: list[Seen]) -> None:
    spec = replace(spec, suspend=True)
    assert decide_replicas(spec, remember(spec, seen[:-1]), seen[-1]).replicas <= seen[-1].replicas


@given(spec=specs, seen=looks())
def test_without_metrics_nothing_changes_but_that_min_replicas_come(spec: Scaling, seen: list[Seen]) -> None:
    state, blind = remember(spec, seen[:-1]), replace(seen[-1], valid=False)
    decision = decide_replicas(spec, state, blind)
    assert decision.replicas == max(blind.replicas, 0 if spec.suspend else spec.min_replicas)
    assert decision.state == state


@given(spec=specs, seen=looks(), more=st.integers(1, 100_000))
def test_a_larger_backlog_never_means_fewer(spec: Scaling, seen: list[Seen], more: int) -> None:
    state, now = remember(spec, seen[:-1]), seen[-1]
    fewer = decide_replicas(spec, state, now).replicas
    assert decide_replicas(spec, state, replace(now, pending=now.pending + more)).replicas >= fewer


@given(spec=specs, seen=looks())
def test_work_never_waits_for_nobody(spec: Scaling, seen: list[Seen]) -> None:
    now = replace(seen[-1], valid=True, pending=seen[-1].pending + 1)
    spec = replace(spec, suspend=False)
    assert decide_replicas(spec, remember(spec, seen[:-1]), now).replicas >= 1


@given(spec=specs, seen=looks())
def test_where_there_is_no_room_nobody_is_added(spec: Scaling, seen: list[Seen]) -> None:
    now = replace(seen[-1], unschedulable=1, replicas=max(seen[-1].replicas, 1), valid=True)
    assert decide_replicas(spec, remember(spec, seen[:-1]), now).replicas <= now.replicas


@given(spec=specs, seen=looks())
def test_the_same_look_leads_to_the_same_decision_and_says_what_it_changes(spec: Scaling, seen: list[Seen]) -> None:
    state = remember(spec, seen[:-1])
    one, two = decide_replicas(spec, state, seen[-1]), decide_replicas(spec, state, seen[-1])
    assert one == two
    assert (one.figures.before, one.figures.after) == (seen[-1].replicas, one.replicas)
    same = one.replicas == seen[-1].replicas
    assert same or one.reason not in (ScalingReason.STEADY, ScalingReason.COOLING, ScalingReason.UNKNOWN)
    assert str(one)


@settings(max_examples=settings().max_examples // 4)  # each plays eight minutes
@example(rate=23, half=6, service=2.0, concurrency=50)  # the seconds ask for twice what the minute does
@given(
    rate=st.integers(1, 60),
    half=st.integers(2, 14),
    service=st.sampled_from([0.1, 2.0, 10.0]),
    concurrency=st.sampled_from([1, 4, 50]),
)
def test_a_sawtooth_within_the_cooldown_makes_nobody_come_and_go(
    rate: int, half: int, service: float, concurrency: int
) -> None:
    """On for 4 to 28 seconds, off for as long: after a few rounds the number of workers stands still."""
    spec = Scaling(0, 1_000, cooldown_seconds=60, concurrency=concurrency)
    state, replicas, total, changed = ScalerState(), 0, 0, []
    for tick in range(240):
        on = tick // half % 2 == 0
        total += 2 * rate if on else 0
        running = math.ceil(rate * service) if on else 0
        seen = Seen(2.0 * tick, replicas, replicas, 0, True, 0 if replicas else rate, running, (total,), service)
        decision = decide_replicas(spec, state, seen)
        if decision.replicas != replicas:
            changed.append(tick)
        state, replicas = decision.state, decision.replicas
    assert replicas > 0
    assert not [tick for tick in changed if tick >= 120]
