"""Webhooks from their declaration to their receiver: a cluster in memory, a reconciler, and a dispatcher if wanted."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from jetmill.bus.ports import Bus, Trunk
from jetmill.protocol.name import name_deliveries
from jetmill.protocol.record import JobSettings
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import WEBHOOK, Body, Key
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.event import Recorder
from jetmill_operator.reconcile.moment import Clock
from jetmill_operator.reconcile.status import StatusWriter
from jetmill_operator.reconcile.webhook import WebhookReconciler
from support.dispatch import Office
from support.site import Hands
from support.wait import eventually

NAME = "orders"


class Shelf:
    """Reconciles one Webhook when it is told to."""

    def __init__(self, trunk: Trunk, *, namespace: str, office: Office | None = None) -> None:
        self.namespace = namespace
        self.office = office
        self.passed_seconds = 0.0
        clock = Clock(monotonic=lambda: time.monotonic() + self.passed_seconds, now=self._now)
        self.cluster = LocalCluster(now=self._now)
        self.hands = Hands(self.cluster)
        self.buses = Buses(trunk, clock=clock)
        status = StatusWriter(self.hands, Recorder(self.hands, clock=clock), clock=clock)
        self.reconciler = WebhookReconciler(self.hands, self.buses, status=status, clock=clock)

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.passed_seconds)

    @property
    def bus(self) -> Bus:
        return self.buses.of(self.namespace)

    async def declare(self, url: str = "https://hooks.example.com/a", **spec: Any) -> None:
        """`kubectl apply`; returns once the dispatcher, if there is one, goes by it."""
        wanted = {
            "apiVersion": "jetmill.dev/v1alpha1",
            "kind": "Webhook",
            "metadata": {"name": NAME, "namespace": self.namespace},
            "spec": {"events": ["order.*"], "url": url, **spec},
        }
        await self.cluster.apply(WEBHOOK, wanted, manager="kubectl")
        await self.settle()
        settings = await self.settings()
        if self.office is not None and settings is not None:
            office = self.office
            await eventually(lambda: office.is_served(settings), what="the Webhook to be served")

    async def settle(self) -> float | None:
        """Reconcile until nothing is due at once; the seconds after which it wants to be looked at again."""
        for _ in range(20):
            again = await self.reconciler.reconcile(Key(WEBHOOK.name, self.namespace, NAME))
            if again is None or again.seconds > 0:
                return None if again is None else again.seconds
        raise AssertionError(f"no end: {self.hands.writes}")

    async def later(self, seconds: float = 11.0) -> float | None:
        """Let time pass, and reconcile."""
        self.passed_seconds += seconds
        return await self.settle()

    async def body(self) -> Body:
        body = await self.cluster.get(WEBHOOK, self.namespace, NAME)
        assert body is not None
        return body

    async def status(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.body()).get("status", {})
        return found

    async def conditions(self) -> dict[str, str]:
        found = (await self.status()).get("conditions", [])
        return {one["type"]: f"{one['status']} {one['reason']}" for one in found}

    async def message(self, kind: str = "Ready") -> str:
        found = (await self.status())["conditions"]
        return next(str(one["message"]) for one in found if one["type"] == kind)

    async def settings(self) -> JobSettings | None:
        return await self.bus.admin.settings(name_deliveries(NAME))
