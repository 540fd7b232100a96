"""Copies the Secrets with which workers of other namespaces log in to NATS.

The operator reads only those that it is told of by name, in its own namespace, and writes only their copies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from jetmill_operator.cluster.errors import ClusterError, NotLeaderError
from jetmill_operator.cluster.ports import OPERATOR, SECRET, Body, Cluster
from jetmill_operator.reconcile.settings import SecretCopy
from jetmill_operator.resources.label import MANAGED_BY

INTERVAL_SECONDS = 30.0
_BY = "jetmill-operator"

log = structlog.get_logger("jetmill.operator")


class SecretCopier:
    """Keeps copies as their sources are."""

    def __init__(self, cluster: Cluster, copies: Iterable[SecretCopy], *, namespace: str) -> None:
        self._cluster = cluster
        self._copies = tuple(copies)
        self._namespace = namespace

    async def run(self) -> None:
        """Copy now and every half minute, until cancelled; NotLeaderError."""
        while self._copies:
            for copy in self._copies:
                try:
                    await self.copy(copy)
                except NotLeaderError:
                    raise
                except ClusterError as err:
                    log.warning("secret_not_copied", namespace=copy.namespace, name=copy.name, error=str(err))
            await asyncio.sleep(INTERVAL_SECONDS)
        await asyncio.Event().wait()

    async def copy(self, copy: SecretCopy) -> bool:
        """Copy one where it differs; tell whether it was written. A Secret of somebody else is left alone."""
        source = await self._cluster.get(SECRET, self._namespace, copy.source)
        if source is None:
            log.warning("secret_missing", namespace=self._namespace, name=copy.source)
            return False
        there = await self._cluster.get(SECRET, copy.namespace, copy.name)
        if there is not None and not _is_ours(there):
            log.warning("secret_is_foreign", namespace=copy.namespace, name=copy.name)
            return False
        if there is not None and there.get("data") == source.get("data"):
            return False
        body: Body = {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.name,
            "metadata": {"name": copy.name, "namespace": copy.namespace, "labels": {MANAGED_BY: _BY}},
            "type": source.get("type", "Opaque"),
            "data": dict(source.get("data") or {}),
        }
        await self._cluster.apply(SECRET, body, manager=OPERATOR, force=there is not None)
        log.info("secret_copied", namespace=copy.namespace, name=copy.name)
        return True

    async def remove(self) -> None:
        """Delete every copy that is ours; raises ClusterError."""
        for copy in self._copies:
            there = await self._cluster.get(SECRET, copy.namespace, copy.name)
            if there is not None and _is_ours(there):
                await self._cluster.delete(SECRET, copy.namespace, copy.name, uid=there["metadata"]["uid"])
                log.info("secret_removed", namespace=copy.namespace, name=copy.name)


def _is_ours(body: Body) -> bool:
    return (body["metadata"].get("labels") or {}).get(MANAGED_BY) == _BY
