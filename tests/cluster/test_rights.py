"""The operator with the rights that the chart grants, and not one more: all it does works, and all of them are used.

It is a process with the token of a ServiceAccount that is bound to the chart's roles; a proxy notes what it asks.
tests/chart/test_rbac.py holds the reason for each grant.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from factories import make_hint, make_presence
from jetmill.bus.ports import Bus
from jetmill_operator.cluster.credential import Credential
from jetmill_operator.cluster.errors import AbsentError
from jetmill_operator.cluster.kube import KubeCluster
from jetmill_operator.cluster.ports import (
    BUDGET,
    DEPLOYMENT,
    JOB,
    LEASE,
    POD,
    SCHEDULED_JOB,
    SECRET,
    SERVICE_ACCOUNT,
    WEBHOOK,
    Kind,
)
from jetmill_operator.cluster.rest import Rest
from jetmill_operator.resources.label import FINALIZER
from support.chart import Manifest, find, render
from support.faultproxy import FaultProxy
from support.nats import NatsServer
from support.operating import OperatorProcess
from support.person import CHILD, JOB_NAME, Person
from support.refusals import build_object
from support.right import Grant, forget_user, install, list_grants, read_used, request_token
from support.wait import eventually, soon

UNUSED: dict[Grant, str] = {
    ("jetmill.dev", "jobs/finalizers", "update"): "asked for by admission (OwnerReferencesPermissionEnforcement) alone",
    ("", "events", "patch"): "the same Event again is counted after ten minutes",
}
"""Granted, and not seen here: why."""
UNUSED_BY_CLEANUP: dict[Grant, str] = {
    **{
        ("jetmill.dev", kind, verb): "kinds to come have no finalizer yet"
        for kind in ("scheduledjobs", "webhooks")
        for verb in ("get", "patch")
    },
    ("jetmill.dev", "jobs", "get"): "somebody else writes to the Job in the same moment",
}
INSTALLED = ("ServiceAccount", "Role", "RoleBinding", "Secret")


@pytest.fixture
def manifests(namespace: str) -> list[Manifest]:
    """The chart, for a release that watches the test's own namespace, which is also its home."""
    return render({"watchNamespaces": [namespace], "namespaces": [{"name": namespace}]}, namespace=namespace)


@pytest.fixture
async def guarded(credential: Credential, tmp_path: Path) -> AsyncIterator[FaultProxy]:
    """A proxy that has no rights of its own."""
    async with FaultProxy.start(forget_user(tmp_path, credential), tmp_path) as proxy:
        yield proxy


def pick_environment(deployment: Manifest) -> dict[str, str]:
    """What the chart tells the operator about Secrets and its lease."""
    env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    names = {"JETMILL_WORKER_SECRET", "JETMILL_SECRET_NAMESPACES", "JETMILL_LEASE_NAME", "JETMILL_WATCH_NAMESPACES"}
    return {one["name"]: one["value"] for one in env if one["name"] in names}


Invite = Callable[[str], Awaitable[dict[str, str]]]


@pytest.fixture
async def invite(
    manifests: list[Manifest], kube: KubeCluster, rest: Rest, namespace: str, guarded: FaultProxy, nats: NatsServer
) -> Invite:
    """The chart is installed, without pods. Gives what a process is told that is one of its ServiceAccounts."""
    await install(
        kube, [one for one in manifests if one["kind"] in ("ServiceAccount", "Role", "RoleBinding", "Secret")]
    )
    deployment = find(manifests, "Deployment", "jetmill-operator")
    deployment["spec"]["replicas"] = 0
    await install(kube, [deployment])

    async def as_account(name: str) -> dict[str, str]:
        return {
            **pick_environment(deployment),
            "JETMILL_NATS_URL": nats.url,
            "KUBECONFIG": str(guarded.write_kubeconfig(token=await request_token(rest, namespace, name))),
            "JETMILL_POD_NAMESPACE": namespace,
        }

    return as_account


@pytest.fixture
async def process(tmp_path: Path, invite: Invite) -> AsyncIterator[OperatorProcess]:
    with OperatorProcess.start(tmp_path, await invite("jetmill-operator")) as process:
        yield process


class Workers:
    """Stands for kubelet and workers: pods that no node has are made ready, and each has a worker that drains."""

    def __init__(self, person: Person, bus: Bus) -> None:
        self._person = person
        self._bus = bus

    async def live(self) -> None:
        """Until cancelled."""
        while True:
            for pod in await self._person.kube.list(POD):
                await self._serve(pod["metadata"]["name"])
            await asyncio.sleep(0.3)

    async def _serve(self, name: str) -> None:
        await self._bus.presence.put(make_presence(f"worker-{name}", pod=name, draining=True), ttl_seconds=30)
        head = {"name": name, "namespace": self._person.namespace}
        conditions = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": head, "status": {"conditions": conditions}}
        with suppress(AbsentError):  # taken away meanwhile
            await self._person.kube.apply(POD, body, manager="kubelet", subresource="status")


async def live_through_everything(person: Person, bus: Bus) -> None:
    """A Job's life with all that can come with it."""
    nowhere = {"image": "shop:1", "nodeSelector": {"no": "where"}}
    more = {"serviceAccount": {"create": True}, "disruptionBudget": {"maxUnavailable": 1}}
    scaling = {"minReplicas": 2, "maxReplicas": 2, "cooldownSeconds": 0}
    await person.declare(worker={**nowhere, **more}, scaling=scaling, deletionPolicy="Delete")
    workers = asyncio.create_task(Workers(person, bus).live())
    try:
        await person.sees("Ready", "True Serving")
        await person.declare(worker=nowhere, scaling={**scaling, "minReplicas": 0}, deletionPolicy="Delete")
        await person.observed()
        for kind in (SERVICE_ACCOUNT, BUDGET):
            await person.misses(kind)
        await eventually(lambda: _has_fewer(person), seconds=180, what="a worker to be taken away")
    finally:
        workers.cancel()
        with suppress(asyncio.CancelledError):
            await workers
    await person.kube.delete(DEPLOYMENT, person.namespace, CHILD)  # which comes again
    await eventually(lambda: person.get(DEPLOYMENT, CHILD), what="the Deployment to be made again")
    await bus.queue.publish(make_hint())
    await person.kube.delete(JOB, person.namespace, JOB_NAME)
    await person.misses(JOB, JOB_NAME)
    await person.declare("carrier")
    await person.declare("rider")
    await person.sees("Ready", "True ScaledToZero", "rider")
    await person.declare("rider", worker={"from": {"name": "carrier"}})
    await person.misses(DEPLOYMENT, "rider-worker")


async def _has_fewer(person: Person) -> bool:
    deployment = await person.get(DEPLOYMENT, CHILD)
    return deployment is not None and deployment["spec"]["replicas"] < 2


async def declare_the_others(person: Person) -> None:
    """Kinds to come have a status as well."""
    for kind in (SCHEDULED_JOB, WEBHOOK):
        body = build_object(kind.name, {})
        name = body["metadata"]["name"]
        body["metadata"]["namespace"] = person.namespace
        await person.kube.apply(kind, body, manager="kubectl")
        await eventually(partial(_has_conditions, person, kind, name), what=f"a status of {kind.name} {name}")


async def _has_conditions(person: Person, kind: Kind, name: str) -> bool:
    body = await person.get(kind, name)
    return bool((body or {}).get("status", {}).get("conditions"))


async def test_all_that_is_used_is_granted_and_all_that_is_granted_is_used(
    process: OperatorProcess, guarded: FaultProxy, person: Person, bus: Bus, manifests: list[Manifest]
) -> None:
    await process.ready()
    await live_through_everything(person, bus)
    await declare_the_others(person)
    await eventually(lambda: person.get(SECRET, "jetmill-nats-worker"), what="a copy of the workers' login")
    compare(guarded, manifests, "jetmill-operator", unused=UNUSED)
    assert "orbidden" not in process.log


def compare(proxy: FaultProxy, manifests: list[Manifest], account: str, *, unused: Mapping[Grant, str]) -> None:
    """Hold what was asked against the roles of a ServiceAccount."""
    used = read_used(proxy)
    granted = list_grants(find(manifests, "Role", account)) | list_grants(find(manifests, "Role", f"{account}-watch"))
    assert used.refused == ()
    assert sorted(used.grants - granted) == []
    assert sorted(granted - used.grants - set(unused)) == []
    print(f"\n{len(proxy.answers)} requests used {len(used.grants)} of {len(granted)} grants")


async def test_the_clean_up_has_the_rights_that_it_uses_and_leaves_only_what_was_declared(
    process: OperatorProcess, guarded: FaultProxy, person: Person, invite: Invite, manifests: list[Manifest]
) -> None:
    await process.ready()
    worker = {"image": "shop:1", "serviceAccount": {"create": True}, "disruptionBudget": {"maxUnavailable": 1}}
    await person.declare(worker=worker, deletionPolicy="Delete")
    await person.sees("Ready", "True ScaledToZero")
    await declare_the_others(person)
    await eventually(lambda: person.get(SECRET, "jetmill-nats-producer"), what="a copy of the producers' login")
    process.send(signal.SIGTERM)
    assert await process.wait() == 0
    guarded.answers.clear()
    hook = find(manifests, "Job", "jetmill-cleanup")["spec"]["template"]["spec"]["containers"][0]
    words = [*hook["command"], *hook.get("args", [])]
    assert words[0] == "jetmill"
    environ = {**os.environ, **await invite("jetmill-cleanup")}
    ran = await asyncio.create_subprocess_exec(sys.executable, "-m", *words, env=environ)
    assert await soon(ran.wait(), seconds=180) == 0
    compare(guarded, manifests, "jetmill-cleanup", unused=UNUSED_BY_CLEANUP)
    body = await person.get()
    assert body is not None
    assert FINALIZER not in body["metadata"].get("finalizers", ())
    for kind in (DEPLOYMENT, SERVICE_ACCOUNT, BUDGET):
        await person.misses(kind)
    for kind, name in ((SECRET, "jetmill-nats-worker"), (SECRET, "jetmill-nats-producer"), (LEASE, "jetmill-operator")):
        assert await person.get(kind, name) is None
