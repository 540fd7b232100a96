"""A person at a cluster: what somebody does with kubectl, and sees."""

from __future__ import annotations

from itertools import count
from typing import Any

from jetmill_operator.cluster.kube import KubeCluster
from jetmill_operator.cluster.ports import JOB, Body, Kind
from support.declare import make_body
from support.wait import eventually

JOB_NAME = "send-email"
CHILD = "send-email-worker"


class Person:
    """What somebody does with kubectl, and sees."""

    def __init__(self, kube: KubeCluster, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace
        self._numbers = count(1)

    def count(self) -> int:
        """A number that was not used before."""
        return next(self._numbers)

    async def declare(self, name: str = JOB_NAME, **spec: Any) -> Body:
        body = make_body(name, **spec)
        body["metadata"] = {"name": name, "namespace": self.namespace}
        return await self.kube.apply(JOB, body, manager="kubectl")

    async def get(self, kind: Kind = JOB, name: str = JOB_NAME) -> Body | None:
        return await self.kube.get(kind, self.namespace, name)

    async def make(self, kind: Kind, name: str, **parts: Any) -> Body:
        """Create something that belongs to nobody else."""
        head = {"name": name, "namespace": self.namespace}
        body = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": head, **parts}
        return await self.kube.create(kind, body, manager="kubectl")

    async def read_conditions(self, name: str = JOB_NAME) -> dict[str, dict[str, str]]:
        """By type."""
        body = await self.get(JOB, name)
        return {one["type"]: one for one in ((body or {}).get("status") or {}).get("conditions") or []}

    async def conditions(self, name: str = JOB_NAME) -> dict[str, str]:
        """Status and reason, by type."""
        found = await self.read_conditions(name)
        return {kind: f"{one['status']} {one['reason']}" for kind, one in found.items()}

    async def sees(self, kind: str, wanted: str, name: str = JOB_NAME, *, seconds: float = 180) -> None:
        """Wait for a condition, said as status and reason."""

        async def look() -> bool:
            return (await self.conditions(name)).get(kind, "") == wanted

        try:
            await eventually(look, seconds=seconds, what=f"{kind} of {name} to be {wanted}")
        except AssertionError as err:
            raise AssertionError(f"{err}; {await self.conditions(name)}") from err

    async def observed(self, name: str = JOB_NAME) -> Body:
        """Wait until the status is of the newest generation."""

        async def look() -> Body | None:
            body = await self.get(JOB, name)
            seen = ((body or {}).get("status") or {}).get("observedGeneration")
            return body if body and seen == body["metadata"]["generation"] else None

        found: Body = await eventually(look, seconds=180, what=f"the newest generation of {name} to be observed")
        return found

    async def misses(self, kind: Kind, name: str = CHILD) -> None:
        """Wait until something is not there (any more)."""

        async def look() -> bool:
            return await self.get(kind, name) is None

        await eventually(look, seconds=180, what=f"{kind.name} {name} to be gone")
