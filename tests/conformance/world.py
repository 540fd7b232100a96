"""The adapters of `Cluster` that the suite runs on: the twin in memory, and a real API server."""

from __future__ import annotations

from typing import Any

from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import DEPLOYMENT, OPERATOR, Body, Cluster, Kind
from support.kube import NAMESPACE, PROBE


class World:
    """A namespace on the adapter under test."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def body(self, kind: Kind = PROBE, name: str = "one", *, metadata: Body | None = None, **parts: Any) -> Body:
        head = {"name": name, "namespace": self.namespace, **(metadata or {})}
        return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": head, **parts}

    def deployment(self, *, replicas: int | None = None, **container: Any) -> Body:
        labels = {"app": "one"}
        pod = {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "worker", "image": "busybox:1.35", **container}]},
        }
        spec: Body = {"selector": {"matchLabels": labels}, "template": pod}
        return self.body(DEPLOYMENT, spec={**spec, **({} if replicas is None else {"replicas": replicas})})

    async def apply(self, body: Body, kind: Kind = PROBE, *, manager: str = OPERATOR, **how: Any) -> Body:
        return await self.cluster.apply(kind, body, manager=manager, **how)

    async def now(self, kind: Kind = PROBE, name: str = "one") -> Body:
        body = await self.cluster.get(kind, self.namespace, name)
        assert body is not None
        return body

    async def terminate(self) -> None:
        """Begin to delete the namespace."""
        if isinstance(self.cluster, LocalCluster):
            await self.cluster.terminate(self.namespace)
        else:
            await self.cluster.delete(NAMESPACE, "", self.namespace)


def version(body: Body) -> str:
    return str(body["metadata"]["resourceVersion"])
