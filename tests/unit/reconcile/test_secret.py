"""Secrets that are copied, and those that are not."""

from __future__ import annotations

import pytest

from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import SECRET
from jetmill_operator.reconcile.secret import SecretCopier
from jetmill_operator.reconcile.settings import SecretCopy

COPY = SecretCopy("shop", "nats-shop", "nats-worker")


async def put(cluster: LocalCluster, namespace: str, name: str, value: str) -> None:
    meta = {"name": name, "namespace": namespace}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": {"password": value}}
    await cluster.apply(SECRET, body, manager="somebody")


@pytest.fixture
def copier(cluster: LocalCluster) -> SecretCopier:
    return SecretCopier(cluster, [COPY], namespace="jetmill")


async def test_a_secret_is_copied_once_and_again_when_it_changes(cluster, copier) -> None:
    await put(cluster, "jetmill", "nats-shop", "b25l")
    assert await copier.copy(COPY)
    assert not await copier.copy(COPY)
    await put(cluster, "jetmill", "nats-shop", "dHdv")
    assert await copier.copy(COPY)
    there = await cluster.get(SECRET, "shop", "nats-worker")
    assert there is not None
    assert there["data"] == {"password": "dHdv"}


async def test_a_secret_of_somebody_else_is_left_alone(cluster, copier) -> None:
    await put(cluster, "jetmill", "nats-shop", "b25l")
    await put(cluster, "shop", "nats-worker", "bWluZQ==")
    assert not await copier.copy(COPY)
    there = await cluster.get(SECRET, "shop", "nats-worker")
    assert there is not None
    assert there["data"] == {"password": "bWluZQ=="}


async def test_a_source_that_is_missing_is_no_failure(cluster, copier) -> None:
    assert not await copier.copy(COPY)
    assert await cluster.list(SECRET) == []
