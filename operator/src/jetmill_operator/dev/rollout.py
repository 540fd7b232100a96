"""Which pods a Deployment wants: what the Deployment and the ReplicaSet controllers do in a cluster. Pure.

```
 fewer than replicas ──▶ create
 more ──▶ delete: not ready first, then those with the lowest deletion cost, of these the youngest
 some of an older edition ──▶ one new ──ready──▶ one old goes ──▶ one new ──▶ …   (maxSurge 1, maxUnavailable 0)
```

An old worker leaves only once a new one is ready in its place, so code that does not even start never stops the jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jetmill_operator.cluster.ports import Body
from jetmill_operator.policy.crew import PodSeen, rank, read_pod
from jetmill_operator.resources.label import fingerprint

EDITION = "pod-template-hash"
"""Label of a pod: of which template it was made; the name is Kubernetes' own."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A pod of a Deployment."""

    pod: PodSeen
    edition: str
    number: int = 0
    """Pods are counted as they come: the highest is the youngest."""


@dataclass(frozen=True, slots=True)
class PodPlan:
    """The next step."""

    create: int = 0
    delete: tuple[str, ...] = ()


def name_edition(deployment: Body) -> str:
    """The edition that a Deployment wants now."""
    return fingerprint(deployment["spec"]["template"])


def read_replica(body: Body, *, number: int) -> Replica:
    """Read a pod."""
    return Replica(read_pod(body), body["metadata"].get("labels", {}).get(EDITION, ""), number)


def plan_pods(replicas: int, edition: str, pods: Iterable[Replica]) -> PodPlan:
    """Plan a step towards `replicas` pods of an edition; an empty one where there is nothing to do, or to wait for."""
    staying = _list_staying(pods)
    current = [one for one in staying if one.edition == edition]
    old = [one for one in staying if one.edition != edition]
    if old:
        return _plan_roll(replicas, current, old)
    if len(current) < replicas:
        return PodPlan(create=replicas - len(current))
    return PodPlan(delete=_choose(current, len(current) - replicas))


def _plan_roll(replicas: int, current: Sequence[Replica], old: Sequence[Replica]) -> PodPlan:
    useless = tuple(one.pod.name for one in old if not one.pod.ready)
    if useless:  # they take no jobs, so nobody misses them
        return PodPlan(delete=useless)
    ready = sum(one.pod.ready for one in current)
    if ready + len(old) > replicas:
        return PodPlan(delete=_choose(old, 1))
    return PodPlan(create=1) if ready == len(current) else PodPlan()


def _choose(pods: Iterable[Replica], count: int) -> tuple[str, ...]:
    order = sorted(pods, key=lambda one: (rank(one.pod), -one.number))
    return tuple(one.pod.name for one in order[:count])


def _list_staying(pods: Iterable[Replica]) -> list[Replica]:
    return [one for one in pods if not one.pod.leaving]


def build_status(deployment: Body, pods: Iterable[Replica]) -> dict[str, Any]:
    """The status of a Deployment, as its controller writes it."""
    staying = _list_staying(pods)
    ready = sum(one.pod.ready for one in staying)
    return {
        "observedGeneration": deployment["metadata"]["generation"],
        "replicas": len(staying),
        "updatedReplicas": sum(one.edition == name_edition(deployment) for one in staying),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "unavailableReplicas": max(0, deployment["spec"]["replicas"] - ready),
    }
