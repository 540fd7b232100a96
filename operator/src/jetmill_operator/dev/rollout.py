"""Which pods a Deployment wants: what the Deployment and the ReplicaSet controllers do in a cluster. Pure.

```
 fewer than replicas ──▶ create
 more ──▶ delete: not ready first, then those with the lowest deletion cost, of these the youngest
 some of an older edition ──▶ one new ──ready──▶ one old goes ──▶ one new ──▶ …   (maxSurge 1, maxUnavailable 0)
```

An old worker leaves only once a new one is ready in its place, so code that does not even start never stops the jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jetmill_operator.cluster.ports import Body
from jetmill_operator.resources.label import fingerprint

EDITION = "pod-template-hash"
"""Label of a pod: of which template it was made; the name is Kubernetes' own."""
COST = "controller.kubernetes.io/pod-deletion-cost"
"""Annotation of a pod: those with less are deleted first."""


@dataclass(frozen=True, slots=True)
class PodSeen:
    """A pod, as its controller sees it."""

    name: str
    edition: str
    number: int = 0
    """Which pod it is, counted from the first one of this run."""
    ready: bool = False
    leaving: bool = False
    """It is being deleted: its worker drains."""
    cost: int = 0


@dataclass(frozen=True, slots=True)
class PodPlan:
    """The next step."""

    create: int = 0
    delete: tuple[str, ...] = ()


def name_edition(deployment: Body) -> str:
    """The edition that a Deployment wants now."""
    return fingerprint(deployment["spec"]["template"])


def is_ready(pod: Body) -> bool:
    """Tell whether a pod says that it is ready."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def read_pod(pod: Body, *, number: int) -> PodSeen:
    """Read what decides from a pod."""
    meta: Mapping[str, Any] = pod["metadata"]
    try:
        cost = int(meta.get("annotations", {}).get(COST, "0"))
    except ValueError:
        cost = 0
    return PodSeen(
        name=meta["name"],
        edition=meta.get("labels", {}).get(EDITION, ""),
        number=number,
        ready=is_ready(pod),
        leaving="deletionTimestamp" in meta,
        cost=cost,
    )


def plan_pods(replicas: int, edition: str, pods: Iterable[PodSeen]) -> PodPlan:
    """Plan a step towards `replicas` pods of an edition; an empty one where there is nothing to do, or to wait for."""
    staying = [pod for pod in pods if not pod.leaving]
    current = [pod for pod in staying if pod.edition == edition]
    old = [pod for pod in staying if pod.edition != edition]
    if old:
        return _plan_roll(replicas, current, old)
    if len(current) < replicas:
        return PodPlan(create=replicas - len(current))
    return PodPlan(delete=_choose(current, len(current) - replicas))


def _plan_roll(replicas: int, current: Sequence[PodSeen], old: Sequence[PodSeen]) -> PodPlan:
    idle = tuple(pod.name for pod in old if not pod.ready)
    if idle:  # they take no jobs, so nobody misses them
        return PodPlan(delete=idle)
    ready = sum(pod.ready for pod in current)
    if ready + len(old) > replicas:
        return PodPlan(delete=_choose(old, 1))
    return PodPlan(create=1) if ready == len(current) else PodPlan()


def _choose(pods: Iterable[PodSeen], count: int) -> tuple[str, ...]:
    order = sorted(pods, key=lambda pod: (pod.ready, pod.cost, -pod.number))
    return tuple(pod.name for pod in order[:count])


def build_status(deployment: Body, pods: Iterable[PodSeen]) -> dict[str, Any]:
    """The status of a Deployment, as its controller writes it."""
    staying = [pod for pod in pods if not pod.leaving]
    ready = sum(pod.ready for pod in staying)
    return {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": len(staying),
        "updatedReplicas": sum(pod.edition == name_edition(deployment) for pod in staying),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": max(0, deployment["spec"]["replicas"] - ready),
    }
