"""How many workers: up at once, down when fewer were enough for the whole cooldown."""

from __future__ import annotations

import pytest

from jetmill.bus.ports import Depth
from jetmill_operator.api.job import ScalingSpec
from jetmill_operator.dev.scaling import ScalingReason, Seen, decide_pause_seconds, decide_replicas

R = ScalingReason


def make_spec(low: int = 0, high: int = 10) -> ScalingSpec:
    return ScalingSpec(minReplicas=low, maxReplicas=high, targetDrainSeconds=10, cooldownSeconds=60)


def make_seen(
    workers: int = 0, ready: int | None = 0, *, busy: int = 0, pace: float = 1.0, woken: bool = False
) -> Seen:
    depth = None if ready is None else Depth(ready=ready, in_flight=busy, delayed=5)
    return Seen(workers=workers, depth=depth, slots=2, service_seconds=pace, woken=woken)


@pytest.mark.parametrize(
    ("spec", "seen", "replicas", "reason"),
    [
        # nothing to do: delayed jobs alone need nobody
        (make_spec(), make_seen(), 0, R.STEADY),
        (make_spec(low=1), make_seen(), 1, R.LIMITS),
        (make_spec(low=1), make_seen(1), 1, R.STEADY),
        # from zero
        (make_spec(), make_seen(woken=True), 1, R.WOKEN),
        (make_spec(), make_seen(ready=1), 1, R.WOKEN),
        (make_spec(), make_seen(ready=1_000, pace=0.0), 1, R.WOKEN),
        # two slots, a job a second, ten seconds: twenty jobs a worker
        (make_spec(), make_seen(1, 20), 1, R.STEADY),
        (make_spec(), make_seen(1, 21), 2, R.BACKLOG),
        (make_spec(), make_seen(1, 11, busy=10), 2, R.BACKLOG),
        (make_spec(), make_seen(1, 1_000), 10, R.BACKLOG),
        # never more workers than jobs, however slow these are
        (make_spec(), make_seen(1, 3, pace=600.0), 3, R.BACKLOG),
        # what cannot be seen changes nothing, but limits hold
        (make_spec(), make_seen(3, None), 3, R.UNKNOWN),
        (make_spec(low=2), make_seen(1, None), 2, R.LIMITS),
        (make_spec(high=2), make_seen(3, None), 2, R.LIMITS),
        (make_spec(high=2), make_seen(3, 1_000), 2, R.LIMITS),
        # fewer would do, since just now
        (make_spec(), make_seen(2, 1), 2, R.COOLING),
    ],
)
@pytest.mark.field(
    "Job.spec.scaling.minReplicas", "Job.spec.scaling.maxReplicas", "Job.spec.scaling.targetDrainSeconds"
)
def test_the_backlog_decides_how_many(spec, seen, replicas, reason):
    decision = decide_replicas(spec, seen, now=100.0)
    assert (decision.replicas, decision.reason) == (replicas, reason)


@pytest.mark.field("Job.spec.scaling.cooldownSeconds")
def test_workers_go_only_after_fewer_were_enough_for_the_whole_cooldown():
    spec, idle, since = make_spec(), make_seen(2), None
    seen_replicas = []
    for now in (0.0, 30.0, 59.9, 60.0, 61.0):
        decision = decide_replicas(spec, idle, now=now, fewer_since=since)
        since = decision.fewer_since
        seen_replicas.append(decision.replicas)
    assert seen_replicas == [2, 2, 2, 0, 0]


def test_a_moment_in_which_all_are_wanted_begins_the_cooldown_anew():
    spec = make_spec()
    cooling = decide_replicas(spec, make_seen(2), now=0.0)
    busy = decide_replicas(spec, make_seen(2, 40), now=59.0, fewer_since=cooling.fewer_since)
    assert busy.fewer_since is None
    assert decide_replicas(spec, make_seen(2), now=61.0, fewer_since=busy.fewer_since).reason is R.COOLING


@pytest.mark.field("Job.spec.suspend")
def test_a_suspended_job_needs_nobody():
    decision = decide_replicas(make_spec(low=3), make_seen(3, 1_000), now=0.0, suspended=True)
    assert (decision.replicas, decision.reason) == (0, R.SUSPENDED)


def test_pauses_after_crashes_grow_to_half_a_minute():
    assert [decide_pause_seconds(crashes) for crashes in (0, 1, 2, 3, 10, 10_000)] == [0.0, 0.5, 1.0, 2.0, 30.0, 30.0]
