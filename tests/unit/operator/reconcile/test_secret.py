"""Copies of Secrets: there where they are named, as their source is, and never over somebody else's."""

from __future__ import annotations

from typing import Any

import pytest

from jetmill.errors import ConfigError
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import SECRET, Body
from jetmill_operator.reconcile.secret import Copies, Copy, parse_copies, plan_copy

HOME = "jetmill"
COPY = Copy("shop", "worker-shop", "worker")


def secret(name: str, namespace: str, *, data: dict[str, str], labels: dict[str, str] | None = None) -> Body:
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}


async def data_of(cluster: LocalCluster, namespace: str = "shop", name: str = "worker") -> Any:
    found = await cluster.get(SECRET, namespace, name)
    return None if found is None else found["data"]


def test_the_list_of_copies_is_read() -> None:
    assert parse_copies("shop=worker-shop:worker, billing=worker.billing:worker,") == (
        COPY,
        Copy("billing", "worker.billing", "worker"),
    )
    assert parse_copies("") == ()


def test_every_entry_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="shop=worker, x is no"):
        parse_copies("shop=worker,a=b:c,x")


async def test_a_copy_follows_its_source_and_is_repaired() -> None:
    cluster = LocalCluster()
    await cluster.create(SECRET, secret("worker-shop", HOME, data={"user": "YQ=="}))
    copies = Copies(cluster, [COPY], home=HOME)
    await copies.apply()
    assert await data_of(cluster) == {"user": "YQ=="}
    await cluster.patch(SECRET, HOME, "worker-shop", {"data": {"user": "Yg=="}})
    await copies.apply()
    assert await data_of(cluster) == {"user": "Yg=="}
    await cluster.delete(SECRET, "shop", "worker")
    await copies.apply()
    assert await data_of(cluster) == {"user": "Yg=="}


async def test_a_second_look_writes_nothing() -> None:
    cluster = LocalCluster()
    await cluster.create(SECRET, secret("worker-shop", HOME, data={"user": "YQ=="}))
    copies = Copies(cluster, [COPY], home=HOME)
    await copies.apply()
    events: list[Any] = []
    cluster.watch(lambda *event: events.append(event))
    await copies.apply()
    assert events == []


async def test_a_secret_of_that_name_that_is_not_ours_is_left_alone() -> None:
    cluster = LocalCluster()
    await cluster.create(SECRET, secret("worker-shop", HOME, data={"user": "YQ=="}))
    await cluster.create(SECRET, secret("worker", "shop", data={"mine": "YQ=="}))
    copies = Copies(cluster, [COPY], home=HOME)
    await copies.apply()
    await copies.remove()
    assert await data_of(cluster) == {"mine": "YQ=="}


async def test_one_that_cannot_be_copied_holds_up_no_other() -> None:
    cluster = LocalCluster()
    await cluster.terminate("going")
    await cluster.create(SECRET, secret("worker-shop", HOME, data={"user": "YQ=="}))
    copies = Copies(cluster, [Copy("shop", "absent", "x"), Copy("going", "worker-shop", "worker"), COPY], home=HOME)
    await copies.apply()
    assert await data_of(cluster) == {"user": "YQ=="}


def test_what_is_equal_needs_nothing() -> None:
    source = secret("worker-shop", HOME, data={"user": "YQ=="})
    wanted = plan_copy(COPY, source=source, there=None)
    assert wanted is not None
    assert plan_copy(COPY, source=source, there=wanted) is None
    assert plan_copy(COPY, source={**source, "data": {"user": "Yg=="}}, there=wanted) is not None
