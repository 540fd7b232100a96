"""What Kubernetes makes of a Deployment, played on a LocalCluster: pods that come and go, and a status that says so.

Whom it takes away it decides as Kubernetes 1.34 does: who has no node, who is pending, who is not ready, the lowest
pod-deletion-cost, the youngest. In a rollout (the template was changed) costs do not count, for there are two
ReplicaSets; it lasts until `finish_rollout`. A scale that came before the rollout is served before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from jetmill_operator.cluster.errors import AbsentError, ConflictError
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import DEPLOYMENT, POD, Body, Kind

MANAGER = "kube-controller-manager"
_COST = "controller.kubernetes.io/pod-deletion-cost"


class ReplicaSet:
    """All Deployments of one cluster. `on_start` and `on_stop` are told of pods, by name, as it happens."""

    def __init__(
        self,
        cluster: LocalCluster,
        *,
        on_start: Callable[[str], None] = lambda _: None,
        on_stop: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.frozen = False
        """The controller does nothing."""
        self.roomy = True
        """There is room for new pods; else they stay pending."""
        self._cluster = cluster
        self._on_start = on_start
        self._on_stop = on_stop
        self._count = 0
        self._templates: dict[str, Any] = {}
        self._rolling: set[str] = set()
        """Deployments whose rollout had begun when they were last looked at."""
        self._dirty = asyncio.Event()
        self._stop = cluster.watch(self._on_event)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                await self._dirty.wait()
                self._dirty.clear()
                for body in await self._cluster.list(DEPLOYMENT):
                    await self._reconcile(body)
        finally:
            self._stop()

    def poke(self) -> None:
        """Look again."""
        self._dirty.set()

    async def finish_rollout(self) -> None:
        """All pods are of the newest template."""
        for body in await self._cluster.list(DEPLOYMENT):
            self._templates[body["metadata"]["uid"]] = body["spec"]["template"]
        self.poke()

    async def set_ready(self, namespace: str, name: str, *, ready: bool) -> None:
        """What a kubelet says of a pod."""
        conditions = [{"type": "Ready", "status": str(ready)}, {"type": "PodScheduled", "status": "True"}]
        await self._report(namespace, name, {"phase": "Running", "conditions": conditions})

    def _on_event(self, kind: Kind, _: str, __: Body) -> None:
        if kind in (DEPLOYMENT, POD):
            self._dirty.set()

    async def _reconcile(self, deployment: Body) -> None:
        if self.frozen:
            return
        meta, spec = deployment["metadata"], deployment["spec"]
        rolling = self._templates.setdefault(meta["uid"], spec["template"]) != spec["template"]
        pods = await self._cluster.list(POD, namespace=meta["namespace"], labels=spec["selector"]["matchLabels"])
        surplus = len(pods) - spec["replicas"]
        mixed = rolling and meta["uid"] in self._rolling
        for pod in sorted(pods, key=_youngest if mixed else _in_order)[: max(0, surplus)]:
            await self._take_away(pod)
        for _ in range(-surplus):
            await self._add(deployment)
        (self._rolling.add if rolling else self._rolling.discard)(meta["uid"])
        pods = await self._cluster.list(POD, namespace=meta["namespace"], labels=spec["selector"]["matchLabels"])
        status = {
            "observedGeneration": meta["generation"],
            "replicas": len(pods),
            "updatedReplicas": 0 if rolling else len(pods),
            "readyReplicas": sum(map(_is_ready, pods)),
        }
        if deployment.get("status") != status:
            wanted = {**_bare(DEPLOYMENT, meta["namespace"], meta["name"]), "status": status}
            await self._cluster.apply(DEPLOYMENT, wanted, manager=MANAGER, subresource="status")

    async def _take_away(self, pod: Body) -> None:
        self._on_stop(pod["metadata"]["name"])
        await self._cluster.delete(POD, pod["metadata"]["namespace"], pod["metadata"]["name"])

    async def _add(self, deployment: Body) -> None:
        self._count += 1
        meta = deployment["metadata"]
        name = f"{meta['name']}-{self._count:03}"
        template = deployment["spec"]["template"]
        body = {
            **_bare(POD, meta["namespace"], name),
            "spec": {**template["spec"], **({"nodeName": "node-1"} if self.roomy else {})},
        }
        body["metadata"]["labels"] = dict(template["metadata"]["labels"])
        await self._cluster.create(POD, body, manager=MANAGER)
        if not self.roomy:
            said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            pod = await self._cluster.get(POD, meta["namespace"], name)
            assert pod is not None
            said["lastTransitionTime"] = pod["metadata"]["creationTimestamp"]
            await self._report(meta["namespace"], name, {"phase": "Pending", "conditions": [said]})
            return
        await self.set_ready(meta["namespace"], name, ready=True)
        self._on_start(name)

    async def _report(self, namespace: str, name: str, status: Body) -> None:
        try:
            wanted = {**_bare(POD, namespace, name), "status": status}
            await self._cluster.apply(POD, wanted, manager="kubelet", subresource="status")
        except (AbsentError, ConflictError):
            return


def _bare(kind: Kind, namespace: str, name: str) -> Body:
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"namespace": namespace, "name": name}}


def _is_ready(pod: Body) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _in_order(pod: Body) -> tuple[bool, bool, bool, int, int]:
    phase, cost = pod.get("status", {}).get("phase"), pod["metadata"].get("annotations", {}).get(_COST, "0")
    return (bool(pod["spec"].get("nodeName")), phase == "Running", _is_ready(pod), int(cost), _youngest(pod))


def _youngest(pod: Body) -> int:
    return -int(pod["metadata"]["name"].rpartition("-")[2])
