"""Plans of schedules that are not there any more: what they intended is withdrawn, and in the end they are removed.

A ScheduledJob goes when its slots are withdrawn; but a finalizer can be removed by force, a namespace restored from a
backup, and `jetmill dev` begins with other objects each time. So now and then each plan is held against the objects
that there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from jetmill.errors import BusError, CodecError, NotFoundError
from jetmill.ledger.planning import Planner
from jetmill.protocol.plan import StoredPlan
from jetmill_operator.cluster.errors import ClusterError, NotLeaderError
from jetmill_operator.cluster.ports import SCHEDULED_JOB, Cluster
from jetmill_operator.reconcile.bus import Buses
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
            except NotLeaderError:
                raise
            except (BusError, ClusterError, CodecError) as err:
                log.warning("orphans_not_looked_for", error=str(err))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await asyncio.sleep(LOOK_SECONDS)

    async def look(self, namespace: str) -> int:
        """Look once; how many plans were withdrawn. Raises BusError, ClusterError."""
        bus = self._buses.of(namespace)
        try:
            plans = await bus.ledger.plans()
        except NotFoundError:
            return 0
        # The objects after the plans: whoever has a plan by now is among them, or has gone.
        there = {body["metadata"]["uid"] for body in await self._cluster.list(SCHEDULED_JOB, namespace=namespace)}
        orphans = [stored for stored in plans if stored.uid not in there]
        return sum([await self._end(namespace, stored) for stored in orphans])

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
