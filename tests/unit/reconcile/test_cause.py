"""What the cluster says of a Job, as `jetmill why` shows it."""

from __future__ import annotations

from jetmill_operator.policy.condition import Scaling, View, build_status
from jetmill_operator.policy.reason import Reason
from jetmill_operator.policy.worker import Problem, Workers
from jetmill_operator.reconcile.cause import explain, find_causes

NOON = "2026-01-31T12:00:00Z"


def explain_view(view: View) -> dict[str, str]:
    return {cause.code: cause.text for cause in explain(build_status(view, {}, now=NOON))}


def test_a_job_that_is_well_has_no_cause() -> None:
    assert explain_view(View(generation=1, workers=Workers(2, 2), scaling=Scaling(2, "Steady", "2", NOON))) == {}
    assert explain({}) == []


def test_each_problem_is_said_once_with_the_last_scaling_decision() -> None:
    pull = Problem(Reason.IMAGE_PULL_FAILED, "image shop:1 cannot be pulled (look at worker.image)")
    workers = Workers(1, 0, problem=pull)
    causes = explain_view(View(generation=1, workers=workers, scaling=Scaling(1, "Woken", "0 → 1", NOON)))
    assert causes == {"ImagePullFailed": pull.message, "scaling": "the autoscaler's last decision (Woken): 0 → 1"}


def test_a_conflict_is_not_said_three_times() -> None:
    stalled = Problem(Reason.CONFLICT, "it is taken")
    assert explain_view(View(generation=1, stalled=stalled)) == {"Conflict": "it is taken"}


async def test_without_a_cluster_nothing_is_asked(monkeypatch) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    assert await find_causes("send-email", "shop") == []
