"""A place where Jobs are reconciled: a cluster in memory, a bus, and everything between, driven step by step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from jetmill.bus.ports import Bus, Trunk
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import DEPLOYMENT, EVENT, JOB, OPERATOR, POD, Body, Cluster, Key, Kind
from jetmill_operator.reconcile.board import Board
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.deletion import Deletion
from jetmill_operator.reconcile.event import Recorder
from jetmill_operator.reconcile.index import JobIndex
from jetmill_operator.reconcile.job import JobReconciler
from jetmill_operator.reconcile.moment import Clock
from jetmill_operator.reconcile.queue import Again
from jetmill_operator.reconcile.route import route
from jetmill_operator.reconcile.status import StatusWriter
from jetmill_operator.resources.deployment import WorkerLink
from jetmill_operator.resources.label import name_child
from support.declare import NAMESPACE

TESTER = "tester"


T = TypeVar("T")


class CrashError(BaseException):
    """The process is gone; nothing catches it."""


class Hands(Cluster):
    """A cluster that counts writes, and dies after one of them."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.writes: list[str] = []
        self.die_after: int | None = None

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        return await self._cluster.get(kind, namespace, name)

    async def list(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Body]:
        return await self._cluster.list(kind, namespace=namespace, labels=labels)

    async def owners(self, kind: Kind, namespace: str, name: str, field: str) -> frozenset[str]:
        return await self._cluster.owners(kind, namespace, name, field)

    async def create(self, kind: Kind, body: Body, *, manager: str = OPERATOR) -> Body:
        return self._note(f"create {kind.name}", await self._cluster.create(kind, body, manager=manager))

    async def apply(
        self, kind: Kind, body: Body, *, manager: str, subresource: str = "", force: bool = True, dry_run: bool = False
    ) -> Body:
        done = await self._cluster.apply(
            kind, body, manager=manager, subresource=subresource, force=force, dry_run=dry_run
        )
        return self._note(f"apply {kind.name} {subresource}".strip(), done)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Body, *, manager: str = OPERATOR) -> Body:
        return self._note(
            f"patch {kind.name}", await self._cluster.patch(kind, namespace, name, patch, manager=manager)
        )

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        await self._cluster.delete(kind, namespace, name, uid=uid)
        self._note(f"delete {kind.name}", None)

    def _note(self, what: str, done: T) -> T:
        self.writes.append(what)
        if self.die_after is not None and len(self.writes) >= self.die_after:
            raise CrashError(what)
        return done


class Site:
    """Reconciles what happens in its cluster, when it is told to."""

    def __init__(self, trunk: Trunk, *, namespace: str = NAMESPACE, cluster: LocalCluster | None = None) -> None:
        self.namespace = namespace
        self.passed_seconds = 0.0
        clock = Clock(monotonic=lambda: time.monotonic() + self.passed_seconds, now=self._now)
        self.cluster = cluster or LocalCluster(now=self._now)
        self.hands = Hands(self.cluster)
        self.buses = Buses(trunk, clock=clock)
        self.index = JobIndex()
        self.due: set[Key] = set()
        self.again: dict[Key, float] = {}
        """What was asked to be looked at again, and after how long."""
        self.board = Board(self.due.add, clock=clock)
        recorder = Recorder(self.hands, clock=clock)
        status = StatusWriter(self.hands, recorder, clock=clock)
        deletion = Deletion(self.hands, self.buses, board=self.board, status=status, recorder=recorder, clock=clock)
        self.reconciler = JobReconciler(
            self.hands,
            self.buses,
            self.index,
            link=WorkerLink("nats://nats:4222"),
            board=self.board,
            status=status,
            deletion=deletion,
            clock=clock,
        )
        self.stop = self.cluster.watch(self._on_event)

    async def begin(self) -> None:
        """What a process does first: the first listing."""
        bodies = await self.cluster.list(JOB)
        self.index.fill(bodies)
        self.due.update(self.index.all())

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.passed_seconds)

    def _on_event(self, kind: Kind, event: str, body: Body) -> None:
        key = Key(kind.name, body["metadata"]["namespace"], body["metadata"]["name"])
        self.due |= {
            concerned
            for concerned in route(kind, key, None if event == "DELETED" else body, self.index)
            if concerned.kind == JOB.name
        }

    @property
    def bus(self) -> Bus:
        return self.buses.of(self.namespace)

    async def settle(self) -> int:
        """Reconcile until nothing is due at once; give how many passes that took."""
        passes = 0
        while True:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            if not self.due:
                return passes
            key = min(self.due)
            self.due.discard(key)
            passes += 1
            assert passes < 200, f"no end: {key} {self.hands.writes[-5:]}"
            result = await self.reconciler.reconcile(key)
            self.again.pop(key, None)
            if isinstance(result, Again):
                self.again[key] = result.seconds
                if result.seconds == 0.0:
                    self.due.add(key)

    async def later(self, seconds: float) -> int:
        """Let time pass, reconcile what asked for it, and settle."""
        self.passed_seconds += seconds
        self.due |= {key for key, after in self.again.items() if after <= seconds}
        return await self.settle()

    # What a person or the cluster does

    async def declare(self, body: Body) -> None:
        """`kubectl apply`."""
        wanted = {name: part for name, part in body.items() if name != "status"}
        meta = {name: value for name, value in body["metadata"].items() if name in ("name", "labels", "annotations")}
        wanted["metadata"] = {**meta, "namespace": self.namespace}
        await self.cluster.apply(JOB, wanted, manager="kubectl")

    async def job(self, name: str = "send-email") -> Body:
        body = await self.cluster.get(JOB, self.namespace, name)
        assert body is not None, f"no Job {name}"
        return body

    async def deployment(self, name: str = "send-email") -> Body | None:
        return await self.cluster.get(DEPLOYMENT, self.namespace, name_child(name))

    async def conditions(self, name: str = "send-email") -> dict[str, str]:
        found = (await self.job(name)).get("status", {}).get("conditions", [])
        return {one["type"]: f"{one['status']} {one['reason']}" for one in found}

    async def message(self, kind: str = "Ready", name: str = "send-email") -> str:
        found = (await self.job(name))["status"]["conditions"]
        return next(str(one["message"]) for one in found if one["type"] == kind)

    async def events(self) -> list[str]:
        return [f"{event['type']} {event['reason']}" for event in await self.cluster.list(EVENT)]

    async def scale(self, replicas: int, *, name: str = "send-email") -> None:
        """What the autoscaler does."""
        scale = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": name_child(name), "namespace": self.namespace},
            "spec": {"replicas": replicas},
        }
        await self.cluster.apply(DEPLOYMENT, scale, manager="jetmill-autoscaler", subresource="scale")

    async def report(self, *, name: str = "send-email", **status: Any) -> None:
        """What the cluster's own controllers say of a Deployment."""
        deployment = await self.deployment(name)
        assert deployment is not None
        meta = {"name": name_child(name), "namespace": self.namespace}
        said = {"observedGeneration": deployment["metadata"]["generation"], **status}
        wanted = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "status": said}
        await self.cluster.apply(DEPLOYMENT, wanted, manager="controller", subresource="status")

    async def add_pod(self, waiting: Mapping[str, str], *, job: str = "send-email") -> None:
        """A pod of the Job's workers that waits for something."""
        labels = {"jetmill.dev/job": job, "app.kubernetes.io/name": "jetmill-worker"}
        meta = {"name": f"{job}-worker-1", "namespace": self.namespace, "labels": labels}
        await self.cluster.create(POD, {"apiVersion": "v1", "kind": "Pod", "metadata": meta}, manager="controller")
        container = {"name": "worker", "image": "shop:1", "state": {"waiting": dict(waiting)}}
        wanted = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": meta["name"], "namespace": self.namespace}}
        said = {**wanted, "status": {"containerStatuses": [container]}}
        await self.cluster.apply(POD, said, manager="controller", subresource="status")


MakeSite = Callable[..., Site]
