"""Fifteen minutes of each kind of day, in simulated time: the figures are a fixture that must not get worse.

Two seconds a job (exponential), four jobs at once in a worker, three seconds until a worker is there, at most fifty
workers, a drain of 30 s, a cooldown of 60 s, a look every two seconds and at the wake signal. Everything is seeded, so
the same code gives the same figures; a change that makes one better records the better one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import pytest

from jetmill_operator.policy.demand import Scaling
from jetmill_operator.policy.scaling import ScalingReason
from support.fleet import Course, Report, draw_arrivals, simulate

SCALING = Scaling(0, 50, target_drain_seconds=30, cooldown_seconds=60, concurrency=4)
COURSES = {
    "burst of 2000 from zero": Course((5.0,) * 2000),
    "step from 5 to 40 a second": Course(draw_arrivals((0, 300, 5), (300, 900, 40))),
    "one from zero": Course((5.0,)),
    "steady 10 a second": Course(draw_arrivals((0, 900, 10))),
    "30 s on, 30 s off": Course(draw_arrivals(*((begin, begin + 30, 10) for begin in range(0, 900, 60)))),
    "300 s without metrics": Course(draw_arrivals((0, 900, 10)), blind=(300, 600)),
}


@dataclass(frozen=True)
class Bounds:
    """The figures on record."""

    wait_p50: float
    """Seconds from arrival to start."""
    wait_p99: float
    peak: int
    changes: int
    """Writes of `spec.replicas`."""
    pod_seconds: float


RECORDED = {
    "burst of 2000 from zero": Bounds(11.3, 20.9, 50, 11, 5_590),
    "step from 5 to 40 a second": Bounds(0.01, 5.3, 25, 7, 15_960),
    "one from zero": Bounds(3.0, 3.0, 1, 2, 62),
    "steady 10 a second": Bounds(0.01, 2.9, 7, 4, 6_240),
    "30 s on, 30 s off": Bounds(0.01, 3.3, 6, 3, 5_370),
    "300 s without metrics": Bounds(0.01, 2.9, 7, 4, 6_240),
}


@cache
def report_of(name: str) -> Report:
    return simulate(SCALING, COURSES[name])


@pytest.mark.parametrize("name", COURSES)
def test_no_figure_gets_worse_than_it_was(name: str) -> None:
    report, bounds = report_of(name), RECORDED[name]
    assert report.wait(0.5) <= bounds.wait_p50
    assert report.wait(0.99) <= bounds.wait_p99
    assert report.peak <= bounds.peak
    assert len(report.steps) <= bounds.changes
    assert report.pod_seconds <= bounds.pod_seconds


@pytest.mark.parametrize("name", COURSES)
def test_scaling_in_never_takes_a_running_job(name: str) -> None:
    assert report_of(name).killed == 0


def test_work_at_zero_starts_workers_in_one_step() -> None:
    [(time, replicas, decision), *_] = report_of("burst of 2000 from zero").steps
    assert (time, replicas, decision.reason) == (5.0, 50, ScalingReason.WOKEN)


def test_after_the_work_the_workers_are_back_at_zero() -> None:
    for name in ("burst of 2000 from zero", "one from zero"):
        report = report_of(name)
        assert report.steps[-1][1] == 0
        assert report.finished == len(COURSES[name].arrivals)


def test_a_sawtooth_makes_nobody_come_and_go() -> None:
    """After the first rounds: fifteen teeth, and no more changes than it takes to find the number."""
    late = [step for step in report_of("30 s on, 30 s off").steps if step[0] > 180]
    assert len(late) <= 1


def test_without_metrics_every_decision_is_to_change_nothing() -> None:
    blind = [one for time, one in report_of("300 s without metrics").decisions if 300 <= time < 600]
    assert len(blind) > 100
    assert {one.reason for one in blind} == {ScalingReason.UNKNOWN}
    assert {one.replicas for one in blind} == {7}


def test_under_a_constant_load_that_falls_workers_leave_though_none_is_ever_idle_by_itself() -> None:
    """Twenty slots are never all free; those that shall leave are told to drain."""
    scaling = Scaling(0, 20, concurrency=20, cooldown_seconds=60)
    report = simulate(scaling, Course(draw_arrivals((0, 90, 80), (90, 330, 24)), seconds=330))
    assert report.peak >= 10
    assert report.steps[-1][1] <= 4
    assert report.killed == 0
