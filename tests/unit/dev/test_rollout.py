"""Pods come and go as a Deployment's controllers would have it: one at a time in a rollout, the useless first."""

from __future__ import annotations

import pytest

from jetmill_operator.cluster.ports import Body
from jetmill_operator.dev.rollout import PodPlan, Replica, build_status, name_edition, plan_pods
from jetmill_operator.policy.crew import PodSeen


def make_replica(
    name: str, edition: str = "new", *, ready: bool = True, leaving: bool = False, cost: int = 0
) -> Replica:
    pod = PodSeen(name, uid=name, ready=ready, leaving=leaving, cost=cost)
    return Replica(pod, edition, number=int(name[1:]))


PLANS = {
    "from zero": (2, [], PodPlan(create=2)),
    "as many as are wanted": (1, [make_replica("a1")], PodPlan()),
    "one that leaves is none": (1, [make_replica("a1", leaving=True)], PodPlan(create=1)),
    "too many: the youngest": (1, [make_replica("a1"), make_replica("a2")], PodPlan(delete=("a2",))),
    "too many: the marked one": (1, [make_replica("a1", cost=-100), make_replica("a2")], PodPlan(delete=("a1",))),
    "too many: who is not ready before who is marked": (
        *(1, [make_replica("a1", cost=-100), make_replica("a2", ready=False)]),
        PodPlan(delete=("a2",)),
    ),
    "rollout: a new one first": (1, [make_replica("a1", "old")], PodPlan(create=1)),
    "rollout: nobody goes before the new one is ready": (
        *(1, [make_replica("a1", "old"), make_replica("a2", ready=False)]),
        PodPlan(),
    ),
    "rollout: an old one goes": (1, [make_replica("a1", "old"), make_replica("a2")], PodPlan(delete=("a1",))),
    "rollout: one at a time": (
        *(3, [make_replica("a1", "old"), make_replica("a2", "old"), make_replica("a3", "old"), make_replica("a4")]),
        PodPlan(delete=("a3",)),
    ),
    "rollout: an old one that serves nobody goes at once": (
        *(2, [make_replica("a1", "old"), make_replica("a2", "old", ready=False)]),
        PodPlan(delete=("a2",)),
    ),
    "rollout to zero": (0, [make_replica("a1", "old")], PodPlan(delete=("a1",))),
}


@pytest.mark.parametrize(("replicas", "pods", "plan"), PLANS.values(), ids=PLANS)
def test_a_step_towards_what_is_wanted(replicas, pods, plan):
    assert plan_pods(replicas, "new", pods) == plan


@pytest.mark.parametrize("replicas", [0, 1, 3])
def test_a_rollout_ends_and_never_has_fewer_ready_workers_than_before(replicas):
    pods = {f"a{number}": make_replica(f"a{number}", "old") for number in range(replicas)}
    for step in range(20):
        plan = plan_pods(replicas, "new", pods.values())
        if plan == PodPlan():
            break
        for name in plan.delete:
            del pods[name]
        for number in range(plan.create):
            pods[name] = make_replica(name := f"a{10 + 10 * step + number}")
        assert replicas <= len(pods) <= replicas + 1
    assert [one.edition for one in pods.values()] == ["new"] * replicas


def make_deployment(**template: object) -> Body:
    return {"metadata": {"generation": 4}, "spec": {"replicas": 2, "template": {"metadata": {}, **template}}}


def test_an_edition_changes_with_the_template_alone():
    one, other = make_deployment(), make_deployment(spec={})
    assert name_edition(one) == name_edition({**one, "metadata": {}}) != name_edition(other)


def test_the_status_counts_those_that_stay():
    deployment = make_deployment()
    edition = name_edition(deployment)
    pods = [make_replica("a1", edition), make_replica("a2", "old"), make_replica("a3", edition, leaving=True)]
    assert build_status(deployment, pods) == {
        "observedGeneration": 4,
        "replicas": 2,
        "updatedReplicas": 1,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "unavailableReplicas": 0,
    }
