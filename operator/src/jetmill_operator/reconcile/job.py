"""One Job: observe → plan → apply → status.

```
 get Job ─▶ gone: forget it · being deleted: clean up (deletion.py) · refused by its model: Stalled
    │
    ▼
 observe: children, riders, what the bus would have to write ─▶ plan_job ─▶ each step, in order ─▶ status
```

Every step may be the last that this process does: the next pass, of whichever process, reads the world anew and goes
on from there. NATS being away stops nothing but the queue's own steps. Only what nobody expected is raised.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import assert_never

from pydantic import ValidationError

from jetmill.errors import BusError, NoAnswerError, ObstacleError, PermissionDeniedError, RefusedError
from jetmill_operator.api.job import IN_CLUSTER, Job
from jetmill_operator.api.refusal import list_refusals
from jetmill_operator.cluster.errors import AbsentError, ConflictError, ForbiddenError, InvalidError
from jetmill_operator.cluster.ports import (
    AUTOSCALER,
    BUDGET,
    DEPLOYMENT,
    JOB,
    OPERATOR,
    POD,
    SERVICE_ACCOUNT,
    Body,
    Cluster,
    Key,
)
from jetmill_operator.policy.condition import Backlog, View, build_status
from jetmill_operator.policy.reason import Reason
from jetmill_operator.policy.worker import Problem, Workers, read_workers
from jetmill_operator.reconcile.board import COUNTERS_SECONDS, Board, Sighting
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.deletion import Deletion
from jetmill_operator.reconcile.index import JobIndex
from jetmill_operator.reconcile.moment import SYSTEM, Clock, format_time, parse_time
from jetmill_operator.reconcile.queue import Again
from jetmill_operator.reconcile.status import StatusWriter
from jetmill_operator.resources.deployment import WorkerLink
from jetmill_operator.resources.label import build_selector, is_child, name_child
from jetmill_operator.resources.plan import (
    AddFinalizer,
    ApplyObject,
    ApplyQueue,
    Blocked,
    DeleteObject,
    HandOver,
    Obstacle,
    Plan,
    Seen,
    Step,
    build_settings,
    plan_job,
)

RETRY_SECONDS = 5.0
"""The first wait after something failed outside; each further one is twice as long …"""
LONGEST_RETRY_SECONDS = 300.0
"""… up to this."""
LOOK_SECONDS = 60.0
"""So often a Job that somebody has to mend is looked at: what is in its way may tell nobody that it goes."""
SOON_SECONDS = 0.5
_LONGEST_MESSAGE = 2_000


@dataclass(slots=True)
class _Pass:
    """What one pass has found out so far."""

    job: Job
    body: Body
    seen: Seen
    queue: Problem | None = None
    stalled: Problem | None = None
    waiting: Problem | None = None
    deployment: Body | None = None


@dataclass(slots=True)
class _Retry:
    due: float
    count: int = field(default=1)


class JobReconciler:
    """Keeps every Job as it is declared."""

    def __init__(
        self,
        cluster: Cluster,
        buses: Buses,
        index: JobIndex,
        *,
        link: WorkerLink,
        board: Board,
        status: StatusWriter,
        deletion: Deletion,
        clock: Clock = SYSTEM,
    ) -> None:
        self._cluster = cluster
        self._buses = buses
        self._index = index
        self._link = link
        self._board = board
        self._status = status
        self._deletion = deletion
        self._clock = clock
        self._retries: dict[Key, _Retry] = {}

    async def reconcile(self, key: Key) -> Again | None:
        """Bring one Job in line; raises ClusterError for what the caller has to try again, NotLeaderError."""
        body = await self._cluster.get(JOB, key.namespace, key.name)
        if body is None:
            self._board.forget(key)
            self._retries.pop(key, None)
            return None
        try:
            if "deletionTimestamp" in body["metadata"]:
                return await self._deletion.reconcile(key, body)
            return await self._keep(key, body)
        except ForbiddenError as err:
            if err.terminating:
                return None  # the namespace is going away, and the Job with it
            raise
        except (ConflictError, AbsentError, RefusedError):  # the Job is not what it was when this pass began
            return Again(SOON_SECONDS)

    async def _keep(self, key: Key, body: Body) -> Again | None:
        job = parse_job(body)
        if isinstance(job, Problem):
            deployment = await self._cluster.get(DEPLOYMENT, key.namespace, name_child(key.name))
            own = deployment if deployment is not None and is_child(deployment, body) else None
            view = View(generation=body["metadata"]["generation"], stalled=job, workers=read_workers(own, []))
            await self._publish(key, body, view)
            return None
        now = await self._observe(job, body)
        plan = plan_job(job, now.seen, self._link)
        _note_obstacle(now, plan)
        for step in plan.steps:
            if not await self._take(now, step):
                break
        return await self._conclude(key, now)

    # Observe

    async def _observe(self, job: Job, body: Body) -> _Pass:
        namespace, child = body["metadata"]["namespace"], name_child(job.name)
        carrier = job.spec.worker.from_
        seen = Seen(
            body,
            deployment=await self._cluster.get(DEPLOYMENT, namespace, child),
            service_account=await self._cluster.get(SERVICE_ACCOUNT, namespace, child),
            budget=await self._cluster.get(BUDGET, namespace, child),
            riders=self._index.riders_of(namespace, job.name),
            carrier=None if carrier is None else self._index.carrier_of(namespace, carrier.name),
        )
        now = _Pass(job, body, seen)
        if seen.deployment is not None and is_child(seen.deployment, body):
            now.deployment = seen.deployment
        try:
            before = await self._buses.read(namespace, job.name)
            changes = await self._buses.inspect(namespace, build_settings(job, body))
            now.seen = replace(seen, changes=changes, settings=before)
        except BusError as err:
            now.seen = replace(seen, changes=None)
            self._note_bus_error(now, err)
        return now

    def _note_bus_error(self, now: _Pass, err: BusError) -> None:
        self._buses.doubt(now.body["metadata"]["namespace"])
        now.queue = explain_bus_error(err)
        if now.queue.reason in (Reason.CONFLICT, Reason.FORBIDDEN):
            now.stalled = now.queue

    # Apply

    async def _take(self, now: _Pass, step: Step) -> bool:
        """Do one step; False: those that follow are of no use now."""
        try:
            await self._apply(now, step)
        except RefusedError:
            raise
        except BusError as err:
            self._note_bus_error(now, err)
        except InvalidError as err:
            now.stalled = now.stalled or _explain_invalid(err)
            return False
        except ForbiddenError as err:
            if err.terminating:
                raise
            now.stalled = now.stalled or Problem(Reason.FORBIDDEN, _shorten(str(err)))
            return False
        return True

    async def _apply(self, now: _Pass, step: Step) -> None:
        meta = now.body["metadata"]
        namespace = meta["namespace"]
        match step:
            case AddFinalizer(finalizers):
                patch = {"metadata": {"finalizers": list(finalizers), "resourceVersion": meta["resourceVersion"]}}
                await self._cluster.patch(JOB, namespace, meta["name"], patch)
            case ApplyQueue(settings):
                await self._buses.apply(namespace, settings, before=step.before)
            case ApplyObject(kind, body):
                applied = await self._cluster.apply(kind, body, manager=OPERATOR, force=step.force)
                if kind == DEPLOYMENT:
                    now.deployment = applied
            case HandOver(name, replicas):
                scale = {
                    "apiVersion": "autoscaling/v1",
                    "kind": "Scale",
                    "metadata": {"name": name, "namespace": namespace},
                    "spec": {"replicas": replicas},
                }
                await self._cluster.apply(DEPLOYMENT, scale, manager=AUTOSCALER, subresource="scale")
            case DeleteObject(kind, name, uid):
                await self._cluster.delete(kind, namespace, name, uid=uid)
                if kind == DEPLOYMENT:
                    now.deployment = None
            case _:
                assert_never(step)

    # Conclude

    async def _conclude(self, key: Key, now: _Pass) -> Again | None:
        spec = now.job.spec
        sighting = self._board.get(key)
        backlog = sighting.backlog if sighting is not None else await self._count(now)
        view = View(
            generation=now.body["metadata"]["generation"],
            suspended=spec.suspend,
            min_replicas=spec.scaling.min_replicas,
            rides_on=None if spec.worker.from_ is None else spec.worker.from_.name,
            queue=now.queue,
            stalled=now.stalled,
            waiting=now.waiting,
            workers=await self._read_workers(now),
            backlog=backlog,
            scaling=None if sighting is None else sighting.scaling,
        )
        wait = self._decide_wait(key, now)
        # Who waits for a person is looked at every minute: to say when would be a write each time.
        if wait is not None and wait > SOON_SECONDS and now.stalled is None:
            view = replace(view, retry_time=self._decide_retry_time(now.body, wait))
        left = await self._publish(key, now.body, view, sighting)
        waits = [seconds for seconds in (wait, left) if seconds is not None]
        if sighting is None and backlog is not None and (backlog.ready or backlog.in_flight or backlog.delayed):
            waits.append(COUNTERS_SECONDS)  # nobody else looks at it
        return Again(min(waits)) if waits else None

    async def _publish(self, key: Key, body: Body, view: View, sighting: Sighting | None = None) -> float | None:
        after = build_status(view, body.get("status") or {}, now=self._clock.stamp())
        left = await self._status.write(JOB, body, after)
        if left is None:
            self._board.show(key, sighting)
        return left

    async def _count(self, now: _Pass) -> Backlog | None:
        if now.queue is not None:
            return None
        try:
            depth = await self._buses.of(now.body["metadata"]["namespace"]).queue.depth(now.job.name)
        except BusError as err:
            self._note_bus_error(now, err)
            return None
        return Backlog(depth.ready, depth.in_flight, depth.delayed)

    async def _read_workers(self, now: _Pass) -> Workers | None:
        """The workers, of the carrier if it rides; pods are looked at only where some are missing."""
        namespace, carrier = now.body["metadata"]["namespace"], now.job.spec.worker.from_
        name, deployment = now.job.name, now.deployment
        if carrier is not None:
            name = carrier.name
            deployment = await self._cluster.get(DEPLOYMENT, namespace, name_child(name))
        workers = read_workers(deployment, [])
        if deployment is None or workers is None or (workers.ready >= workers.desired and not workers.rolling):
            return workers
        pods = await self._cluster.list(POD, namespace=namespace, labels=build_selector(name))
        return read_workers(deployment, pods)

    def _decide_wait(self, key: Key, now: _Pass) -> float | None:
        """When to look again although nothing tells to; failures wait longer each time, once for each wait."""
        if now.stalled is None and now.queue is None:
            self._retries.pop(key, None)
            return SOON_SECONDS if now.waiting is not None else None
        if now.stalled is not None:
            return LOOK_SECONDS
        clock, retry = self._clock.monotonic(), self._retries.get(key)
        if retry is None or clock >= retry.due:
            count = 0 if retry is None else retry.count
            wait = min(LONGEST_RETRY_SECONDS, RETRY_SECONDS * 2.0**count)
            retry = self._retries[key] = _Retry(clock + wait, count + 1)
        return retry.due - clock

    def _decide_retry_time(self, body: Body, wait: float) -> str:
        """When the next try is; what the status says stays while it is to come, or each pass would write it anew."""
        said = (body.get("status") or {}).get("nextRetryTime")
        there, now = parse_time(said), self._clock.now()
        if there is not None and now < there <= now + timedelta(seconds=wait + 1):
            return str(said)
        return format_time(now + timedelta(seconds=wait))


def parse_job(body: Body) -> Job | Problem:
    """Read a Job as a cluster wants it, or say what its model refuses, field by field, with the cure."""
    try:
        return Job.model_validate(body, context=IN_CLUSTER)
    except ValidationError as err:
        return Problem(Reason.INVALID_SPEC, _shorten(" · ".join(map(str, list_refusals(err, Job)))))


def explain_bus_error(err: BusError) -> Problem:
    """Say what an error of the bus means for a queue."""
    match err:
        case ObstacleError():
            reason = Reason.CONFLICT
        case PermissionDeniedError():
            reason = Reason.FORBIDDEN
        case NoAnswerError():
            return Problem(Reason.BUS_UNAVAILABLE, "NATS cannot be reached; it is asked again")
        case _:
            reason = Reason.BUS_REFUSED
    return Problem(reason, _shorten(str(err)))


def _explain_invalid(err: InvalidError) -> Problem:
    where = f"{err.field}: " if err.field and err.field not in str(err) else ""
    cure = "correct the Job's spec.worker, most likely its podTemplate"
    return Problem(Reason.INVALID_SPEC, _shorten(f"the cluster refuses its workers: {where}{err} ({cure})"))


def _note_obstacle(now: _Pass, plan: Plan) -> None:
    if plan.obstacle is not None:
        problem = _explain_obstacle(plan.obstacle)
        if plan.obstacle.passing:
            now.waiting = problem
        else:
            now.stalled = now.stalled or problem


def _explain_obstacle(obstacle: Obstacle) -> Problem:
    match obstacle.reason:
        case Blocked.INVALID_SPEC:
            reason = Reason.INVALID_SPEC
        case Blocked.CONFLICT:
            reason = Reason.CONFLICT
        case Blocked.CARRIER:
            reason = Reason.CARRIER_MISSING
        case Blocked.LEFTOVER:
            reason = Reason.LEFTOVER
        case _:
            assert_never(obstacle.reason)
    return Problem(reason, _shorten(obstacle.message))


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"
