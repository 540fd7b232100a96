"""What the cluster says of a Job, for `jetmill why NAME`: only where KUBECONFIG is set, or in a pod."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from jetmill.cli.cause import Cause

_SAID = {("Stalled", "True"), ("Reconciling", "True"), ("WorkersAvailable", "False"), ("ScalingLimited", "True")}
"""Conditions that keep jobs from running, or soon from running as many at once."""


async def find_causes(job: str, namespace: str) -> list[Cause]:
    """Read the Job and say what it says; raises ClusterError."""
    kubeconfig = os.environ.get("KUBECONFIG", "")
    if not kubeconfig and not os.environ.get("KUBERNETES_SERVICE_HOST"):
        return []
    from jetmill_operator.cluster.credential import find_credential
    from jetmill_operator.cluster.kube import KubeCluster
    from jetmill_operator.cluster.ports import JOB
    from jetmill_operator.cluster.rest import Rest

    async with Rest(find_credential(kubeconfig=kubeconfig), patience_seconds=2.0) as rest:
        body = await KubeCluster(rest).get(JOB, namespace, job)
    return [] if body is None else explain(body.get("status") or {})


def explain(status: Mapping[str, Any]) -> list[Cause]:
    """Turn conditions into causes, each reason once, and the last scaling decision beside them."""
    causes: dict[str, Cause] = {}
    for one in status.get("conditions") or ():
        if (one["type"], one["status"]) in _SAID:
            causes.setdefault(one["reason"], Cause(one["reason"], one["message"]))
    scaling = status.get("scaling")
    if causes and scaling:
        causes["scaling"] = Cause(
            "scaling", f"the autoscaler's last decision ({scaling['reason']}): {scaling['message']}"
        )
    return list(causes.values())
