"""The operator process.

```
 health ─▶ NATS ─▶ stand by for the lease ─▶ list ─▶ watch · queue · sentinel · keepers · autoscaler ─▶ first end
                                                                                                           │
        exit ◀─ close NATS ◀─ stop the watch ◀─ give the lease back ◀─ let what runs end (1 s) ◀───────────┘
```

SIGTERM ends it in that order, so that the next leader begins within two seconds. A lease that was lost, a watch that
is dead: the process ends with status 1 and begins anew, for nothing that it knows can be relied on any more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from jetmill.bus.ports import Trunk
from jetmill.errors import BusError, JetmillError
from jetmill.health import HealthServer
from jetmill.metric import find_version
from jetmill_operator.cluster.fence import FencedCluster
from jetmill_operator.cluster.ports import BUDGET, SERVICE_ACCOUNT, Cluster, Kind, OnEvent
from jetmill_operator.interrupt import heed_signals
from jetmill_operator.reconcile.account import connect_accounts
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.health import Health
from jetmill_operator.reconcile.keeper import Keepers
from jetmill_operator.reconcile.lease import Lease
from jetmill_operator.reconcile.metric import Metrics
from jetmill_operator.reconcile.orphan import Orphans
from jetmill_operator.reconcile.race import run_until_first_ends
from jetmill_operator.reconcile.scaler import run_scaler
from jetmill_operator.reconcile.secret import SecretCopier
from jetmill_operator.reconcile.sentinel import Sentinel
from jetmill_operator.reconcile.settings import OperatorSettings
from jetmill_operator.reconcile.team import Parts, Team

RETRY_SECONDS = 2.0
AWAY_SECONDS = 10.0
"""A connection that is away for less is not worth a write to every Job."""
GRACE_SECONDS = 1.0
"""How long reconciles that run may go on when the process is told to stop."""
_LOOK_SECONDS = 0.5

log = structlog.get_logger("jetmill.operator")


class Watching(Protocol):
    """A watch that was made."""

    ended: asyncio.Future[None]

    @property
    def complete(self) -> bool:
        """Everything was listed once."""
        ...

    @property
    def age_seconds(self) -> float:
        """How long its quietest stream has been silent."""
        ...

    def start(self) -> None:
        """Begin."""
        ...

    async def stop(self) -> None:
        """End."""
        ...

    def versions(self, kind: Kind) -> Mapping[tuple[str, str], str]:
        """What it told, by namespace and name."""
        ...

    def lose(self, kind: Kind, place: tuple[str, str]) -> None:
        """Tell of an object that has gone."""
        ...


@dataclass(frozen=True, slots=True)
class Outside:
    """The cluster, as the process reaches it."""

    cluster: Cluster
    watch: Callable[[OnEvent], Watching]
    kinds: tuple[Kind, ...]
    """What is watched."""
    versions: Callable[[Kind], Awaitable[Mapping[tuple[str, str], str]]]
    """A LIST of what is watched of a kind, by namespace and name."""


OpenCluster = Callable[[OperatorSettings], AbstractAsyncContextManager[Outside]]
RunScaler = Callable[[Parts], Coroutine[Any, Any, None]]
"""The autoscaler: runs until cancelled, and puts what it sees on the board. It changes nothing but replicas."""


@contextlib.asynccontextmanager
async def open_kube(settings: OperatorSettings) -> AsyncIterator[Outside]:
    """Reach the cluster that the kubeconfig names, or the one that this pod is in; ConfigError."""
    from jetmill_operator.cluster.credential import find_credential
    from jetmill_operator.cluster.kube import KubeCluster
    from jetmill_operator.cluster.rest import Rest
    from jetmill_operator.reconcile.watch import MANAGED, WATCHED, Watch, Watched

    credential = find_credential(kubeconfig=settings.kubeconfig)
    watched = (*WATCHED, Watched(SERVICE_ACCOUNT, MANAGED), Watched(BUDGET, MANAGED))
    labels = {one.kind: one.labels for one in watched}
    async with Rest(credential) as rest:
        cluster = KubeCluster(rest, namespaces=settings.namespaces)
        yield Outside(
            cluster=cluster,
            watch=lambda on_event: Watch(credential, on_event, namespaces=settings.namespaces, watched=watched),
            kinds=tuple(labels),
            versions=lambda kind: cluster.versions(kind, labels=labels[kind]),
        )


class Operator:
    """One process."""

    def __init__(
        self, settings: OperatorSettings, *, open_cluster: OpenCluster = open_kube, run_scaler: RunScaler = run_scaler
    ) -> None:
        self._settings = settings
        self._open_cluster = open_cluster
        self._run_scaler = run_scaler
        self._stop = asyncio.Event()
        self._health = Health()
        self._metrics = Metrics()
        self._metrics.gauges = self._health
        self.health_port = 0

    def stop(self) -> None:
        """End in order."""
        if not self._stop.is_set():
            log.info("operator_stopping")
            self._stop.set()

    async def run(self) -> int:
        """Work until stopped; give the exit status. ConfigError for what makes it impossible to begin."""
        settings = self._settings
        server = HealthServer(
            host=settings.health_host,
            port=settings.health_port,
            live=self._health.is_live,
            ready=self._health.is_ready,
            metrics=self._metrics,
        )
        self.health_port = server.port
        log.info("operator_started", identity=settings.identity, version=find_version(), health_port=server.port)
        try:
            with heed_signals(self.stop):
                await self._work()
        except JetmillError as err:
            log.error("operator_failed", error=str(err))
            return 1
        finally:
            server.close()
        return 0

    async def _work(self) -> None:
        beat = asyncio.create_task(self._health.beat())
        try:
            async with self._open_cluster(self._settings) as outside:
                trunk = await self._connect()
                if trunk is None:
                    return
                self._health.trunk = trunk
                try:
                    await self._stand_by(outside, trunk)
                finally:
                    await trunk.close()
        finally:
            beat.cancel()

    async def _connect(self) -> Trunk | None:
        """Connect to NATS, however long it takes; None: told to stop meanwhile."""
        while not self._stop.is_set():
            try:
                return await connect_accounts(self._settings.connection.bus_options(), self._settings.accounts)
            except BusError as err:
                log.warning("nats_not_reached", error=str(err))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), RETRY_SECONDS)
        return None

    async def _stand_by(self, outside: Outside, trunk: Trunk) -> None:
        settings = self._settings
        lease = Lease(
            outside.cluster,
            namespace=settings.pod_namespace,
            name=settings.lease_name,
            identity=settings.identity,
            times=settings.times,
        )
        log.info("operator_standing_by", lease=settings.lease_name)
        self._health.standby = True
        await run_until_first_ends(lease.acquire(), self._stop.wait())
        try:
            if not self._stop.is_set():
                await self._lead(outside, trunk, lease)
        finally:
            self._health.leading = False
            await lease.release()

    async def _lead(self, outside: Outside, trunk: Trunk, lease: Lease) -> None:
        settings = self._settings
        cluster = FencedCluster(outside.cluster, lease)
        buses = Buses(trunk, replicas=settings.stream_replicas, require=lease.require)
        team = Team(cluster, buses, link=settings.worker_link, metrics=self._metrics, instance=settings.identity)
        watch = outside.watch(team.notice)
        self._health.lead(team, watch)
        sentinel = Sentinel(
            outside.kinds,
            read=outside.versions,
            known=watch.versions,
            on_lost=watch.lose,
            interval_seconds=settings.sentinel_seconds,
        )
        works = [
            lease.hold(),
            self._reconcile(team, watch, Orphans(cluster, buses, team.namespaces, identity=settings.identity)),
            sentinel.run(),
            _follow_bus(trunk, team),
            Keepers(buses.of, team.namespaces).run(),
            SecretCopier(cluster, settings.secrets, namespace=settings.pod_namespace).run(),
            self._run_scaler(team.parts),
            self._stop.wait(),
        ]
        try:
            await run_until_first_ends(*works)
        finally:
            await team.queue.stop(grace_seconds=GRACE_SECONDS)
            await lease.release()
            log.info("operator_stopped")
            await watch.stop()

    async def _reconcile(self, team: Team, watch: Watching, orphans: Orphans) -> None:
        await team.begin()
        log.info("operator_leading", jobs=len(team.parts.index))
        watch.start()
        await run_until_first_ends(team.queue.run(), orphans.run(), _wait(watch.ended))  # by now namespaces are known


async def _wait(future: asyncio.Future[None]) -> None:
    await asyncio.shield(future)


async def _follow_bus(trunk: Trunk, team: Team) -> None:
    """Let every Job say that NATS is away, once that has lasted, and look at all of them when it is back."""
    loop = asyncio.get_running_loop()
    since: float | None = None
    told = False
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        if not trunk.connected:
            since = loop.time() if since is None else since
            if not told and loop.time() - since >= AWAY_SECONDS:
                told = True
                log.warning("nats_lost")
                team.notice_all()
        elif since is not None:
            since, told = None, False
            log.info("nats_regained")
            team.notice_all()
