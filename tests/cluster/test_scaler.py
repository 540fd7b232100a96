"""The autoscaler on a real API server, with a real Deployment and ReplicaSet controller: whom they take away, and who
owns the number. The workers are played: pods that only wait, and presences that name them.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from factories import make_hint, make_settings
from jetmill.bus.connect import BusOptions, connect, connect_trunk
from jetmill.bus.ports import Bus, Trunk
from jetmill_operator.cluster.credential import Credential
from jetmill_operator.cluster.kube import KubeCluster
from jetmill_operator.cluster.ports import AUTOSCALER, DEPLOYMENT, EVENT, JOB, OPERATOR, POD, Body, Key
from jetmill_operator.policy.crew import COST, MARK, list_present, read_pod
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.metric import Metrics
from jetmill_operator.reconcile.retire import annotate_pod
from jetmill_operator.reconcile.scaler import Scaler
from jetmill_operator.reconcile.team import Team
from jetmill_operator.reconcile.watch import Watch
from jetmill_operator.resources.deployment import WorkerLink
from jetmill_operator.resources.label import build_labels, build_metadata, build_selector
from support.declare import make_body
from support.nats import NatsServer
from support.operating import OperatorProcess
from support.stand import Worker
from support.taker import Taker
from support.wait import eventually

NAME = "send-email"
CHILD = "send-email-worker"


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path / "nats") as server:
        yield server


@pytest.fixture
async def trunk(nats: NatsServer) -> AsyncIterator[Trunk]:
    trunk = await connect_trunk(BusOptions(url=nats.url))
    yield trunk
    await trunk.close()


@pytest.fixture
async def bus(nats: NatsServer, namespace: str) -> AsyncIterator[Bus]:
    bus = await connect(BusOptions(url=nats.url, namespace=namespace))
    yield bus
    await bus.link.close()


class Field:
    """A Job, a Deployment of pods that only wait, and workers that are played in them."""

    def __init__(self, kube: KubeCluster, namespace: str, bus: Bus) -> None:
        self.kube = kube
        self.namespace = namespace
        self.bus = bus
        self.workers: dict[str, Worker] = {}

    async def begin(self) -> None:
        body = make_body(NAME, scaling={"cooldownSeconds": 0, "maxReplicas": 6})
        body["metadata"] = {"name": NAME, "namespace": self.namespace}
        job = await self.kube.apply(JOB, body, manager="kubectl")
        await self.bus.admin.apply_namespace()
        await self.bus.admin.apply_job(make_settings(NAME, concurrency=1))
        pod = {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "worker", "image": "local/pause:1", "imagePullPolicy": "IfNotPresent"}],
        }
        spec: dict[str, Any] = {
            "selector": {"matchLabels": build_selector(NAME)},
            "template": {"metadata": {"labels": build_labels(NAME)}, "spec": pod},
        }
        deployment: Body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": build_metadata(job)}
        await self.kube.apply(DEPLOYMENT, {**deployment, "spec": {**spec, "replicas": 0}}, manager=OPERATOR)
        await self.scale(0)
        await self.kube.apply(DEPLOYMENT, {**deployment, "spec": spec}, manager=OPERATOR)

    async def scale(self, replicas: int, *, manager: str = AUTOSCALER) -> None:
        meta = {"name": CHILD, "namespace": self.namespace}
        scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": meta, "spec": {"replicas": replicas}}
        await self.kube.apply(DEPLOYMENT, scale, manager=manager, subresource="scale")

    async def replicas(self) -> int:
        body = await self.kube.get(DEPLOYMENT, self.namespace, CHILD)
        assert body is not None
        return int(body["spec"]["replicas"])

    async def pods(self) -> list[Body]:
        """Those that are there, the oldest first."""
        bodies = await self.kube.list(POD, namespace=self.namespace, labels=build_selector(NAME))
        there = {pod.name for pod in list_present([read_pod(body) for body in bodies])}
        found = [body for body in bodies if body["metadata"]["name"] in there]
        return sorted(found, key=lambda body: (body["metadata"]["creationTimestamp"], body["metadata"]["name"]))

    async def ready(self, count: int) -> list[str]:
        """Wait for so many ready pods, and put a worker into each."""

        async def look() -> bool:
            pods = [read_pod(body) for body in await self.pods()]
            return len(pods) == count and all(pod.ready for pod in pods)

        await eventually(look, seconds=240, what=f"{count} pods to be ready")
        names = [body["metadata"]["name"] for body in await self.pods()]
        for gone in self.workers.keys() - names:
            self.workers.pop(gone).leave()
        for name in names:
            if name not in self.workers:
                self.workers[name] = Worker(self.bus, name)
        return names

    @asynccontextmanager
    async def scaling(self, credential: Credential, trunk: Trunk) -> AsyncIterator[Scaler]:
        """An autoscaler that leads; nothing else reconciles."""
        buses = Buses(trunk)
        team = Team(self.kube, buses, link=WorkerLink("nats://nats"), metrics=Metrics())
        await team.begin()
        watch = Watch(credential, team.notice, namespaces=(self.namespace,))
        watch.start()
        scaler = Scaler(team.parts)
        task = asyncio.create_task(scaler.run())
        try:
            yield scaler
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await watch.stop()
            await team.queue.stop(grace_seconds=0)


@pytest.fixture
async def field(kube: KubeCluster, namespace: str, bus: Bus) -> AsyncIterator[Field]:
    field = Field(kube, namespace, bus)
    await field.begin()
    yield field
    for worker in field.workers.values():
        worker.crash()


@pytest.mark.timeout(600)
async def test_the_idle_go_and_the_busy_stay_though_they_are_the_youngest(
    field: Field, credential: Credential, trunk: Trunk
) -> None:
    """Left to itself a ReplicaSet takes the youngest. Three rounds, then to zero and back."""
    taker = Taker(field.bus, NAME)
    hints = [make_hint(job=NAME) for _ in range(2)]
    for hint in hints:
        await field.bus.queue.publish(hint)
    taker.pull.want(2)
    deliveries = await taker.several(2)
    kept: list[str] = []
    for _ in range(3):
        await field.scale(4)
        names = await field.ready(4)
        for worker in field.workers.values():
            worker.busy = 0
        busy = names[-2:]
        for name in busy:
            field.workers[name].begin()
        async with field.scaling(credential, trunk):
            await eventually(lambda: _has(field, 2), seconds=240, what="two workers to stay")
            kept = await field.ready(2)
        assert sorted(kept) == sorted(busy), "and no other pod was taken in their place"
        assert not [body for body in await field.pods() if COST in body["metadata"].get("annotations", {})]
        assert await field.kube.owners(DEPLOYMENT, field.namespace, CHILD, ".spec.replicas") == {AUTOSCALER}
    for delivery in deliveries:
        delivery.ack()
    for name in kept:
        field.workers[name].finish()
    loop = asyncio.get_running_loop()
    async with field.scaling(credential, trunk) as scaler:
        await eventually(lambda: _has(field, 0), seconds=240, what="nobody to stay")
        await eventually(lambda: scaler.resting == 1, seconds=240, what="the Job to rest")
        begun = loop.time()
        await field.bus.queue.publish(make_hint(job=NAME))
        field.bus.signals.wake(NAME)
        await eventually(lambda: _has(field, 1), what="a worker to be asked for")
        print(f"asked for after {loop.time() - begun:.3f} s")


async def test_a_mark_goes_to_that_very_pod_or_to_none(field: Field) -> None:
    await field.scale(1)
    [name] = await field.ready(1)
    [pod] = await field.pods()
    uid = pod["metadata"]["uid"]
    other = "5b9e2fd4-0000-4000-8000-000000000000"
    assert not await annotate_pod(field.kube, field.namespace, name, uid=other, value=MARK)
    assert not await annotate_pod(field.kube, field.namespace, "nobody", uid=uid, value=MARK)
    assert COST not in (await field.pods())[0]["metadata"].get("annotations", {})
    assert await annotate_pod(field.kube, field.namespace, name, uid=uid, value=MARK)
    assert (await field.pods())[0]["metadata"]["annotations"][COST] == MARK
    assert await annotate_pod(field.kube, field.namespace, name, uid=uid, value=None)
    assert COST not in (await field.pods())[0]["metadata"].get("annotations", {})


async def test_a_rollout_holds_everybody(field: Field, credential: Credential, trunk: Trunk) -> None:
    """Its new pods never become ready; when it is taken back, the idle may leave."""
    await field.scale(3)
    await field.ready(3)
    broken = {"spec": {"template": {"spec": {"nodeSelector": {"no-such": "node"}}}}}
    await field.kube.patch(DEPLOYMENT, field.namespace, CHILD, broken, manager="kubectl")

    async def is_rolling() -> bool:
        body = await field.kube.get(DEPLOYMENT, field.namespace, CHILD)
        status = (body or {}).get("status", {})
        return bool(status.get("replicas", 0) > status.get("updatedReplicas", 0) > 0)

    await eventually(is_rolling, seconds=240)
    async with field.scaling(credential, trunk) as scaler:
        key = Key("Job", field.namespace, NAME)
        await eventually(lambda: scaler.looks(key) >= 4, seconds=240, what="some looks")
        assert await field.replicas() == 3
        assert not any(worker.resting for worker in field.workers.values())
        mended = {"spec": {"template": {"spec": {"nodeSelector": None}}}}
        await field.kube.patch(DEPLOYMENT, field.namespace, CHILD, mended, manager="kubectl")
        await eventually(lambda: _has(field, 2), seconds=240, what="the first to leave")


async def test_the_process_wakes_a_job_and_says_why(
    nats: NatsServer, kubeconfig: Path, namespace: str, kube: KubeCluster, bus: Bus, tmp_path: Path
) -> None:
    environ: Mapping[str, str] = {
        "JETMILL_NATS_URL": nats.url,
        "KUBECONFIG": str(kubeconfig),
        "JETMILL_WATCH_NAMESPACES": namespace,
        "JETMILL_POD_NAMESPACE": namespace,
    }
    body = make_body(NAME, worker={"image": "no-such-image:1", "imagePullPolicy": "Never"})
    body["metadata"] = {"name": NAME, "namespace": namespace}
    await kube.apply(JOB, body, manager="kubectl")
    with OperatorProcess.start(tmp_path, environ) as process:
        await process.ready()

        async def says(condition: str, status: str) -> bool:
            job = await kube.get(JOB, namespace, NAME)
            found = ((job or {}).get("status") or {}).get("conditions") or []
            return any((one["type"], one["status"]) == (condition, status) for one in found)

        await eventually(lambda: says("ScalingActive", "True"), seconds=240)
        await bus.queue.publish(make_hint(job=NAME))
        bus.signals.wake(NAME)

        async def is_asked_for() -> bool:
            deployment = await kube.get(DEPLOYMENT, namespace, CHILD)
            return deployment is not None and deployment["spec"]["replicas"] == 1

        await eventually(is_asked_for)
        assert await kube.owners(DEPLOYMENT, namespace, CHILD, ".spec.replicas") == {AUTOSCALER}

        async def is_told() -> Any:
            job = await kube.get(JOB, namespace, NAME)
            scaling = ((job or {}).get("status") or {}).get("scaling") or {}
            return scaling if scaling.get("desired") == 1 else None

        scaling = await eventually(is_told, seconds=240)
        assert scaling["reason"] == "Woken"
        assert scaling["message"].startswith("0 → 1: 1 waiting")

        async def find_events() -> list[Body]:
            """Events are written when the decision is, but not with it."""
            return [event for event in await kube.list(EVENT, namespace=namespace) if event["reason"] == "ScaledUp"]

        events = await eventually(find_events)
        assert [event["message"].startswith("0 → 1: 1 waiting") for event in events] == [True]
        assert process.measure("jetmill_autoscaler_current_replicas") == 1
        assert process.measure("jetmill_autoscaler_decisions_total") == 1
        process.send(signal.SIGTERM)
        assert await process.wait() == 0


async def _has(field: Field, replicas: int) -> bool:
    return await field.replicas() == replicas
