"""The autoscaler: looks at every Job that has workers of its own, decides (policy/scaling), obeys.

```
            wake · tail grew · spec or replicas changed
                  │
  at zero ────────┴──▶ look ─▶ decide ─▶ more: /scale at once
     ▲                  ▲ │              fewer: ask to drain ─▶ (drained) a step of its own: retire.py
     │                  └─┘ every 2 s    the same: whoever was asked may go on
     └── nobody, and nothing to do
```

At most eight Jobs are looked at at once, and at most eight steps down are under way; a Job is never looked at twice at
once, nor has it two steps. Everything here is memory: a new leader begins with windows that have to warm up, so it may
add at once and lets nobody go for a whole cooldown. Runs with the leader, and ends with its lease (NotLeaderError).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from jetmill.errors import JetmillError
from jetmill_operator.cluster.errors import AbsentError, ClusterError, ConflictError, NotLeaderError
from jetmill_operator.cluster.ports import DEPLOYMENT, JOB, Key
from jetmill_operator.policy.account import account_blind, account_decision, account_hold
from jetmill_operator.policy.condition import Backlog
from jetmill_operator.policy.condition import Scaling as Said
from jetmill_operator.policy.crew import DeploymentSeen, count_homeless, list_present
from jetmill_operator.policy.demand import Scaling, build_scaling
from jetmill_operator.policy.reason import Reason
from jetmill_operator.policy.removal import Scene, find_endangered, list_lost, note_lost, plan_removal
from jetmill_operator.policy.scaling import Decision, ScalerState, decide_replicas
from jetmill_operator.policy.victim import DrainPlan, note_idle
from jetmill_operator.reconcile.board import Sighting
from jetmill_operator.reconcile.cache import JobSeen
from jetmill_operator.reconcile.queue import Again, WorkQueue
from jetmill_operator.reconcile.race import run_until_first_ends
from jetmill_operator.reconcile.retire import Order, Result, Retirement, annotate_pod, apply_scale
from jetmill_operator.reconcile.team import Parts
from jetmill_operator.reconcile.wake import Sleepers
from jetmill_operator.scaler.drain import apply_drains
from jetmill_operator.scaler.load import Load, Meter, PresenceReader, merge_queues, observe_load
from jetmill_operator.scaler.observation import QueueSeen, build_seen

LOOK_SECONDS = 2.0
"""How often a Job with workers, or with something to do, is looked at."""
SURE_SECONDS = 1.0
"""A Job at zero is looked at twice, so far apart, before it is believed that there is nothing to do."""
SHOWN_SECONDS = 30.0
"""For so long a status that does not say so yet keeps it from being left in peace."""
REST_SECONDS = 600.0
"""… and then about as often, whatever else happens."""
BLIND_SECONDS = 10.0
"""A queue that could not be read for less is not worth a write to every status."""
RETRY_SECONDS = 10.0
"""When the API server refused, or there is no queue."""
SWEEP_SECONDS = 5.0
"""How often marks are looked for that nobody took off."""
HOMELESS_SECONDS = 5.0
"""For so long no node must have had room for a pod."""
FOREIGN_SECONDS, FOREIGN_COUNT = 300.0, 2
"""Whoever else sets the replicas so often in so many seconds means it."""
AT_ONCE = 8
_STOP_SECONDS = 2.0

log = structlog.get_logger("jetmill.operator")


@dataclass(slots=True)
class _Row:
    """What is kept of a Job from one look to the next."""

    looks: int = 0
    state: ScalerState = field(default_factory=ScalerState)
    meter: Meter = field(default_factory=Meter)
    idle_since: dict[str, float] = field(default_factory=dict)
    silent: dict[str, float] = field(default_factory=dict)
    """Pods that nobody serves from, by uid."""
    asked: set[str] = field(default_factory=set)
    """Workers that were told to drain."""
    uid: str = ""
    expected: int | None = None
    """What the replicas were after our last look or write; None: unknown."""
    foreign: list[float] = field(default_factory=list)
    """When somebody else set them."""
    blind_since: float | None = None
    said: Said | None = None
    idle_from: float | None = None
    """Since when there is nobody and nothing to do."""
    tails: dict[str, int] | None = None
    order: Order | None = None
    """A step down that waits or is under way."""
    retirement: Retirement | None = None
    ordered: Decision | None = None
    """What the step was ordered for."""


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look found."""

    key: Key
    job: JobSeen
    row: _Row
    deployment: DeploymentSeen
    load: Load
    queue: QueueSeen
    spec: Scaling
    time: float


class Scaler:
    """All Jobs of one process. `chance` gives numbers in [0, 1)."""

    def __init__(self, parts: Parts, *, chance: Callable[[], float] = random.random) -> None:
        self._parts = parts
        self._cache = parts.cache
        self._chance = chance
        self._rows: dict[Key, _Row] = {}
        self._presences = PresenceReader(clock=parts.clock.monotonic)
        self._looks: WorkQueue[Key] = WorkQueue(self.look, workers=AT_ONCE)
        self._steps: WorkQueue[Key] = WorkQueue(self.retire, workers=AT_ONCE)
        self._sleepers = Sleepers(parts.buses.of, on_wake=self._looks.add, on_blind=self._note_blind)

    @property
    def resting(self) -> int:
        """Jobs at zero with nothing to do: nobody looks at them until something tells to."""
        return self._sleepers.resting

    def looks(self, key: Key) -> int:
        """How often a Job has been looked at and decided on, since it last had no workers of its own to scale."""
        return self._rows[key].looks if key in self._rows else 0

    async def run(self) -> None:
        """Scale until cancelled; raises NotLeaderError."""
        self._cache.on_change = self._looks.add
        for key in list(self._cache.jobs):
            self._looks.add(key, live=False)
        try:
            await run_until_first_ends(self._looks.run(), self._steps.run(), self._sleepers.run(), self._sweep())
        finally:
            self._cache.on_change = lambda _: None
            await self.close()

    async def close(self) -> None:
        """Let the steps that are under way undo what they did, and listen to nothing more."""
        for row in self._rows.values():
            if row.retirement is not None:
                row.retirement.give_up("the autoscaler ends")
        await self._steps.stop(grace_seconds=_STOP_SECONDS)
        await self._looks.stop(grace_seconds=0.0)
        self._sleepers.close()
        await self._presences.close()

    # Looking

    async def look(self, key: Key) -> Again | None:
        """Look at one Job, and do what is decided; raises NotLeaderError."""
        job, deployment = self._cache.jobs.get(key), self._cache.deployments.get(key)
        if job is None or deployment is None or not _is_scaled(job, deployment):
            self._forget(key)
            return None
        row = self._rows.setdefault(key, _Row(said=job.said))
        names = [key.name, *(rider.name for rider in self._parts.index.riders_of(key.namespace, key.name))]
        if deployment.replicas == 0:
            self._listen(key, names)
        else:
            self._sleepers.forget(key)
        load = await observe_load(self._parts.buses.of(key.namespace), names, self._presences)
        deployment = self._cache.deployments.get(key, deployment)  # it may have moved meanwhile
        now = self._parts.clock.monotonic()
        suspended = self._list_suspended(key, names)
        queue = merge_queues(load, row.meter, suspended=suspended)
        spec = replace(build_scaling(job.spec, slots=queue.slots), suspend=len(suspended) == len(names))
        return await self._decide(_Look(key, job, row, deployment, load, queue, spec, now))

    async def _decide(self, look: _Look) -> Again:
        row, deployment = look.row, look.deployment
        pods = self._cache.pods(look.key)
        seen = build_seen(
            look.queue,
            time=look.time,
            replicas=deployment.replicas,
            ready=deployment.ready,
            unschedulable=count_homeless(pods, now=self._parts.clock.now(), seconds=HOMELESS_SECONDS),
        )
        decision = decide_replicas(look.spec, row.state, seen)
        row.state = decision.state
        row.looks += 1
        if seen.valid:
            serving = [one for one in look.load.presences if look.key.name in one.jobs]
            row.idle_since = note_idle(row.idle_since, serving, time=look.time)
            row.silent = note_lost(row.silent, pods, look.load.presences, time=look.time)
        held = self._note_foreign(look)
        wait = LOOK_SECONDS if held else await self._obey(look, decision)
        await self._publish(look, decision, held=held)
        return Again(self._decide_wait(look, decision, wait))

    def _decide_wait(self, look: _Look, decision: Decision, wait: float) -> float:
        """When to look again: soon, or (at zero, with nothing to do) when something tells to."""
        row, key, flows = look.row, look.key, look.load.flows
        at_zero = decision.replicas == 0 == look.deployment.replicas and not list_present(self._cache.pods(key))
        if look.queue.flow is None:
            return max(wait, RETRY_SECONDS) if look.load.missing or at_zero else wait
        idle = look.spec.suspend or not (look.queue.flow.ready or look.queue.flow.in_flight)
        if not at_zero or not idle:
            row.idle_from = None
            return wait
        row.idle_from = look.time if row.idle_from is None else row.idle_from
        if self._parts.board.is_behind(key) and look.time - row.idle_from < SHOWN_SECONDS:
            return wait
        tails = {job: flow.stored for job, flow in flows.items()}
        if tails != row.tails:
            row.tails = tails
            return SURE_SECONDS
        self._sleepers.rest(key, tails)
        return REST_SECONDS * (0.5 + self._chance())

    def _listen(self, key: Key, names: list[str]) -> None:
        try:
            self._sleepers.listen(key, names)
        except JetmillError as err:
            log.warning("wakes_not_heard", key=str(key), error=str(err))

    def _list_suspended(self, key: Key, names: list[str]) -> list[str]:
        known = {name: self._cache.jobs.get(Key(JOB.name, key.namespace, name)) for name in names}
        return [name for name, job in known.items() if job is not None and job.spec.suspend]

    def _forget(self, key: Key) -> None:
        row = self._rows.pop(key, None)
        if row is not None and row.retirement is not None:
            row.retirement.give_up("the Job is not scaled any more")
        self._sleepers.forget(key)

    def _note_foreign(self, look: _Look) -> bool:
        """Tell whether the number is to be left to somebody else, who keeps setting it."""
        row, deployment = look.row, look.deployment
        if row.uid != deployment.uid:
            row.uid, row.expected, row.foreign = deployment.uid, None, []
        if row.expected not in (None, deployment.replicas) and row.order is None:
            row.foreign.append(look.time)
            log.warning("replicas_set_by_others", key=str(look.key), replicas=deployment.replicas, ours=row.expected)
        if row.order is None:
            row.expected = deployment.replicas
        row.foreign = [time for time in row.foreign if look.time - time < FOREIGN_SECONDS]
        return len(row.foreign) >= FOREIGN_COUNT

    # Obeying

    async def _obey(self, look: _Look, decision: Decision) -> float:
        """Do what was decided; give the seconds after which to look again."""
        row, surplus = look.row, look.deployment.replicas - decision.replicas
        if row.order is not None:
            if surplus <= 0 and row.retirement is not None:
                row.retirement.give_up("all are wanted again")
            return min(LOOK_SECONDS, 0.2) if surplus < 0 else LOOK_SECONDS
        if surplus < 0:
            return await self._raise(look, decision)
        if surplus > 0 and look.deployment.steady:
            await self._lower(look, decision, surplus)
        elif row.asked:
            await apply_drains(self._parts.buses.of(look.key.namespace), DrainPlan(undo=tuple(row.asked)))
            row.asked = set()
        return LOOK_SECONDS

    async def _raise(self, look: _Look, decision: Decision) -> float:
        try:
            scale = await apply_scale(self._parts.cluster, look.deployment, decision.replicas)
        except (AbsentError, ConflictError):
            body = await self._parts.cluster.get(DEPLOYMENT, look.key.namespace, look.deployment.name)
            self._cache.put_deployment(look.key, body)
            return 0.05
        except NotLeaderError:
            raise
        except ClusterError as err:
            look.row.expected = None  # it may have landed
            log.warning("not_scaled", key=str(look.key), replicas=decision.replicas, error=str(err))
            return RETRY_SECONDS
        self._cache.note_scale(look.key, scale)
        look.row.expected = decision.replicas
        await self._tell(look.job, decision, up=True)
        return LOOK_SECONDS

    async def _lower(self, look: _Look, decision: Decision, surplus: int) -> None:
        """Ask those that shall leave to drain; if some have, have them taken away."""
        row, key, pods = look.row, look.key, self._cache.pods(look.key)
        lost = list_lost(row.silent, time=look.time)
        scene = Scene(look.deployment.replicas, pods, look.load.presences, row.idle_since, lost)
        removal = plan_removal(scene, surplus, asked=row.asked)
        drained = await apply_drains(self._parts.buses.of(key.namespace), removal.drains)
        row.asked = set(removal.drains.ask)
        victims = removal.name_victims(drained)
        if find_endangered(pods, victims, lost=lost) or not (victims or removal.missing):
            return
        row.order, row.ordered = Order(key, look.deployment, victims, removal.missing, lost), decision
        self._steps.add(key)

    async def retire(self, key: Key) -> None:
        """Take the step down that was ordered; raises NotLeaderError."""
        row = self._rows.get(key)
        if row is None or row.order is None:
            return
        order = row.order
        retirement = row.retirement = Retirement(self._parts.cluster, self._parts.buses.of(key.namespace), order)
        try:
            result = await retirement.run()
        finally:
            row.order = row.retirement = None
        await self._conclude(row, order, result)

    async def _conclude(self, row: _Row, order: Order, result: Result) -> None:
        key, job = order.job, self._cache.jobs.get(order.job)
        row.expected = order.deployment.replicas if result.sure else None
        if result.strays:
            self._parts.metrics.count_strays(len(result.strays))
            log.warning("pods_taken_by_mistake", key=str(key), pods=list(result.strays))
            if job is not None:
                told = (
                    f"pod {', '.join(result.strays)} was taken away in place of one that had drained; it ends in peace"
                )
                await self._parts.recorder.tell(job.body, "OtherWorkerLeft", told, kind="Warning")
        if result.scale is None:
            log.info("step_down_not_done", key=str(key), why=result.why)
            return
        self._cache.note_scale(key, result.scale)
        row.expected = replicas = int(result.scale["spec"].get("replicas", 0))
        row.asked -= {victim.worker for victim in order.victims}
        if job is not None and row.ordered is not None:
            figures = replace(row.ordered.figures, before=order.deployment.replicas, after=replicas)
            await self._tell(job, replace(row.ordered, replicas=replicas, figures=figures), up=False)
        self._looks.add(key)

    # Telling

    async def _tell(self, job: JobSeen, decision: Decision, *, up: bool) -> None:
        self._parts.metrics.count_decision("up" if up else "down", str(decision.reason))
        log.info("scaled", key=str(job.key), replicas=decision.replicas, why=str(decision), reason=str(decision.reason))
        message = f"{decision} ({decision.reason})"
        await self._parts.recorder.tell(job.body, "ScaledUp" if up else "ScaledDown", message)

    async def _publish(self, look: _Look, decision: Decision, *, held: bool) -> None:
        """Put it on the board, for the status; riders show their own backlog."""
        key, row, now = look.key, look.row, self._parts.clock.stamp()
        for missing in look.load.missing:
            self._parts.enqueue(Key(JOB.name, key.namespace, missing))
        if look.queue.flow is None:
            self._note_blind(key)
            return
        row.blind_since = None
        was = row.said
        if held:
            row.said = account_hold(look.deployment.replicas, was, deployment=look.deployment.name, now=now)
            if was is None or was.limited is not Reason.FOREIGN_SCALER:
                await self._parts.recorder.tell(look.job.body, Reason.FOREIGN_SCALER, row.said.message, kind="Warning")
        else:
            row.said = account_decision(decision, look.spec, was, now=now)
        for job, flow in look.load.flows.items():
            backlog = Backlog(flow.ready, flow.in_flight, flow.delayed)
            own = job == key.name
            replicas = self._cache.deployments.get(key, look.deployment).replicas if own else None
            sighting = Sighting(backlog, row.said if own else None, replicas)
            self._parts.board.put(Key(JOB.name, key.namespace, job), sighting)

    def _note_blind(self, key: Key) -> None:
        """Say that the queue cannot be read, once that has lasted."""
        row, now = self._rows.get(key), self._parts.clock.monotonic()
        if row is None:
            return
        row.blind_since = now if row.blind_since is None else row.blind_since
        deployment = self._cache.deployments.get(key)
        if deployment is None or now - row.blind_since < BLIND_SECONDS:
            return
        row.said = account_blind(deployment.replicas, row.said, now=self._parts.clock.stamp())
        self._parts.board.put(key, Sighting(None, row.said, deployment.replicas))

    # Marks that were left

    async def _sweep(self) -> None:
        while True:
            await self.clear_marks()
            await asyncio.sleep(SWEEP_SECONDS)

    async def clear_marks(self) -> None:
        """Take marks off pods that no step down is about to take away; raises NotLeaderError."""
        busy = {uid for row in self._rows.values() if row.retirement is not None for uid in row.retirement.uids}
        for key, pod in self._cache.marked():
            if pod.uid in busy or pod.leaving:
                continue
            try:
                await annotate_pod(self._parts.cluster, key.namespace, pod.name, uid=pod.uid, value=None)
            except NotLeaderError:
                raise
            except ClusterError as err:
                log.warning("mark_not_cleared", pod=pod.name, error=str(err))


def _is_scaled(job: JobSeen, deployment: DeploymentSeen) -> bool:
    """The replicas are ours to set."""
    return (
        job.carrier is None
        and not job.leaving
        and deployment.owner == job.uid
        and deployment.handed_over
        and not deployment.leaving
    )


async def run_scaler(parts: Parts) -> None:
    """Scale for as long as this process leads."""
    await Scaler(parts).run()
