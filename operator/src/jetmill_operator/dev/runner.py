"""Runs Deployments as processes of this machine: what controllers, scheduler and kubelet do in a cluster.

```
 Deployment ──rollout.plan_pods──▶ Pod objects ──▶ a process each ──its presence is there──▶ Ready
     ▲                                │                  └─ ended by itself: again, after a pause that grows
     └──── status ◀───────────────────┘
 Pod being deleted ──SIGTERM──▶ drains ──gone──▶ the finalizer comes off, and with it the Pod
```

The objects say what there should be, so reconcilers and autoscaler see what they see in a cluster; only the processes
are kept here. A round goes through all of it, and comes when an object changes, a process ends, or a while has passed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jetmill.bus.ports import Bus
from jetmill.errors import InputError, JetmillError
from jetmill_operator.cluster.ports import DEPLOYMENT, POD, Body, Cluster, Kind
from jetmill_operator.dev.environment import Sources, build_worker_environment, find_container
from jetmill_operator.dev.pod import CODE, MANAGER, Worker, build_pod, build_pod_status
from jetmill_operator.dev.process import Backoff, Process, explain_end
from jetmill_operator.dev.rollout import EDITION, build_status, name_edition, plan_pods, read_replica
from jetmill_operator.dev.screen import Screen
from jetmill_operator.resources.label import JOB as JOB_LABEL

STARTING_SECONDS, QUIET_SECONDS = 0.1, 1.0
"""How long until the next round, while a worker starts and otherwise."""


@dataclass(frozen=True, slots=True)
class Launch:
    """How workers are started."""

    folder: Path
    """Where the code lies: their working directory, first on their path."""
    url: str
    """Of dev's NATS."""
    environ: Mapping[str, str]
    """The environment of dev."""
    sources: Sources
    """What the folder's Secrets and ConfigMaps hold."""


class Runner:
    """The workers of one namespace."""

    def __init__(self, cluster: Cluster, bus: Bus, launch: Launch, screen: Screen) -> None:
        self._cluster = cluster
        self._bus = bus
        self._launch = launch
        self._screen = screen
        self._workers: dict[str, Worker] = {}
        """By pod."""
        self._backoffs: dict[tuple[str, str], Backoff] = {}
        """By Job and edition: what crashes does so in all pods of an edition."""
        self._poked = asyncio.Event()
        self._pods = 0

    @property
    def busy(self) -> bool:
        """Processes are there."""
        return any(worker.process is not None for worker in self._workers.values())

    def notice(self, kind: Kind, _event: str, _body: Body) -> None:
        """Take an event of the watch."""
        if kind in (DEPLOYMENT, POD):
            self._poked.set()

    async def run(self) -> None:
        """Go round after round until cancelled."""
        while True:
            self._poked.clear()
            await self._go_round()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._decide_wait()):
                    await self._poked.wait()

    async def stop(self, *, grace_seconds: float, hurry: asyncio.Event) -> None:
        """Let all workers drain; after `grace_seconds`, or on `hurry`, make them give back what they have; then kill.

        Each further `hurry` goes one step on. Nothing is started any more once `run` was cancelled.
        """
        watchers = [worker.watcher for worker in self._workers.values() if worker.watcher is not None]
        if not watchers:
            return
        gone: asyncio.Future[Any] = asyncio.gather(*watchers)
        for press, seconds in ((Process.terminate, grace_seconds), (Process.terminate, 5.0), (Process.kill, 10.0)):
            for worker in self._workers.values():
                worker.told = True
                if worker.process is not None:
                    press(worker.process)
            hurried = asyncio.create_task(hurry.wait())
            await asyncio.wait([gone, hurried], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
            hurry.clear()
            if gone.done():
                return
        await gone

    async def _go_round(self) -> None:
        await self._see_who_is_ready()
        for deployment in await self._cluster.list(DEPLOYMENT):
            if "deletionTimestamp" not in deployment["metadata"]:
                await self._control(deployment)
        pods = {pod["metadata"]["name"]: pod for pod in await self._cluster.list(POD)}
        for pod in pods.values():
            await self._tend(pod)
        for name in self._workers.keys() - pods.keys():
            self._see_off(name, grace_seconds=0.0)

    def _decide_wait(self) -> float:
        workers = self._workers.values()
        starting = any(worker.process is not None and not worker.ready and not worker.told for worker in workers)
        pauses = [self._backoff(worker).seconds for worker in workers if worker.process is None]
        return min([STARTING_SECONDS if starting else QUIET_SECONDS, *(max(pause, 0.01) for pause in pauses)])

    # What a Deployment's controllers do

    async def _control(self, deployment: Body) -> None:
        meta, template = deployment["metadata"], deployment["spec"]["template"]
        labels = deployment["spec"]["selector"]["matchLabels"]
        pods = await self._cluster.list(POD, namespace=meta["namespace"], labels=labels)
        seen = [read_replica(pod, number=self._number_of(pod)) for pod in pods]
        edition = name_edition(deployment)
        plan = plan_pods(deployment["spec"]["replicas"], edition, seen)
        for name in plan.delete:
            await self._cluster.delete(POD, meta["namespace"], name)
        for _ in range(plan.create):
            await self._cluster.create(POD, build_pod(deployment, edition), manager=MANAGER)
        if plan.create and any(one.edition != edition and not one.pod.leaving for one in seen):
            self._say_roll(pods, template)
        status = build_status(deployment, seen)
        await self._publish(DEPLOYMENT, deployment, status)

    def _say_roll(self, pods: list[Body], template: Body) -> None:
        """Say that workers are replaced, once, and unless it is for the code, which was said already."""
        codes = {pod["metadata"].get("annotations", {}).get(CODE) for pod in pods}
        editions = {pod["metadata"]["labels"][EDITION] for pod in pods}
        if template["metadata"].get("annotations", {}).get(CODE) in codes and len(editions) == 1:
            self._screen.say(f"workers of {template['metadata']['labels'][JOB_LABEL]} are replaced")

    def _number_of(self, pod: Body) -> int:
        worker = self._workers.get(pod["metadata"]["name"])
        return worker.number if worker is not None else self._pods + 1

    # What a kubelet does

    async def _tend(self, pod: Body) -> None:
        meta = pod["metadata"]
        name, worker = meta["name"], self._workers.get(meta["name"])
        if "deletionTimestamp" in meta:
            if self._see_off(name, grace_seconds=pod["spec"].get("terminationGracePeriodSeconds", 30)):
                await self._cluster.patch(POD, meta["namespace"], name, {"metadata": {"finalizers": None}})
                return
        elif worker is None:
            worker = self._workers[name] = self._admit(pod)
            await self._start(pod, worker)
        elif worker.process is None and not self._backoff(worker).seconds:
            await self._start(pod, worker)
        if worker is not None:
            status = build_pod_status(pod, worker, crashes=self._backoff(worker).crashes)
            await self._publish(POD, pod, status)

    def _admit(self, pod: Body) -> Worker:
        labels = pod["metadata"]["labels"]
        taken = {worker.name for worker in self._workers.values()}
        job = labels[JOB_LABEL]
        name = next(f"{job}/{n}" for n in range(1, len(taken) + 2) if f"{job}/{n}" not in taken)
        self._pods += 1
        return Worker(job, name, self._pods, labels[EDITION])

    async def _start(self, pod: Body, worker: Worker) -> None:
        if self._backoff(worker).seconds:
            return
        launch, container = self._launch, find_container(pod)
        try:
            environ = build_worker_environment(
                pod, launch.folder, launch.sources, url=launch.url, environ=launch.environ
            )
            command = [*(container.get("command") or ("jetmill", "worker")), *container.get("args", ())]
            worker.process = await Process.start(
                worker.name, command, self._screen, folder=launch.folder, environ=environ
            )
        except (InputError, OSError) as err:
            if str(err) != worker.fault:
                self._screen.say(f"worker {worker.name} cannot be started: {err}", alarm=True)
            worker.fault = str(err)
            self._backoff(worker).note_end(lived_seconds=0.0)
            return
        worker.fault = ""
        worker.watcher = asyncio.create_task(self._watch(worker, worker.process))

    def _see_off(self, name: str, *, grace_seconds: float) -> bool:
        """Tell a worker to leave, or kill it when its time is over; True: it has gone."""
        worker = self._workers.get(name)
        if worker is not None and worker.process is not None:
            now = asyncio.get_running_loop().time()
            if not worker.told:
                worker.told, worker.kill_time = True, now + grace_seconds
                worker.process.terminate()
            elif now >= worker.kill_time:
                worker.process.kill()
            return False
        self._workers.pop(name, None)
        return True

    async def _watch(self, worker: Worker, process: Process) -> None:
        """Wait until a process ends, and note how."""
        status = await process.wait()
        worker.process, worker.ready, worker.status = None, False, status
        if not worker.told:
            worker.restarts += 1
            pause = self._backoff(worker).note_end(lived_seconds=process.lived_seconds)
            if status != 0:
                self._screen.say(f"worker {worker.name} {explain_end(status)}; the next one in {pause:g} s", alarm=True)
        self._poked.set()

    async def _see_who_is_ready(self) -> None:
        """A worker is ready once its presence is there; while NATS is away nobody becomes so."""
        starting = [worker for worker in self._workers.values() if worker.process is not None and not worker.ready]
        if starting:
            with contextlib.suppress(JetmillError):
                present = {presence.pid for presence in await self._bus.presence.all() if not presence.stopping}
                for worker in starting:
                    worker.ready = worker.process is not None and worker.process.pid in present

    def _backoff(self, worker: Worker) -> Backoff:
        return self._backoffs.setdefault((worker.job, worker.edition), Backoff())

    async def _publish(self, kind: Kind, body: Body, status: dict[str, Any]) -> None:
        if body.get("status") != status:
            names = {name: body["metadata"][name] for name in ("name", "namespace")}
            wanted = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": names, "status": status}
            await self._cluster.apply(kind, wanted, manager=MANAGER, subresource="status")
