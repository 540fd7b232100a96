"""What keeps workers from running, as real Deployments and pods of Kubernetes 1.34 say it."""

from __future__ import annotations

from typing import Any

import pytest

from jetmill_operator.policy.reason import Reason
from jetmill_operator.policy.worker import Problem, Workers, find_problem, read_workers


def make_deployment(*, replicas: int = 1, status: Any = None, **metadata: Any) -> Any:
    return {"metadata": {"name": "w", "generation": 1, **metadata}, "spec": {"replicas": replicas},
            "status": {"observedGeneration": 1, **(status or {})}}  # fmt: skip


def make_pod(*, waiting: Any = None, name: str = "w-1", conditions: Any = (), last: Any = None, **metadata: Any) -> Any:
    container: dict[str, Any] = {"name": "worker", "image": "shop:1", "state": {}}
    if waiting:
        container["state"]["waiting"] = waiting
    if last:
        container["lastState"] = {"terminated": last}
    return {
        "metadata": {"name": name, **metadata},
        "status": {"containerStatuses": [container], "conditions": list(conditions)},
    }


def fail(message: str) -> Any:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    return make_deployment(status={"conditions": [condition]})


ON_PODS = [
    ({"reason": "ErrImagePull", "message": "not found"}, None, Reason.IMAGE_PULL_FAILED, "imagePullSecrets"),
    ({"reason": "ImagePullBackOff"}, None, Reason.IMAGE_PULL_FAILED, "shop:1"),
    ({"reason": "CreateContainerConfigError", "message": 'secret "db" not found'}, None,
     Reason.REFERENCE_MISSING, "db"),
    ({"reason": "CreateContainerConfigError", "message": "couldn't find key pw in Secret shop/db"}, None,
     Reason.REFERENCE_MISSING, "pw"),
    ({"reason": "CreateContainerConfigError", "message": "container has runAsNonRoot and image will run as root"}, None,
     Reason.START_FAILED, "USER"),
    ({"reason": "RunContainerError", "message": 'exec: "jetmill": executable file not found in $PATH'}, None,
     Reason.START_FAILED, "worker image"),
    ({"reason": "CrashLoopBackOff"}, {"exitCode": 1, "reason": "Error"},
     Reason.CRASH_LOOPING, "kubectl logs --previous w-1"),
    ({"reason": "CrashLoopBackOff"}, {"exitCode": 137, "reason": "OOMKilled"}, Reason.OUT_OF_MEMORY, "limits.memory"),
]  # fmt: skip
ON_DEPLOYMENTS = [
    ('pods "w" is forbidden: exceeded quota: small, requested: cpu=1', Reason.QUOTA_EXCEEDED, "raise the quota"),
    ('pods "w" is forbidden: error looking up service account shop/m: serviceaccount "m" not found',
     Reason.SERVICE_ACCOUNT_MISSING, "create it"),
    ('pods "w" is forbidden: violates PodSecurity "restricted:latest": hostNetwork',
     Reason.POD_FORBIDDEN, "podTemplate"),
    ('admission webhook "x" denied the request', Reason.POD_FORBIDDEN, "policies"),
]  # fmt: skip


@pytest.mark.parametrize(("waiting", "last", "reason", "said"), ON_PODS)
def test_what_shows_on_a_pod_is_told_with_a_cure(waiting, last, reason, said) -> None:
    found = find_problem(make_deployment(), [make_pod(waiting=waiting, last=last)])
    assert found is not None
    assert found.reason is reason
    assert said in found.message


@pytest.mark.parametrize(("message", "reason", "said"), ON_DEPLOYMENTS)
def test_what_shows_on_the_deployment_is_told_with_a_cure(message, reason, said) -> None:
    found = find_problem(fail(message), [])
    assert found is not None
    assert found.reason is reason
    assert said in found.message


def test_no_room_in_the_cluster_is_told() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: cpu"}
    found = find_problem(make_deployment(), [make_pod(conditions=[condition])])
    assert found is not None
    assert found.reason is Reason.UNSCHEDULABLE


def test_a_deadline_that_passed_is_told_where_nothing_else_shows() -> None:
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "m"}
    found = find_problem(make_deployment(status={"conditions": [condition]}), [make_pod()])
    assert found is not None
    assert found.reason is Reason.NOT_PROGRESSING


@pytest.mark.parametrize("waiting", [{"reason": "ContainerCreating"}, {"reason": "PodInitializing"}, None])
def test_a_pod_on_its_way_is_no_problem(waiting) -> None:
    assert find_problem(make_deployment(), [make_pod(waiting=waiting)]) is None


def test_the_newest_pod_tells_and_one_that_leaves_does_not() -> None:
    old = make_pod(waiting={"reason": "CrashLoopBackOff"}, creationTimestamp="2026-01-01T00:00:00Z")
    new = make_pod(waiting={"reason": "ErrImagePull"}, creationTimestamp="2026-01-02T00:00:00Z", name="w-2")
    left = make_pod(waiting={"reason": "ErrImagePull"}, creationTimestamp="2026-01-03", deletionTimestamp="2026-01-03")
    found = find_problem(make_deployment(), [old, new, left])
    assert isinstance(found, Problem)
    assert "w-2" in found.message


def test_of_pods_made_in_one_second_the_one_that_changed_last_tells() -> None:
    moment = "2026-01-01T00:00:00Z"
    old = make_pod(waiting={"reason": "CrashLoopBackOff"}, creationTimestamp=moment, resourceVersion="99")
    new = make_pod(waiting={"reason": "ErrImagePull"}, creationTimestamp=moment, resourceVersion="101")
    for pods in ([old, new], [new, old]):
        problem = find_problem(make_deployment(), pods)
        assert problem is not None
        assert problem.reason == Reason.IMAGE_PULL_FAILED


def test_a_long_message_is_cut() -> None:
    found = find_problem(fail("x" * 5_000), [])
    assert found is not None
    assert len(found.message) < 500


@pytest.mark.parametrize(
    ("deployment", "workers"),
    [
        (None, None),
        (make_deployment(replicas=0), Workers(0, 0)),
        (make_deployment(replicas=3, status={"replicas": 3, "updatedReplicas": 3, "readyReplicas": 2}), Workers(3, 2)),
        (make_deployment(replicas=3, status={"replicas": 4, "updatedReplicas": 1}), Workers(3, 0, rolling=True)),
        (make_deployment(replicas=3, generation=2), Workers(3, 0, rolling=True)),
        (make_deployment(replicas=0, generation=2), Workers(0, 0)),
    ],
)
def test_workers_are_counted_as_the_deployment_says(deployment, workers) -> None:
    assert read_workers(deployment, []) == workers


def test_where_no_worker_is_wanted_there_is_no_problem() -> None:
    workers = read_workers(make_deployment(replicas=0), [make_pod(waiting={"reason": "ErrImagePull"})])
    assert workers == Workers(0, 0)
