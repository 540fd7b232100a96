"""A step down: which pods may go, and whether anybody else could be taken in their place. Pure.

Harmless are three kinds of pods, and only they may go:

```
 missing   asked for and not there (a quota, a slow controller)    nothing to say good-bye to
 lost      not ready, and nobody has served from it for a while    no node, no image, crashes
 drained   its worker was asked, takes nothing, has nothing        see `victim`
```

Presences and pods are matched by the pod's name, which the worker says. Where two workers call themselves by one pod,
its container was started again and the older one's presence has not run out: who knows what it has in hand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from jetmill.protocol.record import Presence
from jetmill_operator.policy.crew import MARK, PodSeen, list_endangered, list_present, rank
from jetmill_operator.policy.victim import DrainPlan, build_workers, plan_drains

LOST_SECONDS = 60.0
"""For so long a pod must have been neither ready nor served from to be lost."""


@dataclass(frozen=True, slots=True)
class Victim:
    """A pod that is to go."""

    pod: str
    uid: str
    worker: str = ""
    """Who has drained in it; empty: it is lost, nobody serves from it."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What to tell workers now, and who may go."""

    drains: DrainPlan
    lost: tuple[Victim, ...] = ()
    missing: int = 0
    """So many fewer may be asked for without anybody going."""
    pods: Mapping[str, PodSeen] | None = None
    """By the worker in them, for `drains.victims`."""

    def name_victims(self, drained: Iterable[str]) -> tuple[Victim, ...]:
        """The lost, and the pods of those workers that have drained."""
        pods = self.pods or {}
        return (*self.lost, *(Victim(pods[one].name, pods[one].uid, one) for one in drained if one in pods))


def match_workers(pods: Sequence[PodSeen], presences: Iterable[Presence]) -> dict[str, tuple[PodSeen, Presence]]:
    """Match workers with pods, by the worker's id; a pod with two workers is left out, and so is who leaves anyhow."""
    found: dict[str, list[Presence]] = {}
    for presence in presences:
        if presence.pod:
            found.setdefault(presence.pod, []).append(presence)
    matched = {}
    for pod in list_present(pods):
        inside = found.get(pod.name, [])
        if len(inside) == 1 and not inside[0].stopping:
            matched[inside[0].worker] = (pod, inside[0])
    return matched


def note_lost(
    known: Mapping[str, float], pods: Sequence[PodSeen], presences: Iterable[Presence], *, time: float
) -> dict[str, float]:
    """Note since when each pod (by uid) has been neither ready nor served from."""
    served = {presence.pod for presence in presences}
    silent = [pod for pod in list_present(pods) if not pod.ready and pod.name not in served]
    return {pod.uid: known.get(pod.uid, time) for pod in silent}


def list_lost(silent: Mapping[str, float], *, time: float) -> frozenset[str]:
    """The uids of those that have been so for long enough."""
    return frozenset(uid for uid, since in silent.items() if time - since >= LOST_SECONDS)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a removal is planned from."""

    replicas: int
    """How many are asked for."""
    pods: Sequence[PodSeen]
    presences: Sequence[Presence]
    idle_since: Mapping[str, float]
    """By worker, as `victim.note_idle` notes it."""
    lost: Collection[str] = frozenset()
    """The uids of lost pods."""


def plan_removal(scene: Scene, surplus: int, *, asked: Collection[str]) -> Removal:
    """Plan a step down by `surplus` workers (0: let all go on that were asked); the missing go first, then the lost."""
    present = list_present(scene.pods)
    missing = max(0, min(surplus, scene.replicas - len(present)))
    lost = sorted((pod for pod in present if pod.uid in scene.lost), key=rank)[: max(0, surplus - missing)]
    matched = match_workers(scene.pods, scene.presences)
    workers = build_workers((presence for _, presence in matched.values()), scene.idle_since)
    return Removal(
        drains=plan_drains(workers, surplus - missing - len(lost), asked=asked),
        lost=tuple(Victim(pod.name, pod.uid) for pod in lost),
        missing=missing,
        pods={worker: pod for worker, (pod, _) in matched.items()},
    )


def find_endangered(pods: Sequence[PodSeen], victims: Collection[Victim], *, lost: Collection[str]) -> list[str]:
    """The pods that a ReplicaSet might take away in place of the victims, once these are marked, and must not."""
    meant = {victim.uid for victim in victims}
    marked = [replace(pod, cost=int(MARK)) if pod.uid in meant else pod for pod in pods]
    return [pod.name for pod in list_endangered(marked, len(victims)) if pod.uid not in meant and pod.uid not in lost]


def find_unfit(pods: Sequence[PodSeen], victims: Iterable[Victim], presences: Sequence[Presence]) -> dict[Victim, str]:
    """Those victims that must not go after all, and why; by pods and presences that were read anew."""
    there = {pod.uid: pod for pod in list_present(pods)}
    matched = match_workers(pods, presences)
    served = {presence.pod for presence in presences}
    unfit: dict[Victim, str] = {}
    for victim in victims:
        pod = there.get(victim.uid)
        if pod is None:
            unfit[victim] = "has gone by itself"
        elif not pod.marked:
            unfit[victim] = "has lost its mark"
        elif not victim.worker and (pod.ready or pod.name in served):
            unfit[victim] = "has come to life"
        elif victim.worker and (victim.worker not in matched or matched[victim.worker][0].uid != victim.uid):
            unfit[victim] = "is another worker's"
    return unfit
