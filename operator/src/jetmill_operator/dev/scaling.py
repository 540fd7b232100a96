"""The autoscaler of dev: the decisions of `policy.scaling` on what `scaler` observes, twice a second.

More workers are written to /scale at once. Fewer only by those that took nothing more when they were asked and have
nothing in hand, marked so that the runner stops just these.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from jetmill.bus.ports import Bus, Flow
from jetmill.errors import JetmillError
from jetmill.protocol.record import Presence
from jetmill_operator.api.job import Job
from jetmill_operator.cluster.errors import ClusterError
from jetmill_operator.cluster.ports import AUTOSCALER, DEPLOYMENT, JOB, POD, Body, Key
from jetmill_operator.dev.rollout import COST
from jetmill_operator.policy.condition import Backlog, Scaling
from jetmill_operator.policy.demand import build_scaling
from jetmill_operator.policy.reason import Reason
from jetmill_operator.policy.scaling import Decision, ScalerState, ScalingReason, decide_replicas
from jetmill_operator.policy.victim import build_workers, note_idle, plan_drains
from jetmill_operator.policy.worker import read_workers
from jetmill_operator.reconcile.board import Sighting
from jetmill_operator.reconcile.job import parse_job
from jetmill_operator.reconcile.team import Parts
from jetmill_operator.resources.deployment import is_handed_over
from jetmill_operator.scaler.drain import apply_drains
from jetmill_operator.scaler.observation import QueueSeen, build_seen, observe_queue

TICK_SECONDS = 0.5


@dataclass(slots=True)
class _Row:
    state: ScalerState = field(default_factory=ScalerState)
    idle: dict[str, float] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()


class Scaler:
    """Scales the Jobs of one namespace."""

    def __init__(self, parts: Parts, *, namespace: str) -> None:
        self._parts = parts
        self._namespace = namespace
        self._bus: Bus = parts.buses.of(namespace)
        self._rows: dict[str, _Row] = {}
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Look twice a second, and when something is enqueued, until cancelled."""
        stop = self._bus.signals.on_wake(lambda _: self._woken.set())
        try:
            while True:
                await self._look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TICK_SECONDS):
                        await self._woken.wait()
                self._woken.clear()
        finally:
            stop()

    async def _look(self) -> None:
        try:
            presences: Sequence[Presence] | None = await self._bus.presence.all()
        except JetmillError:
            presences = None
        for body in await self._parts.cluster.list(DEPLOYMENT, namespace=self._namespace):
            owner = next(iter(body["metadata"].get("ownerReferences", ())), None)
            if owner is not None and is_handed_over(body) and "deletionTimestamp" not in body["metadata"]:
                with contextlib.suppress(ClusterError):  # it changed meanwhile: the next look is soon
                    await self._scale(owner["name"], body, presences)

    async def _scale(self, name: str, deployment: Body, presences: Sequence[Presence] | None) -> None:
        declared = await self._parts.cluster.get(JOB, self._namespace, name)
        job = None if declared is None else parse_job(declared)
        if not isinstance(job, Job):
            return
        seen = await self._observe(name, presences)
        row, now = self._rows.setdefault(name, _Row()), self._parts.clock.monotonic()
        replicas = deployment["spec"]["replicas"]
        ready = deployment.get("status", {}).get("readyReplicas", 0)
        decision = decide_replicas(
            build_scaling(job.spec, slots=seen.slots),
            row.state,
            build_seen(seen, time=now, replicas=replicas, ready=ready),
        )
        row.state = decision.state
        self._show(name, seen, decision)
        if decision.replicas > replicas:
            await self._apply(deployment, decision.replicas)
        workers = read_workers(deployment, [])
        if seen.flow is not None and workers is not None and not workers.rolling:
            await self._retire(row, deployment, seen, count=max(0, replicas - decision.replicas), now=now)

    async def _observe(self, name: str, presences: Sequence[Presence] | None) -> QueueSeen:
        if presences is None:
            return QueueSeen(name, fault="NATS cannot be reached")
        own = await observe_queue(self._bus, name, presences=presences)
        flow = own.flow
        for rider in self._parts.index.riders_of(self._namespace, name):
            other = (await observe_queue(self._bus, rider.name, presences=presences)).flow
            if flow is not None and other is not None:
                flow = Flow(
                    ready=flow.ready + other.ready,
                    in_flight=flow.in_flight + other.in_flight,
                    stored=flow.stored + other.stored,
                    offered=flow.offered + other.offered,
                )
        return replace(own, flow=flow)

    async def _retire(self, row: _Row, deployment: Body, seen: QueueSeen, *, count: int, now: float) -> None:
        """Let `count` workers go, those that drained; fewer where fewer did."""
        row.idle = note_idle(row.idle, seen.workers, time=now)
        plan = plan_drains(build_workers(seen.workers, row.idle), count, asked=row.asked)
        row.asked = frozenset(plan.ask)
        drained = set(await apply_drains(self._bus, plan))
        pods = [one.pod for one in seen.workers if one.worker in drained and one.pod]
        for pod in pods:
            patch = {"metadata": {"annotations": {COST: "-100"}}}
            await self._parts.cluster.patch(POD, self._namespace, pod, patch, manager=AUTOSCALER)
        if pods:
            await self._apply(deployment, deployment["spec"]["replicas"] - len(pods))

    async def _apply(self, deployment: Body, replicas: int) -> None:
        meta = deployment["metadata"]
        scale = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {name: meta[name] for name in ("name", "namespace", "resourceVersion")},
            "spec": {"replicas": replicas},
        }
        await self._parts.cluster.apply(DEPLOYMENT, scale, manager=AUTOSCALER, subresource="scale")

    def _show(self, name: str, seen: QueueSeen, decision: Decision) -> None:
        flow = seen.flow
        scaling = Scaling(
            desired=decision.replicas,
            reason=str(decision.reason).capitalize(),
            message=str(decision),
            time=self._parts.clock.stamp(),
            active=decision.reason is not ScalingReason.UNKNOWN,
            limited=Reason.MAX_REPLICAS if decision.limited else None,
        )
        backlog = None if flow is None else Backlog(flow.ready, flow.in_flight, flow.delayed)
        self._parts.board.put(Key(JOB.name, self._namespace, name), Sighting(backlog, scaling))
