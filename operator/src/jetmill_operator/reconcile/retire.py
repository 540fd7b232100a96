"""Taking idle workers away: the cluster's half of a step down. It is written for everything to go wrong between any two
of its steps.

```
 (asked, drained, idle: scaler/drain) ─▶ mark their pods ─▶ read all anew ─▶ /scale ─▶ see who goes ─▶ clear up
                                              ▲               │    │           │
                                              └─ fewer of them ┘    └─ moved ──┴──▶ undo: marks off, "go on"
```

A ReplicaSet chooses for itself: who is not ready goes first, then who has the lowest pod-deletion-cost (set, answered,
then scaled: the right one in 104 of 104, measured; otherwise not). So nothing is scaled while anybody else could be
taken: in a rollout, or while a pod that is not ready may have something in hand. A drained worker begins nothing for a
minute after it was last asked, which is longer than a write can be under way.

Dying at any point leaves at most marks, which the next leader clears, and workers that rest, which go on by themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from jetmill.bus.ports import Bus
from jetmill.errors import InvalidNameError, JetmillError
from jetmill.protocol.record import Presence
from jetmill_operator.cluster.errors import AbsentError, ConflictError, NotLeaderError, UnavailableError
from jetmill_operator.cluster.ports import AUTOSCALER, DEPLOYMENT, POD, Body, Cluster, Key
from jetmill_operator.policy.crew import COST, MARK, DeploymentSeen, PodSeen, list_present, read_deployment, read_pod
from jetmill_operator.policy.removal import Victim, find_endangered, find_unfit
from jetmill_operator.resources.deployment import is_handed_over
from jetmill_operator.resources.label import build_selector
from jetmill_operator.scaler.drain import is_drained

WRITE_SECONDS = 25.0
"""A write of /scale that takes longer is given up: those who drain wait for a minute, not for ever."""
WATCH_SECONDS = 10.0
"""For so long the pods that go are looked for."""
CLEAR_SECONDS = 3.0
_ATTEMPTS = 3
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.05, 1.0

log = structlog.get_logger("jetmill.operator")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done."""

    job: Key
    deployment: DeploymentSeen
    """As it was when this was decided."""
    victims: tuple[Victim, ...]
    missing: int = 0
    """So many were asked for and are not there."""
    lost: frozenset[str] = frozenset()
    """The uids of all pods that are lost: it does no harm if another of these goes."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    scale: Body | None = None
    """What /scale answered; None: as many are asked for as before, or nobody knows."""
    strays: tuple[str, ...] = ()
    """Pods that were taken away in place of those that were meant."""
    why: str = ""
    """Why nothing was done."""
    sure: bool = True
    """False: a write was not answered, and may have landed."""


class _GivenUpError(Exception):
    """Somewhere on the way it was seen that it must not be done."""


class Retirement:
    """One step down. `run` it once."""

    def __init__(self, cluster: Cluster, bus: Bus, order: Order) -> None:
        self._cluster = cluster
        self._bus = bus
        self._order = order
        self._victims = list(order.victims)
        self._marked: list[Victim] = []
        self._given_up = ""

    @property
    def uids(self) -> set[str]:
        """The pods that may carry our mark because of this."""
        return {victim.uid for victim in self._order.victims}

    def give_up(self, why: str) -> None:
        """Go no further than the step that is under way, and undo."""
        self._given_up = why

    async def run(self) -> Result:
        """Do it; raises NotLeaderError."""
        try:
            return await self._go()
        except NotLeaderError:
            raise
        except (_GivenUpError, JetmillError) as err:
            return Result(why=str(err))
        finally:
            await self._clear_up()

    async def _go(self) -> Result:
        self._ask()
        await self._mark()
        remaining = _ATTEMPTS
        while True:
            pods, deployment = await self._settle()
            try:
                scale = await self._scale(deployment, pods)
            except ConflictError:  # if only its status has changed, all this is still right: read it again
                remaining -= 1
                if not remaining:
                    raise
            else:
                return await self._watch(pods, scale)

    # The steps

    def _ask(self) -> None:
        """Ask once more: their minute begins anew."""
        for victim in self._victims:
            if victim.worker:
                with contextlib.suppress(InvalidNameError):
                    self._bus.signals.drain(victim.worker)

    async def _mark(self) -> None:
        for victim in list(self._victims):
            self._check()
            self._marked.append(victim)
            if not await self._annotate(victim, MARK):
                self._victims.remove(victim)

    async def _settle(self) -> tuple[list[PodSeen], DeploymentSeen]:
        """Read everything anew until nothing is in the way; whoever is not fit any more is let go on."""
        while True:
            self._ask()
            deployment, pods = await self._read_deployment(), await self._read_pods()
            unfit = find_unfit(pods, self._victims, await self._read_presences())
            for victim in self._victims:
                if victim not in unfit and victim.worker and not await is_drained(self._bus, victim.worker):
                    unfit[victim] = "has a job"
            for victim, why in unfit.items():
                log.info("worker_kept", job=str(self._order.job), pod=victim.pod, why=why)
                self._victims.remove(victim)
                await self._release(victim)
            if not unfit:
                self._refuse(deployment, pods)
                return pods, deployment

    def _refuse(self, deployment: DeploymentSeen, pods: Sequence[PodSeen]) -> None:
        """Raise if the world is not the one that this was decided in."""
        before = self._order.deployment
        if not self._victims and not self._count_missing(deployment, pods):
            raise _GivenUpError("nobody is left who may go")
        if (deployment.uid, deployment.replicas) != (before.uid, before.replicas) or deployment.leaving:
            raise _GivenUpError("the Deployment was changed meanwhile")
        if not deployment.steady:
            raise _GivenUpError("a rollout has begun")
        endangered = find_endangered(pods, self._victims, lost=self._order.lost)
        if endangered:
            raise _GivenUpError(f"pod {endangered[0]} is not ready and might be taken away instead")
        self._check()

    async def _scale(self, deployment: DeploymentSeen, pods: Sequence[PodSeen]) -> Body | None:
        """Ask for fewer, if the Deployment is still the one that was read; None: no answer, so it may have happened."""
        replicas = deployment.replicas - len(self._victims) - self._count_missing(deployment, pods)
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                return await apply_scale(self._cluster, deployment, replicas)
        except (UnavailableError, TimeoutError):
            return None

    async def _watch(self, before: Sequence[PodSeen], scale: Body | None) -> Result:
        """Look who goes; whoever was to go and did not is let go on afterwards."""
        loop = asyncio.get_running_loop()
        end, wait = loop.time() + WATCH_SECONDS, _FIRST_LOOK_SECONDS
        meant = {victim.uid for victim in self._victims}
        left: set[str] = set()
        while self._victims:
            try:
                there = {pod.uid for pod in list_present(await self._read_pods())}
            except UnavailableError:
                break
            left = {pod.uid for pod in list_present(before) if pod.uid not in there}
            if meant <= left or (scale is not None and len(left) >= len(meant)) or loop.time() > end:
                break
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_LOOK_SECONDS)
        strays = [pod.name for pod in before if pod.uid in left - meant - self._order.lost] if meant - left else []
        self._victims = [victim for victim in self._victims if victim.uid not in left]
        self._marked = [victim for victim in self._marked if victim.uid not in left]
        return Result(scale, tuple(strays), why="" if scale else "a write was not answered", sure=scale is not None)

    async def _clear_up(self) -> None:
        """Take the marks off, and let everybody go on who has not gone."""
        try:
            async with asyncio.timeout(CLEAR_SECONDS):
                for victim in list(self._marked):
                    await self._release(victim)
        except (JetmillError, TimeoutError) as err:
            log.warning("marks_left", job=str(self._order.job), error=str(err) or "no answer")
        for victim in self._victims:
            self._resume(victim)

    # Parts

    def _check(self) -> None:
        if self._given_up:
            raise _GivenUpError(self._given_up)

    def _count_missing(self, deployment: DeploymentSeen, pods: Sequence[PodSeen]) -> int:
        return max(0, min(self._order.missing, deployment.replicas - len(list_present(pods))))

    async def _release(self, victim: Victim) -> None:
        if victim in self._marked:
            self._marked.remove(victim)
            await self._annotate(victim, None)
        self._resume(victim)

    def _resume(self, victim: Victim) -> None:
        if victim.worker:
            with contextlib.suppress(InvalidNameError):
                self._bus.signals.undrain(victim.worker)

    async def _annotate(self, victim: Victim, value: str | None) -> bool:
        return await annotate_pod(self._cluster, self._order.job.namespace, victim.pod, uid=victim.uid, value=value)

    async def _read_deployment(self) -> DeploymentSeen:
        order = self._order
        body = await self._cluster.get(DEPLOYMENT, order.job.namespace, order.deployment.name)
        if body is None:
            raise _GivenUpError("the Deployment has gone")
        return read_deployment(body, handed_over=is_handed_over(body))

    async def _read_pods(self) -> list[PodSeen]:
        job = self._order.job
        bodies = await self._cluster.list(POD, namespace=job.namespace, labels=build_selector(job.name))
        return [read_pod(body) for body in bodies]

    async def _read_presences(self) -> list[Presence]:
        return await self._bus.presence.all()


async def apply_scale(cluster: Cluster, deployment: DeploymentSeen, replicas: int) -> Body:
    """Ask for so many, if the Deployment is still at the version that was read; else ConflictError, AbsentError."""
    meta = {"name": deployment.name, "namespace": deployment.namespace, "resourceVersion": deployment.version}
    scale: Body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": meta, "spec": {"replicas": replicas}}
    return await cluster.apply(DEPLOYMENT, scale, manager=AUTOSCALER, subresource="scale")


async def annotate_pod(cluster: Cluster, namespace: str, name: str, *, uid: str, value: str | None) -> bool:
    """Set a pod's deletion cost, or take it off; False: that very pod has gone."""
    patch: Body = {"metadata": {"uid": uid, "annotations": {COST: value}}}
    try:
        await cluster.patch(POD, namespace, name, patch, manager=AUTOSCALER)
    except (AbsentError, ConflictError):
        return False
    return True
