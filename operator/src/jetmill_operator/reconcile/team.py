"""Everything that works together once this process leads: made in one place, so that a test makes the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jetmill_operator.cluster.ports import JOB, SCHEDULED_JOB, WEBHOOK, Body, Cluster, Key, Kind
from jetmill_operator.reconcile.board import Board
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.cache import Cache
from jetmill_operator.reconcile.deletion import Deletion
from jetmill_operator.reconcile.event import Recorder
from jetmill_operator.reconcile.index import JobIndex
from jetmill_operator.reconcile.job import JobReconciler
from jetmill_operator.reconcile.metric import Metrics
from jetmill_operator.reconcile.moment import SYSTEM, Clock
from jetmill_operator.reconcile.queue import Again, WorkQueue
from jetmill_operator.reconcile.route import route
from jetmill_operator.reconcile.scheduledjob import ScheduledJobReconciler
from jetmill_operator.reconcile.status import StatusWriter
from jetmill_operator.reconcile.webhook import WebhookReconciler
from jetmill_operator.resources.deployment import WorkerLink


@dataclass(frozen=True, slots=True)
class Parts:
    """What reconcilers and the autoscaler share."""

    cluster: Cluster
    """Fenced by the lease."""
    buses: Buses
    index: JobIndex
    board: Board
    recorder: Recorder
    metrics: Metrics
    cache: Cache
    """What the autoscaler goes by; filled by the watch."""
    enqueue: Callable[[Key], None]
    """Have a Job reconciled."""
    clock: Clock


class Team:
    """The queue, what reconciles its keys, and what they share."""

    def __init__(
        self,
        cluster: Cluster,
        buses: Buses,
        *,
        link: WorkerLink,
        metrics: Metrics,
        instance: str = "",
        clock: Clock = SYSTEM,
    ) -> None:
        self.queue: WorkQueue[Key] = WorkQueue(self._reconcile, on_run=metrics.count)
        recorder = Recorder(cluster, instance=instance, clock=clock)
        self.parts = Parts(
            cluster=cluster,
            buses=buses,
            index=JobIndex(),
            board=Board(self.queue.add, clock=clock),
            recorder=recorder,
            metrics=metrics,
            cache=Cache(),
            enqueue=self.queue.add,
            clock=clock,
        )
        metrics.board = self.parts.board
        status = StatusWriter(cluster, recorder, clock=clock)
        deletion = Deletion(cluster, buses, board=self.parts.board, status=status, recorder=recorder, clock=clock)
        self._jobs = JobReconciler(
            cluster,
            buses,
            self.parts.index,
            link=link,
            board=self.parts.board,
            status=status,
            deletion=deletion,
            clock=clock,
        )
        self._schedules = ScheduledJobReconciler(
            cluster,
            buses,
            self.parts.index,
            status=status,
            recorder=recorder,
            metrics=metrics,
            identity=instance,
            clock=clock,
        )
        self._webhooks = WebhookReconciler(cluster, buses, status=status, clock=clock)

    def namespaces(self) -> set[str]:
        """Where something is declared whose jobs need a keeper."""
        return self.parts.index.namespaces() | self._webhooks.namespaces

    async def begin(self) -> None:
        """Learn what there is and who rides on whom, before the first reconcile; raises ClusterError."""
        bodies = await self.parts.cluster.list(JOB)
        self.parts.index.fill(bodies)
        self.parts.cache.fill(bodies)
        for body in await self.parts.cluster.list(SCHEDULED_JOB):
            self.parts.index.schedules.put(body["metadata"]["namespace"], body["metadata"]["name"], body)
        self._webhooks.fill(await self.parts.cluster.list(WEBHOOK))

    def notice(self, kind: Kind, event: str, body: Body) -> None:
        """Take an event of the watch."""
        meta = body["metadata"]
        key = Key(kind.name, meta.get("namespace", ""), meta["name"])
        gone = event == "DELETED"
        self.parts.cache.put(kind, event, body)
        for concerned in route(
            kind, key, body if not gone or kind not in (JOB, SCHEDULED_JOB) else None, self.parts.index
        ):
            self.queue.add(concerned, live=event != "LISTED")

    def notice_all(self) -> None:
        """Look at every Job, schedule and Webhook again, when there is nothing more urgent."""
        for key in (*self.parts.index.all(), *self.parts.index.schedules.all(), *self._webhooks.keys):
            self.queue.add(key, live=False)

    async def _reconcile(self, key: Key) -> Again | None:
        if key.kind == JOB.name:
            return await self._jobs.reconcile(key)
        if key.kind == SCHEDULED_JOB.name:
            return await self._schedules.reconcile(key)
        return await self._webhooks.reconcile(key)
