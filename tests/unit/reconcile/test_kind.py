"""Kinds that are kept and not obeyed yet say so, once."""

from __future__ import annotations

import pytest

from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import EVENT, WEBHOOK, Key
from jetmill_operator.reconcile.event import Recorder
from jetmill_operator.reconcile.kind import LaterReconciler
from jetmill_operator.reconcile.status import StatusWriter

CONDITION = ("type", "status", "reason", "message", "lastTransitionTime", "observedGeneration")


@pytest.mark.field("*.status.observedGeneration", *(f"*.status.conditions.{name}" for name in CONDITION))
@pytest.mark.parametrize("kind", [WEBHOOK])
async def test_a_kind_to_come_is_ready_unknown_and_written_once(cluster: LocalCluster, hand, kind) -> None:
    body = {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"name": "x", "namespace": "shop"},
        "spec": {},
    }
    await cluster.create(kind, body)
    status = StatusWriter(cluster, Recorder(cluster, clock=hand.clock), clock=hand.clock)
    reconciler = LaterReconciler(kind, cluster, status=status, clock=hand.clock)
    key = Key(kind.name, "shop", "x")
    assert await reconciler.reconcile(key) is None
    there = await cluster.get(kind, "shop", "x")
    assert there is not None
    [condition] = there["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Ready", "Unknown", "NotObeyed")
    assert kind.name in condition["message"]
    assert condition["lastTransitionTime"] == hand.clock.stamp()
    assert condition["observedGeneration"] == there["metadata"]["generation"]
    assert there["status"]["observedGeneration"] == there["metadata"]["generation"]
    hand.seconds += 60
    await reconciler.reconcile(key)
    assert await cluster.get(kind, "shop", "x") == there
    assert await cluster.list(EVENT) == []


async def test_one_that_has_gone_or_goes_is_let_be(cluster: LocalCluster, hand) -> None:
    status = StatusWriter(cluster, Recorder(cluster, clock=hand.clock), clock=hand.clock)
    reconciler = LaterReconciler(WEBHOOK, cluster, status=status, clock=hand.clock)
    assert await reconciler.reconcile(Key("Webhook", "shop", "x")) is None
