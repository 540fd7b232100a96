"""How many workers, and why: what each look leads to."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jetmill_operator.api.job import Job
from jetmill_operator.policy.demand import DEFAULT_CONCURRENCY, Scaling, Seen, build_scaling
from jetmill_operator.policy.scaling import (
    CALM_SECONDS,
    GAP_SECONDS,
    Decision,
    ScalerState,
    ScalingReason,
    decide_replicas,
)

R = ScalingReason
SPEC = Scaling(max_replicas=50, target_drain_seconds=30, cooldown_seconds=60, concurrency=4)


def make_seen(time: float = 0.0, replicas: int = 0, pending: int = 0, **fields: Any) -> Seen:
    """A look at workers that are all ready; two seconds a job."""
    values: dict[str, Any] = {"ready": replicas, "service_seconds": 2.0, **fields}
    return Seen(time=time, replicas=replicas, pending=pending, **values)


def look(spec: Scaling, *looks: Seen, state: ScalerState | None = None) -> Decision:
    """The decision of the last of several looks."""
    decision = None
    for seen in looks:
        decision = decide_replicas(spec, (decision.state if decision else state) or ScalerState(), seen)
    assert decision is not None
    return decision


def watch_idle(spec: Scaling, replicas: int, *, seconds: float, every: float = 2.0) -> Decision:
    """The decision after having watched idle workers for so long, whatever was decided meanwhile."""
    return look(spec, *(make_seen(every * n, replicas) for n in range(int(seconds / every) + 1)))


def watch_flow(spec: Scaling, replicas: int, *, rate: int, seconds: int = 60, **fields: Any) -> Decision:
    """The decision in a steady flow, after `seconds`."""
    return look(
        spec, *(make_seen(float(t), replicas, arrivals=(rate * t,), **fields) for t in range(0, seconds + 1, 2))
    )


@pytest.mark.parametrize(
    ("spec", "seen", "replicas", "reason"),
    [
        # nothing to do
        (SPEC, make_seen(), 0, R.STEADY),
        (replace(SPEC, min_replicas=2), make_seen(), 2, R.LIMITS),
        (replace(SPEC, min_replicas=2), make_seen(replicas=2), 2, R.LIMITS),
        (SPEC, make_seen(in_flight=3), 0, R.STEADY),  # the last worker is on its way out
        # from zero in one step: a worker does 4 x 0.8 / 2 s = 1.6 jobs a second, 48 in half a minute
        (SPEC, make_seen(pending=1), 1, R.WOKEN),
        (SPEC, make_seen(pending=480), 10, R.WOKEN),
        (SPEC, make_seen(pending=481), 11, R.WOKEN),
        (SPEC, make_seen(pending=100_000), 50, R.WOKEN),
        (replace(SPEC, min_replicas=20), make_seen(pending=1), 20, R.WOKEN),
        (SPEC, make_seen(pending=480, service_seconds=0.0), 5, R.WOKEN),  # a second is assumed
        # never more workers than there are jobs for them, however long they take
        (SPEC, make_seen(pending=9, service_seconds=3600.0), 3, R.WOKEN),
        (replace(SPEC, concurrency=1), make_seen(pending=9, service_seconds=3600.0), 9, R.WOKEN),
        # more
        (SPEC, make_seen(replicas=10, pending=960), 20, R.BACKLOG),
        (SPEC, make_seen(replicas=10, pending=10_000, ready=9), 20, R.BACKLOG),  # at most twice as many
        (SPEC, make_seen(replicas=3, pending=10_000), 13, R.BACKLOG),  # or ten more
        (SPEC, make_seen(replicas=1, pending=10_000, ready=0), 50, R.BACKLOG),  # still the step from zero
        # a tenth more or less changes nothing
        (SPEC, make_seen(replicas=10, pending=528), 10, R.STEADY),
        (SPEC, make_seen(replicas=10, pending=529), 12, R.BACKLOG),
        (SPEC, make_seen(replicas=10, pending=432), 10, R.STEADY),
        # but limits are reached
        (replace(SPEC, max_replicas=11), make_seen(replicas=10, pending=528), 11, R.BACKLOG),
        (replace(SPEC, min_replicas=5), make_seen(replicas=2, pending=1), 5, R.LIMITS),
        (replace(SPEC, max_replicas=5), make_seen(replicas=9, pending=1_000), 5, R.LIMITS),
        (replace(SPEC, max_replicas=5), make_seen(replicas=9, in_flight=27), 7, R.LIMITS),
        (replace(SPEC, max_replicas=5), make_seen(replicas=5, pending=1_000), 5, R.LIMITS),
        # five jobs at once in all: two workers of four slots
        (replace(SPEC, max_in_flight=5), make_seen(replicas=1, pending=1_000), 2, R.BACKLOG),
        (replace(SPEC, max_in_flight=5), make_seen(replicas=2, pending=1_000, in_flight=5), 2, R.LIMITS),
        # no room in the cluster
        (SPEC, make_seen(replicas=10, pending=10_000, ready=8, unschedulable=2), 10, R.UNSCHEDULABLE),
        # jobs in hand
        (SPEC, make_seen(replicas=5, in_flight=17), 5, R.BUSY),
        # long ones keep their slots from those that wait
        (SPEC, make_seen(replicas=10, pending=20, in_flight=40, service_seconds=3600.0), 15, R.BACKLOG),
        # fewer would do
        (SPEC, make_seen(replicas=10, pending=48), 10, R.WARMING),
        # suspended
        (replace(SPEC, suspend=True, min_replicas=3), make_seen(replicas=9, pending=1_000), 0, R.SUSPENDED),
        (replace(SPEC, suspend=True), make_seen(replicas=9, in_flight=5), 2, R.SUSPENDED),
        (replace(SPEC, suspend=True, min_replicas=3), make_seen(pending=1_000), 0, R.SUSPENDED),
        # what cannot be read changes nothing
        (SPEC, make_seen(replicas=7, valid=False), 7, R.UNKNOWN),
        (SPEC, make_seen(replicas=0, valid=False), 0, R.UNKNOWN),
        (replace(SPEC, max_replicas=5), make_seen(replicas=7, valid=False), 7, R.UNKNOWN),
        (replace(SPEC, min_replicas=2), make_seen(replicas=1, valid=False), 2, R.LIMITS),
        (replace(SPEC, suspend=True, min_replicas=2), make_seen(replicas=1, valid=False), 1, R.UNKNOWN),
    ],
)  # fmt: skip
def test_a_first_look_decides(spec: Scaling, seen: Seen, replicas: int, reason: ScalingReason) -> None:
    decision = decide_replicas(spec, ScalerState(), seen)
    assert (decision.replicas, decision.reason) == (replicas, reason)


def test_a_steady_flow_keeps_as_many_as_it_needs() -> None:
    """Ten a second at two seconds each keep 20 slots busy; 25 are planned, which are 6.25 workers."""
    assert watch_flow(SPEC, 1, rate=10, in_flight=4, pending=3).figures.needed == 7
    decision = watch_flow(SPEC, 7, rate=10, in_flight=20)
    assert (decision.replicas, decision.reason) == (7, R.STEADY)


def test_many_that_come_at_once_are_no_flow() -> None:
    """A hundred long jobs want a hundred workers, not those that would be needed if they went on coming."""
    spec = replace(SPEC, max_replicas=1000, concurrency=1)
    calm = [make_seen(float(t), service_seconds=600.0, arrivals=(0,)) for t in range(60)]
    decision = look(spec, *calm, make_seen(61.0, pending=100, service_seconds=600.0, arrivals=(100,)))
    assert (decision.replicas, decision.reason) == (100, R.WOKEN)


def test_the_last_seconds_decide_when_they_ask_for_twice_the_workers() -> None:
    calm = [make_seen(float(t), 3, in_flight=10, arrivals=(5 * t,)) for t in range(0, 61, 2)]
    surge = [
        make_seen(62.0, 3, 60, in_flight=12, arrivals=(380,)),
        make_seen(64.0, 3, 130, in_flight=12, arrivals=(460,)),
    ]
    decision = look(SPEC, *calm, *surge)
    assert (decision.replicas, decision.reason) == (13, R.SURGE)
    assert decision.figures.arrivals_per_second > 25


def test_nobody_leaves_for_a_minute_after_a_surge() -> None:
    state = look(SPEC, make_seen(0.0, 1), make_seen(2.0, 10, 2_000)).state
    for time in range(4, 64, 2):
        decision = decide_replicas(SPEC, state, make_seen(float(time), 10))
        state = decision.state
        held = time < 2 + CALM_SECONDS
        assert decision.replicas == (10 if held else 5)


def test_a_cooldown_shorter_than_the_calm_is_obeyed_and_the_pace_kept() -> None:
    spec = replace(SPEC, cooldown_seconds=6)
    state, replicas, steps = look(spec, make_seen(0.0, 1), make_seen(2.0, 10, 2_000)).state, 10, []
    for time in range(4, 40, 2):
        decision = decide_replicas(spec, state, make_seen(float(time), replicas))
        if decision.replicas != replicas:
            steps.append((time, decision.replicas))
        state, replicas = decision.state, decision.replicas
    assert steps == [(8, 5), (38, 3)]


def test_workers_leave_only_after_fewer_were_enough_for_the_whole_cooldown() -> None:
    assert watch_idle(SPEC, 2, seconds=58).reason is R.WARMING
    decision = watch_idle(SPEC, 2, seconds=60)
    assert (decision.replicas, decision.reason) == (1, R.IDLE)


def test_a_moment_in_which_all_are_needed_begins_the_cooldown_anew() -> None:
    looks = [make_seen(2.0 * n, 2) for n in range(40)]
    looks[20] = make_seen(40.0, 2, 60)
    assert look(SPEC, *looks[:30]).reason is R.COOLING  # 58 s
    assert look(SPEC, *looks).reason is R.COOLING  # 78 s
    assert look(SPEC, *looks, *(make_seen(80.0 + 2 * n, 2) for n in range(11))).reason is R.IDLE


def test_without_a_cooldown_workers_leave_at_once() -> None:
    decision = look(replace(SPEC, cooldown_seconds=0), make_seen(0.0, 1))
    assert (decision.replicas, decision.reason) == (0, R.IDLE)


def test_at_most_half_leave_in_half_a_minute_and_the_last_one_too() -> None:
    state, replicas, steps = ScalerState(), 20, []
    for time in range(0, 300, 2):
        decision = decide_replicas(SPEC, state, make_seen(float(time), replicas))
        if decision.replicas != replicas:
            steps.append((time, decision.replicas, decision.reason))
        state, replicas = decision.state, decision.replicas
    assert steps == [
        (60, 10, R.IDLE), (90, 5, R.IDLE), (120, 3, R.IDLE), (150, 2, R.IDLE), (180, 1, R.IDLE), (210, 0, R.IDLE),
    ]  # fmt: skip


def test_between_two_steps_down_the_reason_is_the_pace() -> None:
    state = watch_idle(SPEC, 20, seconds=60).state
    decision = decide_replicas(SPEC, state, make_seen(62.0, 10))
    assert (decision.replicas, decision.reason) == (10, R.PACED)


def test_between_two_steps_up_the_reason_is_the_pace() -> None:
    decision = look(SPEC, make_seen(0.0, 10, 10_000), make_seen(2.0, 20, 10_000))
    assert (decision.replicas, decision.reason, decision.limited) == (20, R.PACED, True)
    later = look(SPEC, make_seen(16.0, 20, 10_000), state=decision.state)
    assert later.replicas == 40


def test_the_step_from_zero_is_none_that_others_wait_for() -> None:
    first = look(SPEC, make_seen(0.0, 0, 10))
    assert first.replicas == 1
    second = look(SPEC, make_seen(1.0, 1, 2_000, ready=0), state=first.state)
    assert second.replicas == 42
    assert look(SPEC, make_seen(5.0, 42, 100_000), state=second.state).replicas == 50


def test_jobs_in_hand_keep_their_workers_through_every_step_down() -> None:
    looks = [make_seen(2.0 * n, 10, in_flight=26) for n in range(60)]
    decision = look(SPEC, *looks)
    assert (decision.replicas, decision.reason) == (7, R.IDLE)


def test_an_outage_changes_nothing_and_afterwards_nobody_leaves_for_a_cooldown() -> None:
    before = watch_flow(SPEC, 7, rate=10, in_flight=20)
    state = before.state
    for time in range(62, 362, 2):
        decision = decide_replicas(SPEC, state, Seen(time=float(time), replicas=7, valid=False))
        state = decision.state
        assert (decision.replicas, decision.reason) == (7, R.UNKNOWN)
    for time in range(362, 424, 2):
        decision = decide_replicas(SPEC, state, make_seen(float(time), 7, arrivals=(3600,)))
        state = decision.state
        assert decision.replicas == (7 if time < 422 else 4)


def test_after_a_restart_more_may_come_at_once_and_nobody_leaves() -> None:
    assert look(SPEC, make_seen(1_000.0, 10, 960)).replicas == 20
    assert look(SPEC, make_seen(1_000.0, 10), make_seen(1_059.0 - GAP_SECONDS, 10)).reason is R.WARMING


def test_a_look_that_failed_now_and_then_keeps_the_windows() -> None:
    looks = [make_seen(2.0 * n, 2, valid=n % 3 != 1) for n in range(31)]
    assert look(SPEC, *looks).reason is R.IDLE


def test_what_workers_said_is_remembered_when_nobody_is_left_to_say_it() -> None:
    slow = look(SPEC, make_seen(0.0, 1, service_seconds=20.0))
    woken = look(SPEC, make_seen(2.0, 0, 96, service_seconds=0.0), state=slow.state)
    assert woken.replicas == 20  # 4 x 0.8 / 20 s: 4.8 jobs in half a minute


def test_the_service_time_is_smoothed() -> None:
    first = look(SPEC, make_seen(0.0, 1, service_seconds=2.0))
    second = look(SPEC, make_seen(2.0, 1, service_seconds=20.0), state=first.state)
    assert 2.0 < second.state.service_seconds < 8.0


def test_more_needed_than_there_may_be_is_a_limit() -> None:
    assert look(replace(SPEC, max_replicas=5), make_seen(replicas=5, pending=1_000)).limited
    assert not look(SPEC, make_seen(replicas=5)).limited
    assert not look(replace(SPEC, suspend=True), make_seen(replicas=5, pending=1_000)).limited


def test_the_spec_of_a_job_says_how_to_scale() -> None:
    job = Job.model_validate(
        {
            "apiVersion": "jetmill.dev/v1alpha1",
            "kind": "Job",
            "metadata": {"name": "send-email"},
            "spec": {
                "handler": "shop.tasks:send_email",
                "worker": {"concurrency": 8},
                "suspend": True,
                "scaling": {"minReplicas": 1, "maxReplicas": 9, "targetDrainSeconds": 5, "cooldownSeconds": 7},
            },
        }
    )
    assert build_scaling(job.spec) == Scaling(1, 9, 5, 7, concurrency=8, suspend=True)


@pytest.mark.parametrize(("slots", "concurrency"), [(0, DEFAULT_CONCURRENCY), (12, 12)])
def test_where_the_spec_says_nothing_the_workers_slots_count(slots: int, concurrency: int) -> None:
    job = Job.model_validate(
        {
            "apiVersion": "jetmill.dev/v1alpha1",
            "kind": "Job",
            "metadata": {"name": "send-email"},
            "spec": {"handler": "shop.tasks:send_email"},
        }
    )
    assert build_scaling(job.spec, slots=slots).concurrency == concurrency


def test_every_reason_stands_in_the_guide_and_nothing_else_does() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "how-to" / "scaling.md").read_text()
    table = guide.partition("## The reasons")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(ScalingReason)
