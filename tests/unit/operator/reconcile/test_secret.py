"""Copies of Secrets: there where they are named, as their source is, and never over somebody else's."""

from __future__ import annotations

from typing import Any

from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import SECRET, Body
from jetmill_operator.reconcile.secret import SecretCopier
from jetmill_operator.reconcile.settings import SecretCopy

HOME = "jetmill"
COPY = SecretCopy("shop", "worker-shop", "worker")


def secret(name: str, namespace: str, *, data: dict[str, str], labels: dict[str, str] | None = None) -> Body:
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}


async def data_of(cluster: LocalCluster, namespace: str = "shop", name: str = "worker") -> Any:
    found = await cluster.get(SECRET, namespace, name)
    return None if found is None else found["data"]


async def test_a_copy_follows_its_source_and_is_repaired() -> None:
    cluster = LocalCluster()
    await cluster.create(SECRET, secret("worker-shop", HOME, data={"user": "YQ=="}))
    copies = SecretCopier(cluster, [COPY], namespace=HOME)
    await copies.copy(COPY)
    assert await data_of(cluster) == {"user": "YQ=="}
    await cluster.patch(SECRET, HOME, "worker-shop", {"data": {"user": "Yg=="}})
    await copies.copy(COPY)
    assert await data_of(cluster) == {"user": "Yg=="}
    await cluster.delete(SECRET, "shop", "worker")
    await copies.copy(COPY)
    assert await data_of(cluster) == {"user": "Yg=="}


async def test_a_second_look_writes_nothing() -> None:
    cluster = LocalCluster()
    await cluster.create(SECRET, secret("worker-shop", HOME, data={"user": "YQ=="}))
    copies = SecretCopier(cluster, [COPY], namespace=HOME)
    await copies.copy(COPY)
    events: list[Any] = []
    cluster.watch(lambda *event: events.append(event))
    await copies.copy(COPY)
    assert events == []


async def test_a_secret_of_that_name_that_is_not_ours_is_left_alone() -> None:
    cluster = LocalCluster()
    await cluster.create(SECRET, secret("worker-shop", HOME, data={"user": "YQ=="}))
    await cluster.create(SECRET, secret("worker", "shop", data={"mine": "YQ=="}))
    copies = SecretCopier(cluster, [COPY], namespace=HOME)
    await copies.copy(COPY)
    await copies.remove()
    assert await data_of(cluster) == {"mine": "YQ=="}
