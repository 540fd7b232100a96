"""What only the twin has: it tells of changes, and takes its uids and its clock from whoever wants to know them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import JOB, OPERATOR, SECRET, Body, EventType, Kind


def make(kind: Kind = SECRET, name: str = "one", *, namespace: str = "shop", **metadata: Any) -> Body:
    head = {"name": name, "namespace": namespace, **metadata}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": head}


async def test_each_change_is_told_in_order_and_what_changes_nothing_is_not() -> None:
    cluster, told = LocalCluster(), list[tuple[str, str]]()
    end = cluster.watch(lambda _kind, event, body: told.append((event, body["metadata"]["name"])))
    await cluster.apply(SECRET, make(), manager=OPERATOR)
    await cluster.apply(SECRET, make(), manager=OPERATOR)
    await cluster.apply(SECRET, make(labels={"a": "1"}), manager=OPERATOR)
    await cluster.delete(SECRET, "shop", "one")
    assert told == []  # not from within the writes
    await asyncio.sleep(0)
    assert told == [("ADDED", "one"), ("MODIFIED", "one"), ("DELETED", "one")]
    end()
    await cluster.apply(SECRET, make(), manager=OPERATOR)
    await asyncio.sleep(0)
    assert len(told) == 3


async def test_a_listener_may_do_with_a_body_what_it_likes() -> None:
    cluster, told = LocalCluster(), list[Body]()

    def spoil(_kind: Kind, _event: EventType, body: Body) -> None:
        body["metadata"].clear()
        told.append(body)

    cluster.watch(spoil)
    await cluster.apply(SECRET, make(), manager=OPERATOR)
    await asyncio.sleep(0)
    assert told[0]["metadata"] == {}
    assert await cluster.get(SECRET, "shop", "one") is not None


async def test_it_looks_into_its_own_namespaces() -> None:
    cluster = LocalCluster(namespaces=("shop", "bank"))
    for namespace in ("shop", "bank", "other"):
        await cluster.apply(SECRET, make(namespace=namespace), manager=OPERATOR)
    assert [body["metadata"]["namespace"] for body in await cluster.list(SECRET)] == ["bank", "shop"]
    assert len(await cluster.list(SECRET, namespace="other")) == 1
    assert len(await LocalCluster().list(SECRET)) == 0


async def test_uids_and_times_can_be_given() -> None:
    cluster = LocalCluster(
        now=lambda: datetime(2026, 6, 1, 12, tzinfo=UTC), new_uid=lambda kind, *place: "/".join((kind.name, *place))
    )
    body = await cluster.apply(JOB, make(JOB), manager=OPERATOR)
    assert body["metadata"]["uid"] == "Job/shop/one"
    assert body["metadata"]["creationTimestamp"] == "2026-06-01T12:00:00Z"


async def test_grandchildren_follow_too() -> None:
    cluster = LocalCluster()
    owners: list[Body] = []
    for name in ("one", "two", "three"):
        body = await cluster.apply(SECRET, make(name=name, ownerReferences=owners), manager=OPERATOR)
        owners = [{"uid": body["metadata"]["uid"]}]
    await cluster.delete(SECRET, "shop", "one")
    for _ in range(5):
        await asyncio.sleep(0)
    assert await cluster.list(SECRET) == []
