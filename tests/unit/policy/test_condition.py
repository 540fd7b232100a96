"""Each state of the world and the conditions that it gives."""

from __future__ import annotations

from typing import Any

import pytest

from jetmill_operator.api.condition import JobStatus
from jetmill_operator.policy.condition import Backlog, Scaling, View, build_status, find_condition, is_same
from jetmill_operator.policy.reason import Reason
from jetmill_operator.policy.worker import Problem, Workers

NOON, LATER = "2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z"
CONFLICT = Problem(Reason.CONFLICT, "it is taken")
AWAY = Problem(Reason.BUS_UNAVAILABLE, "no NATS")
PULL = Problem(Reason.IMAGE_PULL_FAILED, "no image")


def see(**fields: Any) -> View:
    values: dict[str, Any] = {"generation": 3, "workers": Workers()}
    return View(**{**values, **fields})


def build(view: View, before: Any = None, *, now: str = NOON) -> dict[str, Any]:
    return build_status(view, before or {}, now=now)


def said(view: View) -> dict[str, str]:
    return {one["type"]: f"{one['status']} {one['reason']}" for one in build(view)["conditions"]}


WORLDS: dict[str, tuple[View, dict[str, str | None]]] = {
    "zero workers and nothing to do": (
        see(),
        {"Ready": "True ScaledToZero", "WorkersAvailable": "True ScaledToZero", "Reconciling": None, "Stalled": None},
    ),
    "workers run": (see(workers=Workers(2, 2)), {"Ready": "True Serving", "WorkersAvailable": "True Serving"}),
    "the first worker starts, from zero": (
        see(workers=Workers(1, 0)),
        {"Ready": "True Starting", "WorkersAvailable": "False Starting", "Reconciling": None},
    ),
    "the first worker starts, of those that must be there": (
        see(workers=Workers(1, 0), min_replicas=1),
        {"Ready": "False Starting", "Reconciling": "True Starting"},
    ),
    "no image": (
        see(workers=Workers(1, 0, problem=PULL)),
        {"Ready": "False ImagePullFailed", "WorkersAvailable": "False ImagePullFailed", "Stalled": None},
    ),
    "one of many has a problem": (
        see(workers=Workers(3, 2, problem=PULL)),
        {"Ready": "True Serving", "WorkersAvailable": "True Degraded"},
    ),
    "the newest spec's workers have a problem, the old ones run": (
        see(workers=Workers(3, 3, rolling=True, problem=PULL)),
        {"Ready": "False ImagePullFailed", "WorkersAvailable": "True ImagePullFailed",
         "Reconciling": "True RollingOut"},
    ),
    "a rollout": (
        see(workers=Workers(3, 3, rolling=True)), {"Ready": "True Serving", "Reconciling": "True RollingOut"}
    ),
    "suspended": (
        see(suspended=True, workers=Workers(0, 0)),
        {"Ready": "True Suspended", "Suspended": "True Suspended", "ScalingActive": "False Suspended"},
    ),
    "suspended at once with a problem": (
        see(suspended=True, workers=Workers(1, 0, problem=PULL), min_replicas=1), {"Ready": "True Suspended"}
    ),
    "a foreign Deployment": (
        see(stalled=CONFLICT, workers=None),
        {"Ready": "False Conflict", "Stalled": "True Conflict", "Reconciling": None, "QueueReady": "True Applied",
         "WorkersAvailable": "False Conflict"},
    ),
    "NATS away": (
        see(queue=AWAY),
        {"Ready": "False BusUnavailable", "QueueReady": "Unknown BusUnavailable", "Reconciling": "True BusUnavailable"},
    ),
    "a foreign stream": (
        see(stalled=CONFLICT, queue=CONFLICT), {"QueueReady": "False Conflict", "Stalled": "True Conflict"}
    ),
    "the API server away": (
        see(waiting=Problem(Reason.CLUSTER_UNAVAILABLE, "503")),
        {"Ready": "False ClusterUnavailable", "Reconciling": "True ClusterUnavailable"},
    ),
    "riding": (
        see(rides_on="report", workers=Workers(1, 1)), {"ScalingActive": "False Riding", "Ready": "True Serving"}
    ),
    "nothing decided yet": (see(), {"ScalingActive": "Unknown NotDecided", "ScalingLimited": "False WithinLimits"}),
    "decided": (see(scaling=Scaling(1, "Backlog", "m", NOON)), {"ScalingActive": "True Decided"}),
    "blind": (
        see(scaling=Scaling(1, "Unknown", "m", NOON, active=False)), {"ScalingActive": "False MetricsUnavailable"}
    ),
    "limited": (
        see(scaling=Scaling(1, "Limits", "m", NOON, limited=Reason.MAX_REPLICAS)),
        {"ScalingLimited": "True MaxReplicas"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("world", WORLDS)
def test_conditions(world) -> None:
    view, wanted = WORLDS[world]
    there = said(view)
    assert {kind: there.get(kind) for kind in wanted} == wanted


@pytest.mark.parametrize("world", WORLDS)
def test_every_status_is_one_that_the_api_knows(world) -> None:
    view, _ = WORLDS[world]
    JobStatus.model_validate(build(view))


@pytest.mark.parametrize("world", WORLDS)
def test_a_world_that_stays_as_it_is_gives_the_same_status(world) -> None:
    view, _ = WORLDS[world]
    before = build(view)
    assert build(view, before, now=LATER) == before


@pytest.mark.field(
    *(f"Job.status.conditions.{name}" for name in ("type", "status", "reason", "message")),
    *(f"Job.status.conditions.{name}" for name in ("lastTransitionTime", "observedGeneration")),
)
def test_a_transition_has_its_time_and_what_stays_keeps_its_own() -> None:
    before = build(see())
    after = build(see(queue=AWAY), before, now=LATER)
    ready, suspended = find_condition(after, "Ready"), find_condition(after, "Suspended")
    assert ready is not None
    assert suspended is not None
    assert (ready["lastTransitionTime"], suspended["lastTransitionTime"]) == (LATER, NOON)
    assert (ready["status"], ready["reason"]) == ("False", "BusUnavailable")
    assert "NATS" in ready["message"]
    assert {one["observedGeneration"] for one in after["conditions"]} == {3}


@pytest.mark.field(*(f"Job.status.backlog.{name}" for name in ("ready", "inFlight", "delayed")))
@pytest.mark.field(*(f"Job.status.scaling.{name}" for name in ("desired", "reason", "message", "time")))
@pytest.mark.field("Job.status.workers.ready", "Job.status.workers.desired")
def test_counters_are_counted_and_stay_while_nobody_knows_better() -> None:
    scaling = Scaling(2, "Backlog", "1 → 2", NOON)
    before = build(see(backlog=Backlog(ready=5, in_flight=2, delayed=1), workers=Workers(2, 1), scaling=scaling))
    assert before["backlog"] == {"ready": 5, "inFlight": 2, "delayed": 1}
    assert before["workers"] == {"ready": 1, "desired": 2}
    assert before["scaling"] == {"desired": 2, "reason": "Backlog", "message": "1 → 2", "time": NOON}
    after = build(see(queue=AWAY, workers=Workers(2, 1)), before)
    assert (after["backlog"], after["scaling"]) == (before["backlog"], before["scaling"])


@pytest.mark.field("Job.status.nextRetryTime")
def test_what_is_wanted_next_is_told_only_after_a_failure() -> None:
    assert build(see(retry_time=LATER))["nextRetryTime"] == LATER
    assert "nextRetryTime" not in build(see())


def test_counters_make_a_difference_of_their_own() -> None:
    few, many = build(see(backlog=Backlog(1, 0, 0))), build(see(backlog=Backlog(9, 0, 0)))
    assert not is_same(few, many)
    assert is_same(few, many, counters=False)
    assert not is_same(few, build(see(queue=AWAY)), counters=False)


def test_a_condition_of_somebody_else_makes_none() -> None:
    before = build(see())
    foreign = {**before, "conditions": [*before["conditions"], {"type": "acme.io/Audited", "status": "True"}]}
    assert is_same(foreign, before)


def test_a_condition_of_ours_that_went_makes_one() -> None:
    assert not is_same(build(see(queue=AWAY)), {**build(see()), "backlog": {}})
    assert not is_same(build(see(workers=Workers(1, 1, rolling=True))), build(see(workers=Workers(1, 1))))
