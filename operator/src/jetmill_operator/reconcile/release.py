"""The end of an installation: nothing may be stuck for want of an operator (`jetmill release`, the chart's hook).

In order: the operator's Deployment goes to zero, and its pods are waited for, or it would put finalizers back; then
finalizers come off every object of our kinds; then what the operator made goes: workers' Deployments, their
PodDisruptionBudgets and ServiceAccounts, copies of Secrets, the Lease. What people declared stays, and its streams: an
operator that is installed again makes the workers anew. Each step may be done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from jetmill_operator.cluster.errors import AbsentError, ConflictError
from jetmill_operator.cluster.ports import (
    BUDGET,
    DEPLOYMENT,
    JOB,
    LEASE,
    OPERATOR,
    POD,
    SCHEDULED_JOB,
    SERVICE_ACCOUNT,
    WEBHOOK,
    Body,
    Cluster,
    Kind,
)
from jetmill_operator.reconcile.secret import SecretCopier
from jetmill_operator.resources.label import FINALIZER, MANAGED_BY, find_controller

DECLARED = (JOB, SCHEDULED_JOB, WEBHOOK)
MADE = (DEPLOYMENT, BUDGET, SERVICE_ACCOUNT)
_LOOK_SECONDS = 0.5
_TRIES = 5
"""How often a finalizer is tried to be taken off an object that others write to."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Installation:
    """The operator that is to go."""

    namespace: str
    deployment: str
    labels: Mapping[str, str]
    """What selects its pods."""
    lease: str
    """Its Lease."""


def without_finalizer(body: Body) -> Body | None:
    """The merge patch that takes our finalizer off, guarded by the resourceVersion; None: it is not there."""
    meta = body["metadata"]
    finalizers = meta.get("finalizers") or []
    if FINALIZER not in finalizers:
        return None
    left = [name for name in finalizers if name != FINALIZER]
    return {"metadata": {"finalizers": left or None, "resourceVersion": meta["resourceVersion"]}}


def is_made(body: Body) -> bool:
    """The operator made it, for an object of ours."""
    owner = find_controller(body)
    return owner is not None and str(owner.get("apiVersion", "")).startswith("jetmill.dev/")


async def release(cluster: Cluster, installation: Installation, copies: SecretCopier) -> None:
    """All of it; raises ClusterError. Waits for the operator's pods as long as it is let."""
    await stop_operator(cluster, installation)
    for kind in DECLARED:
        for body in await _list(cluster, kind):
            await take_off(cluster, kind, body)
    for kind in MADE:
        for body in await _list(cluster, kind, {MANAGED_BY: "jetmill"}):
            if is_made(body):
                meta = body["metadata"]
                await cluster.delete(kind, meta["namespace"], meta["name"], uid=meta["uid"])
                log.info("removed", kind=kind.name, namespace=meta["namespace"], name=meta["name"])
    await copies.remove()
    await cluster.delete(LEASE, installation.namespace, installation.lease)


async def stop_operator(cluster: Cluster, installation: Installation) -> None:
    """Scale its Deployment to zero and wait until its pods are gone."""
    scale = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": installation.deployment, "namespace": installation.namespace},
        "spec": {"replicas": 0},
    }
    try:
        await cluster.apply(DEPLOYMENT, scale, manager=OPERATOR, subresource="scale")
    except AbsentError:
        log.info("operator_absent", deployment=installation.deployment)
    while await _is_running(cluster, installation):  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(_LOOK_SECONDS)
    log.info("operator_stopped", deployment=installation.deployment)


async def take_off(cluster: Cluster, kind: Kind, body: Body) -> None:
    """Take our finalizer off one object, whatever others write to it meanwhile; ConflictError if they never stop."""
    meta = body["metadata"]
    found: Body | None = body
    for remaining in reversed(range(_TRIES)):
        patch = None if found is None else without_finalizer(found)
        if patch is None:
            return
        try:
            await cluster.patch(kind, meta["namespace"], meta["name"], patch)
        except AbsentError:
            return
        except ConflictError:
            if not remaining:
                raise
            found = await cluster.get(kind, meta["namespace"], meta["name"])
        else:
            log.info("released", kind=kind.name, namespace=meta["namespace"], name=meta["name"])
            return


async def _is_running(cluster: Cluster, installation: Installation) -> bool:
    """A pod of it is there, besides those that were evicted and are still listed."""
    pods = await cluster.list(POD, namespace=installation.namespace, labels=installation.labels)
    return any((pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed") for pod in pods)


async def _list(cluster: Cluster, kind: Kind, labels: Mapping[str, str] | None = None) -> Sequence[Body]:
    try:
        return await cluster.list(kind, labels=labels)
    except AbsentError:  # its definition is gone, and with it every object
        return ()
