"""What is read off a Deployment and its pods, and whom a ReplicaSet may take away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetmill_operator.policy.crew import (
    COST,
    MARK,
    PodSeen,
    count_homeless,
    list_endangered,
    list_present,
    read_deployment,
    read_pod,
)

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def make_pod_body(*, meta: dict[str, Any] | None = None, node: str = "node-1", **status: Any) -> dict[str, Any]:
    metadata = {"name": "mail-worker-1", "uid": "u1", **(meta or {})}
    return {"metadata": metadata, "spec": {"nodeName": node} if node else {}, "status": {"phase": "Running", **status}}


def pod(name: str, **fields: Any) -> PodSeen:
    return PodSeen(name, f"uid-{name}", **{"ready": True, **fields})


def test_a_pod_that_runs() -> None:
    seen = read_pod(make_pod_body(conditions=[{"type": "Ready", "status": "True"}]))
    assert seen == PodSeen("mail-worker-1", "u1", ready=True)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (make_pod_body(node="", phase="Pending"), {"assigned": False, "phase": "Pending"}),
        (make_pod_body(meta={"deletionTimestamp": "2026-01-31T12:00:00Z"}), {"leaving": True}),
        (make_pod_body(phase="Failed"), {"leaving": True, "phase": "Failed"}),
        (make_pod_body(meta={"annotations": {COST: MARK}}), {"cost": -100, "marked": True}),
        (make_pod_body(meta={"annotations": {COST: "7"}}), {"cost": 7}),
        (make_pod_body(meta={"annotations": {COST: "cheap"}}), {"cost": 0}),
        (make_pod_body(meta={"annotations": None}), {}),
    ],
)
def test_a_pod_in_any_state(body: dict[str, Any], fields: dict[str, Any]) -> None:
    assert read_pod(body) == PodSeen("mail-worker-1", "u1", **fields)


def test_a_pod_is_homeless_when_no_node_has_had_room_for_a_while() -> None:
    said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    homeless = [
        read_pod(make_pod_body(conditions=[{**said, "lastTransitionTime": f"2026-01-31T11:59:{second}Z"}]))
        for second in ("50", "59")
    ]
    leaving = read_pod(make_pod_body(meta={"deletionTimestamp": "x"}, conditions=[said]))
    assert count_homeless([*homeless, leaving, pod("fine")], now=NOON, seconds=5) == 1
    assert count_homeless(homeless, now=NOON + timedelta(seconds=5), seconds=5) == 2


@pytest.mark.parametrize(
    ("status", "steady"),
    [
        ({"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2}, True),
        ({"observedGeneration": 3}, True),
        ({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2}, False),
        ({"observedGeneration": 3, "replicas": 3, "updatedReplicas": 1}, False),
    ],
)
def test_a_deployment_is_steady_when_it_has_one_replica_set(status: dict[str, Any], steady: bool) -> None:
    meta = {
        "name": "mail-worker",
        "namespace": "shop",
        "uid": "u",
        "resourceVersion": "7",
        "generation": 3,
        "ownerReferences": [{"uid": "other"}, {"uid": "job", "controller": True}],
    }
    seen = read_deployment({"metadata": meta, "spec": {"replicas": 2}, "status": status}, handed_over=True)
    assert (seen.steady, seen.owner, seen.replicas, seen.version) == (steady, "job", 2, "7")


def test_who_is_not_ready_goes_before_a_mark_counts() -> None:
    marked, busy, late = pod("marked", cost=-100), pod("busy"), pod("late", ready=False)
    assert [one.name for one in list_endangered([busy, marked], 1)] == ["marked"]
    assert [one.name for one in list_endangered([busy, marked, late], 1)] == ["late"]
    assert [one.name for one in list_endangered([busy, marked, late], 2)] == ["late", "marked"]


def test_the_order_is_that_of_kubernetes() -> None:
    pods = [
        pod("ready"),
        pod("cheap", cost=-5),
        pod("late", ready=False),
        pod("lost", phase="Unknown", ready=False),
        pod("pending", phase="Pending", ready=False),
        pod("nowhere", assigned=False, phase="Pending", ready=False),
    ]
    order = ["nowhere", "pending", "lost", "late", "cheap", "ready"]
    for count in range(1, 7):
        assert [one.name for one in list_endangered(pods, count)] == order[:count]


def test_of_equals_all_are_endangered() -> None:
    assert len(list_endangered([pod("a"), pod("b"), pod("c")], 1)) == 3
    assert list_endangered([pod("a")], 0) == []
    assert list_endangered([], 3) == []
    assert [one.name for one in list_endangered([pod("a")], 9)] == ["a"]


def test_who_leaves_is_not_counted() -> None:
    assert [one.name for one in list_present([pod("a", leaving=True), pod("b")])] == ["b"]
    assert list_endangered([pod("a", leaving=True, ready=False), pod("b", cost=-100), pod("c")], 1)[0].name == "b"
