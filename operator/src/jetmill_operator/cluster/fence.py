"""No write by who leads no more: the lease is asked before each write, and again right before its bytes leave.

A process can be stopped for longer than its lease lasts (SIGSTOP, a frozen virtual machine) and go on in the middle of
anything: in a retry's wait, in the wait for a connection. So an adapter that waits asks `check_fence` at the last
moment, for each attempt anew; the fence that stands is the one of the surrounding `FencedCluster` call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from jetmill_operator.cluster.ports import OPERATOR, Body, Cluster, Kind

_fence: ContextVar[Callable[[], float] | None] = ContextVar("fence", default=None)


class Fence(Protocol):
    """What may forbid to write."""

    def require(self) -> float:
        """Seconds for which this process may still write; NotLeaderError if it may not now."""
        ...


def check_fence() -> float:
    """Give the seconds for which this call may still write, infinite without a fence; NotLeaderError if it may not."""
    require = _fence.get()
    return require() if require is not None else math.inf


@contextmanager
def _standing(fence: Fence) -> Iterator[None]:
    fence.require()
    token = _fence.set(fence.require)
    try:
        yield
    finally:
        _fence.reset(token)


class FencedCluster:
    """A `Cluster` that writes only while the fence allows it; reads pass."""

    def __init__(self, cluster: Cluster, fence: Fence) -> None:
        self._cluster = cluster
        self._fence = fence

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """See `Cluster.get`."""
        return await self._cluster.get(kind, namespace, name)

    async def list(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Body]:
        """See `Cluster.list`."""
        return await self._cluster.list(kind, namespace=namespace, labels=labels)

    async def owners(self, kind: Kind, namespace: str, name: str, field: str) -> frozenset[str]:
        """See `Cluster.owners`."""
        return await self._cluster.owners(kind, namespace, name, field)

    async def create(self, kind: Kind, body: Body, *, manager: str = OPERATOR) -> Body:
        """See `Cluster.create`; NotLeaderError."""
        with _standing(self._fence):
            return await self._cluster.create(kind, body, manager=manager)

    async def apply(
        self, kind: Kind, body: Body, *, manager: str, subresource: str = "", force: bool = True, dry_run: bool = False
    ) -> Body:
        """See `Cluster.apply`; NotLeaderError."""
        with _standing(self._fence):
            return await self._cluster.apply(
                kind, body, manager=manager, subresource=subresource, force=force, dry_run=dry_run
            )

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Body, *, manager: str = OPERATOR) -> Body:
        """See `Cluster.patch`; NotLeaderError."""
        with _standing(self._fence):
            return await self._cluster.patch(kind, namespace, name, patch, manager=manager)

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        """See `Cluster.delete`; NotLeaderError."""
        with _standing(self._fence):
            await self._cluster.delete(kind, namespace, name, uid=uid)
