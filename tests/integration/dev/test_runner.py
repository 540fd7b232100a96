"""Deployments as processes: what a cluster's controllers and kubelets would do."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from factories import make_presence
from jetmill.bus.memory import MemoryWorld
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import DEPLOYMENT, POD, Body
from jetmill_operator.dev.runner import Launch, Runner
from jetmill_operator.dev.screen import Screen
from jetmill_operator.policy.crew import COST, MARK
from jetmill_operator.resources.label import build_selector
from support.wait import PROCESS_SECONDS, eventually

pytestmark = pytest.mark.integration
WAIT = """\
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with open("pid", "w") as file:
    file.write(str(os.getpid()))
print("up", flush=True)
signal.pause()
"""
CRASH = "raise SystemExit(3)"


class Machine:
    """A runner on a cluster in memory; its workers are ready when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.cluster = LocalCluster()
        self.bus = MemoryWorld(namespace="shop").connect()
        self.stream = io.StringIO()
        launch = Launch(folder, "nats://nowhere", os.environ, {})
        self.runner = Runner(self.cluster, self.bus, launch, Screen(self.stream))
        self.cluster.watch(self.runner.notice)
        self.task = asyncio.create_task(self.runner.run())

    async def deploy(self, program: str = WAIT, *, replicas: int = 1, env: list[Body] | None = None) -> None:
        container = {"name": "worker", "image": "folder", "command": ["python3", "-c", program], "env": env or []}
        labels = build_selector("mail")
        body = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "mail-worker", "namespace": "shop"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        }
        await self.cluster.apply(DEPLOYMENT, body, manager="test")

    async def scale(self, replicas: int) -> None:
        patch = {"spec": {"replicas": replicas}}
        await self.cluster.patch(DEPLOYMENT, "shop", "mail-worker", patch)

    async def pods(self) -> list[Body]:
        return await self.cluster.list(POD)

    async def running(self, count: int) -> list[Body]:
        """Wait until so many pods are there, and no others, and their processes run."""

        async def find() -> list[Body] | None:
            pods = await self.pods()
            states = [pod.get("status", {}).get("containerStatuses", [{}])[0].get("state", {}) for pod in pods]
            ups = self.said.count("up")
            fits = len(pods) == count and all("running" in state for state in states) and ups >= count
            return pods or [{}] if fits else None

        found: list[Body] = await eventually(find, seconds=PROCESS_SECONDS, what=f"{count} pods")
        return found

    async def status(self) -> dict[str, Any]:
        body = await self.cluster.get(DEPLOYMENT, "shop", "mail-worker")
        assert body is not None
        found: dict[str, Any] = body.get("status", {})
        return found

    @property
    def said(self) -> str:
        return self.stream.getvalue()

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.runner.stop(grace_seconds=5, hurry=asyncio.Event())
        await self.bus.link.close()


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    machine = Machine(tmp_path)
    await machine.bus.admin.apply_namespace()
    yield machine
    await machine.close()


async def test_a_deployment_has_as_many_processes_as_replicas_and_they_end_when_it_goes(machine: Machine) -> None:
    await machine.deploy(replicas=2)
    pods = await machine.running(2)
    assert {pod["metadata"]["labels"]["jetmill.dev/job"] for pod in pods} == {"mail"}
    await eventually(lambda: machine.runner.busy)
    assert {line.partition(" ")[0] for line in machine.said.splitlines()} == {"mail/1", "mail/2"}
    await machine.cluster.delete(DEPLOYMENT, "shop", "mail-worker")
    await machine.running(0)
    await eventually(lambda: not machine.runner.busy)


async def test_fewer_replicas_take_the_marked_pod_away(machine: Machine) -> None:
    await machine.deploy(replicas=3)
    pods = await machine.running(3)
    victim = pods[1]["metadata"]["name"]
    await machine.cluster.patch(POD, "shop", victim, {"metadata": {"annotations": {COST: MARK}}})
    await machine.scale(2)
    left = await machine.running(2)
    assert {pod["metadata"]["name"] for pod in left} == {pod["metadata"]["name"] for pod in pods} - {victim}


async def test_a_pod_that_is_deleted_is_replaced(machine: Machine) -> None:
    await machine.deploy()
    (pod,) = await machine.running(1)
    await machine.cluster.delete(POD, "shop", pod["metadata"]["name"])

    async def is_another() -> bool:
        return {one["metadata"]["uid"] for one in await machine.pods()}.isdisjoint({pod["metadata"]["uid"]})

    await eventually(is_another)
    await machine.running(1)


async def test_a_worker_is_ready_once_its_presence_is_there(machine: Machine, tmp_path: Path) -> None:
    await machine.deploy()
    await machine.running(1)
    assert not await is_ready(machine)
    pid = int((tmp_path / "pid").read_text())
    await machine.bus.presence.put(make_presence(worker="w1", pid=pid), ttl_seconds=600)
    await eventually(lambda: is_ready(machine))


async def test_a_worker_that_crashes_again_and_again_is_seen_in_its_pod(machine: Machine) -> None:
    await machine.deploy(CRASH)

    async def find_loop() -> bool:
        pods = await machine.pods()
        status = pods[0].get("status", {}).get("containerStatuses", [{}])[0] if pods else {}
        loops = status.get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff"
        return bool(loops and status["lastState"]["terminated"]["exitCode"] == 3 and status["restartCount"] >= 2)

    await eventually(find_loop, seconds=PROCESS_SECONDS)
    assert "worker mail/1 ended with status 3; the next one in 0.5 s" in machine.said


async def test_a_template_that_crashes_never_stops_older_workers(machine: Machine, tmp_path: Path) -> None:
    await machine.deploy()
    (old,) = await machine.running(1)
    pid = int((tmp_path / "pid").read_text())
    await machine.bus.presence.put(make_presence(worker="w1", pid=pid), ttl_seconds=600)
    await eventually(lambda: is_ready(machine))
    await machine.deploy(CRASH)
    await eventually(lambda: "workers of mail are replaced" in machine.said)
    await eventually(lambda: "the next one in 1 s" in machine.said)
    names = {pod["metadata"]["name"] for pod in await machine.pods()}
    assert old["metadata"]["name"] in names
    assert len(names) == 2

    await machine.deploy(f"{WAIT}\n")

    async def has_recovered() -> bool:
        crashed = names - {old["metadata"]["name"]}
        return crashed.isdisjoint({pod["metadata"]["name"] for pod in await machine.pods()})

    await eventually(has_recovered)


async def is_ready(machine: Machine) -> bool:
    return bool((await machine.status()).get("readyReplicas"))


async def test_a_variable_that_cannot_be_resolved_is_seen_in_its_pod(machine: Machine) -> None:
    reference = {"secretKeyRef": {"name": "none", "key": "token"}}
    await machine.deploy(env=[{"name": "A", "valueFrom": reference}])
    await eventually(lambda: "worker mail/1 cannot be started: couldn't find key token in Secret none" in machine.said)

    async def waits() -> bool:
        (pod,) = await machine.pods()
        state = pod.get("status", {}).get("containerStatuses", [{}])[0].get("state", {})
        return bool(state.get("waiting", {}).get("reason") == "CreateContainerConfigError")

    await eventually(waits)
