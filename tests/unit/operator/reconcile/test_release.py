"""Before the chart goes: the operator stops first, nothing is stuck, what people declared stays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetmill.errors import ConfigError
from jetmill_operator.cluster.errors import ConflictError
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import DEPLOYMENT, JOB, LEASE, OPERATOR, POD, SECRET, WEBHOOK, Body, Kind
from jetmill_operator.reconcile.release import Installation, release, take_off, without_finalizer
from jetmill_operator.reconcile.secret import SecretCopier
from jetmill_operator.reconcile.settings import SecretCopy
from jetmill_operator.reconcile.uninstall import parse_selector
from jetmill_operator.resources.label import FINALIZER, MANAGED_BY
from support.wait import eventually, soon

pytestmark = pytest.mark.virtual_time

HOME = "jetmill"
COPY = SecretCopy("shop", "worker-shop", "worker")
INSTALLATION = Installation(HOME, "jetmill-operator", {"part": "operator"}, lease="jetmill-operator")


def body(kind: Kind, name: str, namespace: str = "shop", **metadata: Any) -> Body:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"name": name, "namespace": namespace, **metadata},
    }


def deployment(name: str, namespace: str = "shop", **metadata: Any) -> Body:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template, "replicas": 1}
    return {**body(DEPLOYMENT, name, namespace, **metadata), "spec": spec}


async def make_world() -> LocalCluster:
    cluster = LocalCluster()
    job = await cluster.create(JOB, body(JOB, "send-email", finalizers=[FINALIZER, "other/finalizer"]))
    await cluster.create(WEBHOOK, body(WEBHOOK, "hook"))
    owner = {"apiVersion": JOB.api_version, "kind": "Job", "name": "send-email", "uid": job["metadata"]["uid"]}
    ours = {MANAGED_BY: "jetmill"}
    await cluster.create(
        DEPLOYMENT,
        deployment("send-email-worker", labels=ours, ownerReferences=[{**owner, "controller": True}]),
    )
    await cluster.create(DEPLOYMENT, deployment("somebodys", labels=ours))
    await cluster.create(DEPLOYMENT, deployment("jetmill-operator", HOME))
    await cluster.create(SECRET, {**body(SECRET, "worker-shop", HOME), "data": {"user": "dQ=="}})
    return cluster


async def test_what_was_made_goes_and_what_was_declared_stays_free_of_finalizers() -> None:
    cluster = await make_world()
    copies = SecretCopier(cluster, [COPY], namespace=HOME)
    await copies.copy(COPY)
    await cluster.create(LEASE, body(LEASE, "jetmill-operator", HOME))
    assert await cluster.get(SECRET, "shop", "worker") is not None
    for _ in range(2):  # again is no harm
        await release(cluster, INSTALLATION, copies)
        operator = await cluster.get(DEPLOYMENT, HOME, "jetmill-operator")
        assert operator is not None
        assert operator["spec"]["replicas"] == 0
        job = await cluster.get(JOB, "shop", "send-email")
        assert job is not None
        assert job["metadata"]["finalizers"] == ["other/finalizer"]
        assert [one["metadata"]["name"] for one in await cluster.list(DEPLOYMENT, namespace="shop")] == ["somebodys"]
        assert await cluster.get(SECRET, "shop", "worker") is None
        assert await cluster.get(SECRET, HOME, "worker-shop") is not None
        assert await cluster.get(LEASE, HOME, "jetmill-operator") is None


async def test_no_finalizer_is_touched_while_the_operator_could_put_it_back() -> None:
    cluster = await make_world()
    await cluster.create(POD, body(POD, "operator-1", HOME, labels={"part": "operator"}))
    await cluster.create(POD, body(POD, "operator-0", HOME, labels={"part": "operator"}))
    evicted = {**body(POD, "operator-0", HOME), "status": {"phase": "Failed"}}
    await cluster.apply(POD, evicted, manager="kubelet", subresource="status")

    async def stopping() -> bool:
        operator = await cluster.get(DEPLOYMENT, HOME, "jetmill-operator")
        return operator is not None and operator["spec"]["replicas"] == 0

    ending = asyncio.create_task(release(cluster, INSTALLATION, SecretCopier(cluster, [], namespace=HOME)))
    await eventually(stopping)
    job = await cluster.get(JOB, "shop", "send-email")
    assert job is not None
    assert FINALIZER in job["metadata"]["finalizers"]
    await cluster.delete(POD, HOME, "operator-1")
    await soon(ending)


async def test_an_object_that_somebody_writes_to_meanwhile_is_tried_again() -> None:
    cluster = await make_world()
    stale = await cluster.get(JOB, "shop", "send-email")
    assert stale is not None
    await cluster.patch(JOB, "shop", "send-email", {"metadata": {"labels": {"a": "b"}}}, manager="somebody")
    with pytest.raises(ConflictError):
        await cluster.patch(JOB, "shop", "send-email", without_finalizer(stale) or {}, manager=OPERATOR)
    await take_off(cluster, JOB, stale)
    job = await cluster.get(JOB, "shop", "send-email")
    assert job is not None
    assert job["metadata"]["finalizers"] == ["other/finalizer"]
    assert job["metadata"]["labels"] == {"a": "b"}


async def test_a_namespace_without_anything_of_ours_is_no_trouble() -> None:
    cluster = LocalCluster()
    await release(cluster, INSTALLATION, SecretCopier(cluster, [COPY], namespace=HOME))


def test_a_selector_selects_something() -> None:
    assert parse_selector("a=b,c/d=e") == {"a": "b", "c/d": "e"}
    for text in ("", "a", "a=", "=b", "a=b,c"):
        with pytest.raises(ConfigError):
            parse_selector(text)
