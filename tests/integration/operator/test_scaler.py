"""The autoscaler on a real nats-server and with real workers' presences, over a cluster in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from factories import make_hint
from jetmill.bus.connect import BusOptions, connect_trunk
from jetmill.bus.ports import Bus, Trunk
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import DEPLOYMENT, JOB
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.metric import Metrics
from jetmill_operator.reconcile.scaler import Scaler
from jetmill_operator.reconcile.team import Team
from jetmill_operator.resources.deployment import WorkerLink
from support.declare import make_body
from support.nats import NatsServer
from support.replicaset import ReplicaSet
from support.site import Site
from support.stand import Worker
from support.wait import eventually

NAME, CHILD = "send-email", "send-email-worker"


class Hall:
    """A leader with everything that works together, and a ReplicaSet that is played."""

    def __init__(self, trunk: Trunk, namespace: str) -> None:
        self.namespace = namespace
        self.cluster = LocalCluster()
        self.buses = Buses(trunk)
        self.team = Team(self.cluster, self.buses, link=WorkerLink("nats://nats"), metrics=Metrics())
        self.cluster.watch(self.team.notice)
        self.scaler = Scaler(self.team.parts)
        self.workers: dict[str, Worker] = {}
        self.busy: set[str] = set()
        """Pods whose workers have a job in hand from the beginning."""
        self.killed: list[str] = []
        self.replica_set = ReplicaSet(self.cluster, on_start=self._start, on_stop=self._stop)

    @property
    def bus(self) -> Bus:
        return self.buses.of(self.namespace)

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        works = (self.team.queue.run(), self.replica_set.run(), self.scaler.run())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.team.queue.stop(grace_seconds=0)
            for worker in self.workers.values():
                worker.crash()

    async def declare(self, name: str = NAME, **spec: object) -> None:
        body = make_body(name, **spec)  # type: ignore[arg-type]
        body["metadata"] = {"name": name, "namespace": self.namespace}
        await self.cluster.apply(JOB, body, manager="kubectl")

    async def replicas(self) -> int | None:
        body = await self.cluster.get(DEPLOYMENT, self.namespace, CHILD)
        return None if body is None else int(body["spec"]["replicas"])

    async def has(self, replicas: int) -> bool:
        return await self.replicas() == replicas

    async def reason(self, kind: str) -> str:
        body = await self.cluster.get(JOB, self.namespace, NAME)
        found = ((body or {}).get("status") or {}).get("conditions") or []
        return next((str(one["reason"]) for one in found if one["type"] == kind), "")

    def _start(self, pod: str) -> None:
        worker = self.workers[pod] = Worker(self.bus, pod)
        if pod in self.busy:
            worker.begin()

    def _stop(self, pod: str) -> None:
        worker = self.workers.pop(pod, None)
        if worker is not None:
            if worker.busy:
                self.killed.append(pod)
            worker.leave()


@pytest.fixture
async def hall(site: Site, trunk: Trunk) -> AsyncIterator[Hall]:
    hall = Hall(trunk, site.namespace)
    async with hall.run():
        yield hall


async def test_an_enqueue_at_zero_asks_for_as_many_as_there_is_work_for(hall: Hall) -> None:
    await hall.declare(scaling={"targetDrainSeconds": 1}, worker={"image": "shop:1", "concurrency": 1})
    await eventually(lambda: hall.scaler.resting == 1)
    for _ in range(4):
        await hall.bus.queue.publish(make_hint(job=NAME))
    hall.bus.signals.wake(NAME)
    await eventually(lambda: len(hall.workers) == 4)


async def test_those_who_have_nothing_in_hand_leave(hall: Hall) -> None:
    await hall.declare(scaling={"cooldownSeconds": 0})
    await eventually(lambda: hall.scaler.resting == 1)
    hall.busy = {f"{CHILD}-002", f"{CHILD}-004"}
    meta = {"name": CHILD, "namespace": hall.namespace}
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": meta, "spec": {"replicas": 4}}
    await hall.cluster.apply(DEPLOYMENT, scale, manager="kubectl", subresource="scale")
    await eventually(lambda: len(hall.workers) == 4)
    await eventually(lambda: hall.has(2))
    await eventually(lambda: set(hall.workers) == hall.busy)
    assert hall.killed == []


async def test_a_delayed_job_at_zero_wakes_by_the_tail_of_its_queue(hall: Hall) -> None:
    await hall.declare()
    await eventually(lambda: hall.scaler.resting == 1)
    await hall.bus.queue.publish(make_hint(job=NAME, due=hall.bus.link.now() + 2_000_000))
    await eventually(lambda: hall.has(1))


async def test_a_server_that_is_away_changes_nothing_and_wakes_reach_us_when_it_is_back(own_server: NatsServer) -> None:
    trunk = await connect_trunk(BusOptions(url=own_server.url))
    hall = Hall(trunk, "shop")
    async with hall.run():
        await hall.declare()
        await eventually(lambda: hall.scaler.resting == 1)
        own_server.kill()
        await eventually(lambda: not trunk.connected)
        await eventually(lambda: _says(hall, "MetricsUnavailable"), seconds=120)
        assert await hall.replicas() == 0
        own_server.restart()
        await eventually(lambda: trunk.connected)
        await hall.bus.queue.publish(make_hint(job=NAME))
        hall.bus.signals.wake(NAME)
        await eventually(lambda: hall.has(1))
        await eventually(lambda: _says(hall, "Decided"), seconds=120)
    await trunk.close()


async def _says(hall: Hall, reason: str) -> bool:
    return await hall.reason("ScalingActive") == reason
