"""The dispatcher process: connect, work for each namespace, stop in order.

```
 health ─▶ NATS ─▶ namespaces ─▶ works ─▶ … ─▶ SIGTERM: works settle what they have ─▶ close NATS ─▶ exit
```
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

import structlog

from jetmill.bus.ports import Bus, Trunk
from jetmill.errors import BusError, ConfigError, JetmillError
from jetmill.health import HealthServer
from jetmill.interpreter import calm_collector
from jetmill.metric import find_version
from jetmill_operator.cluster.ports import JOB, WEBHOOK, Cluster
from jetmill_operator.dispatch.address import AddressPolicy
from jetmill_operator.dispatch.branch import Branches, FindNamespaces, Work
from jetmill_operator.dispatch.delivery import Attempts
from jetmill_operator.dispatch.desk import Desk, DeskOptions
from jetmill_operator.dispatch.guard import Guard
from jetmill_operator.dispatch.health import Health
from jetmill_operator.dispatch.hook import Hooks
from jetmill_operator.dispatch.resolver import Resolver
from jetmill_operator.dispatch.router import WebhookRouter
from jetmill_operator.dispatch.secret import ReadSecret, Secrets, read_from
from jetmill_operator.dispatch.settings import DispatchSettings
from jetmill_operator.dispatch.transition import TransitionPublisher
from jetmill_operator.dispatch.trigger import TriggerRouter
from jetmill_operator.dispatch.worker import WorkerWatch
from jetmill_operator.interrupt import heed_signals
from jetmill_operator.reconcile.account import build_options, connect_accounts
from jetmill_operator.reconcile.race import run_until_first_ends

if TYPE_CHECKING:
    from jetmill_operator.dispatch.courier import Courier

RETRY_SECONDS = 2.0

log = structlog.get_logger("jetmill.dispatcher")


class Office:
    """What the works of every namespace share; close it."""

    def __init__(self, settings: DispatchSettings, read_secret: ReadSecret) -> None:
        self._settings = settings
        self._secrets = Secrets(read_secret)
        self.attempts: Attempts = Counter()
        """What was sent, for the metrics."""
        self._resolver = Resolver()
        self._guard = Guard(AddressPolicy(allow=settings.allow, deny=settings.deny), self._resolver.resolve)

    def hire(self, bus: Bus) -> Mapping[str, Work]:
        """The works of one namespace."""
        hooks = Hooks(self._make_courier)
        settings = self._settings
        connection = settings.connection.updated(namespace=bus.subjects.namespace)
        if bus.subjects.namespace in settings.accounts:
            connection = connection.updated(user=build_options(connection.bus_options(), bus.subjects.namespace).user)
        options = DeskOptions(
            connection, grace_seconds=settings.grace_seconds, pod=settings.pod, attempts=self.attempts
        )
        return {
            "transitions": TransitionPublisher(bus),
            "workers": WorkerWatch(bus),
            "triggers": TriggerRouter(bus),
            "webhooks": WebhookRouter(bus, hooks),
            "deliveries": Desk(bus, hooks, self._secrets, options),
        }

    def close(self) -> None:
        """Leave; lookups under way are not waited for."""
        self._resolver.close()

    def _make_courier(self) -> Courier:
        from jetmill_operator.dispatch.courier import Courier  # a third of a second, for who has a Webhook

        return Courier(self._guard, schemes=self._settings.schemes, ports=self._settings.ports)


class Dispatcher:
    """One process."""

    def __init__(self, settings: DispatchSettings) -> None:
        self._settings = settings
        self._stop = asyncio.Event()
        self._health = Health()
        self.health_port = 0

    def stop(self) -> None:
        """End in order."""
        if not self._stop.is_set():
            log.info("dispatcher_stopping")
            self._stop.set()

    async def run(self) -> int:
        """Work until stopped; give the exit status. ConfigError for what makes it impossible to begin."""
        settings, health = self._settings, self._health
        server = HealthServer(
            host=settings.health_host,
            port=settings.health_port,
            live=health.is_live,
            ready=health.is_ready,
            metrics=health,
        )
        self.health_port = server.port
        log.info("dispatcher_started", version=find_version(), health_port=server.port)
        try:
            with heed_signals(self.stop):
                await self._work()
        except JetmillError as err:
            log.error("dispatcher_failed", error=str(err))
            return 1
        finally:
            server.close()
        log.info("dispatcher_stopped")
        return 0

    async def _work(self) -> None:
        beat = asyncio.create_task(self._health.beat())
        try:
            async with open_cluster(self._settings) as cluster:
                trunk = await self._connect()
                if trunk is None:
                    return
                self._health.trunk = trunk
                office = Office(self._settings, read_from(cluster))
                branches = Branches(trunk.open, find_namespaces(self._settings, cluster), office.hire)
                self._health.branches, self._health.attempts = branches, office.attempts
                calm_collector()
                try:
                    await run_until_first_ends(branches.run(), self._stop.wait())
                finally:
                    office.close()
                    await trunk.close()
        finally:
            beat.cancel()

    async def _connect(self) -> Trunk | None:
        """Connect to NATS, however long it takes; None: told to stop meanwhile."""
        settings = self._settings
        while not self._stop.is_set():
            try:
                return await connect_accounts(settings.connection.bus_options(), settings.accounts)
            except BusError as err:
                log.warning("nats_not_reached", error=str(err))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), RETRY_SECONDS)
        return None


@contextlib.asynccontextmanager
async def open_cluster(settings: DispatchSettings) -> AsyncIterator[Cluster | None]:
    """Reach the cluster that holds the Secrets; without credentials for one, None if the namespaces are told
    (ConfigError otherwise): then nothing is signed.
    """
    from jetmill_operator.cluster.credential import find_credential
    from jetmill_operator.cluster.kube import KubeCluster
    from jetmill_operator.cluster.rest import Rest

    try:
        credential = find_credential(kubeconfig=settings.kubeconfig)
    except ConfigError as err:
        if settings.kubeconfig or not settings.namespaces:
            raise
        log.warning("cluster_not_found", error=err.message)
        yield None
        return
    async with Rest(credential, user_agent="jetmill-dispatcher") as rest:
        yield KubeCluster(rest, namespaces=settings.namespaces)


def find_namespaces(settings: DispatchSettings, cluster: Cluster | None) -> FindNamespaces:
    """What tells which namespaces to serve: those of the settings, else those with Jobs or Webhooks."""

    async def find() -> set[str]:
        if settings.namespaces or cluster is None:
            return set(settings.namespaces)
        bodies = [body for kind in (JOB, WEBHOOK) for body in await cluster.list(kind)]
        return {str(body["metadata"]["namespace"]) for body in bodies}

    return find
