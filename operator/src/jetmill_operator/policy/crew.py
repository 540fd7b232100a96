"""The workers of a Job as the cluster has them: Deployment and pods, in the few fields that scaling goes by. Pure.

Which pods a ReplicaSet takes away is its own affair, and it asks nobody. It goes by this order (Kubernetes 1.34):

```
 no node yet ─▶ pending ─▶ unknown ─▶ not ready ─▶ lowest pod-deletion-cost ─▶ chance, as far as we are concerned
```

So a mark on a pod decides only among those that are ready, and only while there is but one ReplicaSet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Body = Mapping[str, Any]

COST = "controller.kubernetes.io/pod-deletion-cost"
"""Annotation on a pod: the lower, the sooner it is taken away; 0 where it is missing."""
MARK = "-100"
"""The cost of a pod that is to go."""
_PHASES = {"Pending": 0, "Unknown": 1}
_ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class PodSeen:
    """A worker's pod."""

    name: str
    uid: str
    ready: bool = False
    assigned: bool = True
    """It has a node."""
    phase: str = "Running"
    leaving: bool = False
    """It is being deleted, or has ended: nobody counts on it any more."""
    cost: int = 0
    marked: bool = False
    """It carries our mark."""
    homeless_since: datetime | None = None
    """Since when no node has had room for it."""


@dataclass(frozen=True, slots=True)
class DeploymentSeen:
    """The Deployment of a Job's workers."""

    name: str
    namespace: str
    uid: str
    version: str
    """Its resourceVersion."""
    owner: str
    """The uid of the Job that controls it; empty: nobody does."""
    replicas: int
    """How many are asked for."""
    ready: int = 0
    steady: bool = False
    """Its controller has seen its newest spec, and all its pods are of the newest template: there is one ReplicaSet."""
    handed_over: bool = False
    """Its replicas are the autoscaler's."""
    leaving: bool = False


def read_pod(body: Body) -> PodSeen:
    """Read a pod."""
    meta, status = body["metadata"], body.get("status", {})
    conditions = {one.get("type"): one for one in status.get("conditions") or ()}
    placed = conditions.get("PodScheduled", {})
    cost = str((meta.get("annotations") or {}).get(COST, "0"))
    phase = str(status.get("phase", "Pending"))
    return PodSeen(
        name=meta["name"],
        uid=meta["uid"],
        ready=conditions.get("Ready", {}).get("status") == "True",
        assigned=bool(body.get("spec", {}).get("nodeName")),
        phase=phase,
        leaving="deletionTimestamp" in meta or phase in _ENDED,
        cost=int(cost) if cost.removeprefix("-").isdecimal() else 0,
        marked=cost == MARK,
        homeless_since=_read_time(placed) if placed.get("reason") == "Unschedulable" else None,
    )


def read_deployment(body: Body, *, handed_over: bool) -> DeploymentSeen:
    """Read a Deployment."""
    meta, spec, status = body["metadata"], body.get("spec", {}), body.get("status", {})
    controllers = [one.get("uid", "") for one in meta.get("ownerReferences") or () if one.get("controller")]
    behind = int(status.get("observedGeneration", 0)) < int(meta.get("generation", 0))
    return DeploymentSeen(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
        version=meta["resourceVersion"],
        owner=controllers[0] if controllers else "",
        replicas=int(spec.get("replicas", 0)),
        ready=int(status.get("readyReplicas", 0)),
        steady=not behind and int(status.get("replicas", 0)) == int(status.get("updatedReplicas", 0)),
        handed_over=handed_over,
        leaving="deletionTimestamp" in meta,
    )


def list_present(pods: Sequence[PodSeen]) -> list[PodSeen]:
    """Those that a ReplicaSet counts."""
    return [pod for pod in pods if not pod.leaving]


def count_homeless(pods: Sequence[PodSeen], *, now: datetime, seconds: float) -> int:
    """Count the pods that no node has had room for, for so long."""
    since = [pod.homeless_since for pod in list_present(pods)]
    return sum(1 for one in since if one is not None and (now - one).total_seconds() >= seconds)


def rank(pod: PodSeen) -> tuple[bool, int, bool, int]:
    """The order in which a ReplicaSet takes pods away, lowest first; among equals it goes by what we cannot decide."""
    return (pod.assigned, _PHASES.get(pod.phase, 2), pod.ready, pod.cost)


def list_endangered(pods: Sequence[PodSeen], count: int) -> list[PodSeen]:
    """All of those that may be among the `count` pods which a ReplicaSet takes away."""
    present = sorted(list_present(pods), key=rank)
    if count <= 0 or not present:
        return []
    last = rank(present[min(count, len(present)) - 1])
    return [pod for pod in present if rank(pod) <= last]


def _read_time(condition: Body) -> datetime | None:
    try:
        return datetime.fromisoformat(str(condition.get("lastTransitionTime")))
    except ValueError:
        return None
