"""The PodDisruptionBudget of a Job's workers, where the Job asks for one."""

from __future__ import annotations

from jetmill_operator.api.job import Job
from jetmill_operator.cluster.ports import BUDGET, Body
from jetmill_operator.resources.label import build_metadata, build_selector


def build_budget(job: Job, body: Body) -> Body | None:
    """Build it; None where none is wanted."""
    budget = job.spec.worker.disruption_budget
    if budget is None:
        return None
    return {
        "apiVersion": BUDGET.api_version,
        "kind": BUDGET.name,
        "metadata": build_metadata(body),
        "spec": {
            "maxUnavailable": budget.max_unavailable,
            "selector": {"matchLabels": build_selector(job.name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
