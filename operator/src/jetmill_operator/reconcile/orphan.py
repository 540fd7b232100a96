"""What is left in NATS of objects that are not there any more: plans of schedules are withdrawn, the queues of Webhooks
removed with all that waits in them.

A ScheduledJob goes when its slots are withdrawn, a Webhook when its deliveries are cancelled; but a finalizer can be
removed by force, a namespace restored from a backup, and a folder changed while no `jetmill dev` ran on it. So at the
beginning, and now and then, what stands in NATS is held against the objects that there are. Dispatchers go by what
stands there: a Webhook that nobody declares would be sent to for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from jetmill.errors import BusError, CodecError, NotFoundError, RefusedError
from jetmill.ledger.planning import Planner
from jetmill.protocol.delivery import name_note
from jetmill.protocol.name import DELIVERIES
from jetmill.protocol.plan import StoredPlan
from jetmill.protocol.record import JobSettings
from jetmill_operator.cluster.errors import ClusterError, NotLeaderError
from jetmill_operator.cluster.ports import SCHEDULED_JOB, WEBHOOK, Cluster
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.deletion import cancel_jobs
from jetmill_operator.resources.schedule import build_end, choose_none

LOOK_SECONDS = 600.0
RETRY_SECONDS = 10.0
KEPT = 86_400 * 1_000_000
"""µs: the plan of a schedule that has gone is kept for so long, for planners that are late."""

log = structlog.get_logger("jetmill.operator")


class Orphans:
    """Withdraws what nobody declares any more."""

    def __init__(
        self, cluster: Cluster, buses: Buses, namespaces: Callable[[], set[str]], *, identity: str = ""
    ) -> None:
        self._cluster = cluster
        self._buses = buses
        self._namespaces = namespaces
        self._by = f"planner:{identity or 'operator'}"

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                for namespace in sorted(self._namespaces()):
                    await self.look(namespace)
                    await self.look_at_webhooks(namespace)
            except NotLeaderError:
                raise
            except (BusError, ClusterError, CodecError) as err:
                log.warning("orphans_not_looked_for", error=str(err))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await asyncio.sleep(LOOK_SECONDS)

    async def look(self, namespace: str) -> int:
        """Look at plans once; how many were withdrawn. Raises BusError, ClusterError."""
        bus = self._buses.of(namespace)
        try:
            plans = await bus.ledger.plans()
        except NotFoundError:
            return 0
        # The objects after the plans: whoever has a plan by now is among them, or has gone.
        there = {body["metadata"]["uid"] for body in await self._cluster.list(SCHEDULED_JOB, namespace=namespace)}
        orphans = [stored for stored in plans if stored.uid not in there]
        return sum([await self._end(namespace, stored) for stored in orphans])

    async def look_at_webhooks(self, namespace: str) -> int:
        """Look at the settings of Webhooks once; how many were removed. Raises BusError, ClusterError."""
        try:
            found = await self._buses.of(namespace).admin.all_settings()
        except NotFoundError:
            return 0
        # The objects after the settings, as above.
        there = {body["metadata"]["uid"] for body in await self._cluster.list(WEBHOOK, namespace=namespace)}
        orphans = [one for one in found if one.webhook is not None and one.uid not in there]
        return sum([await self._retire(namespace, settings) for settings in orphans])

    async def _retire(self, namespace: str, settings: JobSettings) -> bool:
        bus, name = self._buses.of(namespace), settings.job.removeprefix(DELIVERIES)
        try:
            # Suspended first: nobody begins a delivery while what waits is cancelled.
            await self._buses.apply(namespace, msgspec.structs.replace(settings, suspend=True), before=settings)
            while (await cancel_jobs(bus, settings.job, running_too=True)).waiting:
                self._buses.require()
            self._buses.require()
            await bus.admin.remove_job(settings.job, uid=settings.uid)
            await bus.notes.remove(name_note(name))
        except RefusedError:
            return False  # by now it is declared again
        log.info("orphan_removed", namespace=namespace, webhook=name)
        return True

    async def _end(self, namespace: str, stored: StoredPlan) -> bool:
        bus, plan = self._buses.of(namespace), stored.plan
        if plan.complete and plan.gone:
            if bus.link.now() - stored.time > KEPT:
                self._buses.require()
                await bus.ledger.purge_plan(stored.uid, up_to=stored.seq + 1)
            return False
        planner = Planner(bus, by=self._by, require=self._buses.require)
        passed = await planner.plan(stored.uid, build_end(plan, generation=plan.generation + 1), choose_none)
        log.info("orphan_withdrawn", namespace=namespace, schedule=plan.schedule, withdrawn=passed.withdrawn)
        return True
