"""A worker on a connection: what it is made of, and the order in which it comes up and goes down.

Presence is there before the first pull and goes after the last outcome, so nobody takes a job from a worker that
lives. Signals, exit codes and the connection itself are the business of `jetmill.worker.worker`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

from jetmill.bus.connect import connect
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.client.declaration import Registry
from jetmill.errors import ConfigError
from jetmill.ledger.claim import Claimer
from jetmill.protocol.record import Entry, JobSettings, Presence, Record
from jetmill.worker.executor.process import ProcessExecutor
from jetmill.worker.executor.thread import ThreadExecutor
from jetmill.worker.heartbeat import Heartbeat, Vitals
from jetmill.worker.host import WorkerHost
from jetmill.worker.intake import Intake
from jetmill.worker.log import get_logger
from jetmill.worker.metric import Metrics, find_version
from jetmill.worker.part import Parts
from jetmill.worker.resource import Resources
from jetmill.worker.served import Served, build_served, decide_slots
from jetmill.worker.settings import WorkerSettings
from jetmill.worker.slot import Slots
from jetmill.worker.wheel import Wheel

if TYPE_CHECKING:
    from jetmill.worker.health import HealthServer

DEFAULT_LEASE_SECONDS = 30.0
MAX_SHOWN = 1000
"""Ids of running jobs in a presence."""
RSS_SECONDS = 1.0
GHOST_SECONDS = 0.5
"""For how long a handler that was abandoned is waited for in the end."""
log = get_logger()


class StopReason(StrEnum):
    """Why a worker takes nothing more."""

    SIGNAL = "signal"
    CLOSED = "closed"
    RECYCLED = "recycled"


class Service:
    """A worker on a connection: everything between `start` and `drain`."""

    def __init__(
        self,
        settings: WorkerSettings,
        bus: Bus,
        *,
        registry: Registry,
        resources: Resources,
        exit_stalled: Callable[[], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.settings = settings
        self.bus = bus
        self.id = f"{socket.gethostname().lower()[:40].strip('.-') or 'worker'}-{os.getpid()}-{secrets.token_hex(4)}"
        self.id = "".join(c if c.isalnum() or c == "-" else "-" for c in self.id)
        self.stopped: asyncio.Future[StopReason] = loop.create_future()
        self._registry = registry
        self._jobs = settings.jobs or tuple(registry.names())
        self._served: dict[str, Served] = {}
        self._settings_of: dict[str, JobSettings] = {}
        self._leases: tuple[float, float] = (DEFAULT_LEASE_SECONDS, DEFAULT_LEASE_SECONDS)
        self._started = bus.link.now()
        self._unwatch: list[Callable[[], None]] = []
        self._health: HealthServer | None = None
        self.metrics = Metrics(namespace=bus.subjects.namespace)
        self._client = Client(bus=bus, registry=registry, by=f"worker:{self.id}")
        self._resources = resources
        self._slots: Slots | None = None
        self._intake: Intake | None = None
        self._parts: Parts | None = None
        self._rss_timer: asyncio.TimerHandle | None = None
        options = settings.connection.bus_options()
        self._heartbeat = Heartbeat(
            bus,
            partial(connect, options),
            Vitals(
                presence=self.presence,
                tokens=self._tokens,
                interval_seconds=lambda: self._leases[0] / 3,
                ttl_seconds=lambda: self._leases[1],
                late_seconds=lambda: self._parts.wheel.late_seconds() if self._parts is not None else 0.0,
                stalled=exit_stalled,
            ),
        )

    # --- what others ask: presence, metrics, probes

    @property
    def slots(self) -> int:
        """Jobs that may run at once."""
        return self._intake.slots if self._intake is not None else 0

    @property
    def busy(self) -> int:
        """Slots in use."""
        return self._intake.running if self._intake is not None else 0

    @property
    def abandoned(self) -> int:
        """Threads that were given up and have not ended."""
        return self._parts.threads.abandoned if self._parts is not None else 0

    @property
    def connected(self) -> bool:
        """There is a connection now."""
        return self.bus.link.connected

    @property
    def heartbeat_time(self) -> float:
        """When presence was last renewed, seconds since the epoch."""
        return self._heartbeat.beat_time

    @property
    def health_port(self) -> int | None:
        """Where probes are answered."""
        return self._health.port if self._health is not None else None

    @property
    def is_haunted(self) -> bool:
        """A coroutine that was abandoned still runs, so the loop cannot be closed."""
        return self._slots is not None and bool(self._slots.ghosts)

    def presence(self) -> Presence:
        """What the worker says of itself; called from the heartbeat's thread."""
        slots = self._slots
        running = list(slots.attempts) if slots is not None else []
        return Presence(
            worker=self.id,
            jobs=list(self._jobs),
            slots=self.slots,
            running=running[:MAX_SHOWN],
            busy=len(running),
            service_seconds=slots.service_seconds if slots is not None else 0.0,
            started=self._started,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=find_version(),
            draining=self.stopped.done(),
        )

    def find_dead(self) -> str | None:
        """Why the process is not live, if so."""
        age = time.time() - self.heartbeat_time
        limit = self._leases[1] * 3 + 60
        return f"no heartbeat for {age:.0f} s" if self.connected and age > limit else None

    def find_unready(self) -> str | None:
        """Why it takes no jobs, if so."""
        if self.stopped.done():
            return "draining"
        if self._intake is None:
            return "starting"
        return None if self.connected else "no connection to NATS"

    # --- life

    async def start(self) -> None:
        """Say that it lives, then take jobs. ConfigError if there is nothing to serve; BusError."""
        if not self._jobs:
            raise ConfigError(
                "there is nothing to serve", cure="name Jobs (--job) or import modules with @job (--import)"
            )
        if not self.bus.link.threaded:
            await self._declare()
        self._unwatch.append(await self.bus.admin.watch_settings(self._note_settings))
        for job in self._jobs:
            self._resolve(job)
        self._parts = parts = self._make_parts()
        self._slots = slots = Slots(parts, self._served)
        slots.on_finished = self._note_finished
        await self._heartbeat.start()
        self._intake = slots.intake = Intake(
            self.bus.queue,
            slots=decide_slots(self.settings.concurrency, list(self._served.values())),
            start=slots.start,
        )
        self.metrics.gauges = self
        if self.settings.health_port is not None:
            self._serve_health()
        self._unwatch.append(self.bus.signals.on_cancel(slots.cancel))
        for job in self._jobs:
            self._intake.serve(job, limit=self._served[job].limit(self._intake.slots))
        if self.settings.max_rss_bytes is not None:
            self._watch_rss()
        log.info("worker_started", worker=self.id, jobs=list(self._jobs), slots=self._intake.slots)

    def stop(self, reason: StopReason) -> None:
        """Take nothing more and give back what is not claimed; idempotent."""
        if self.stopped.done():
            return
        log.info("worker_stopping", worker=self.id, reason=reason)
        self.stopped.set_result(reason)
        if self._intake is not None:
            self._intake.stop()
        self._heartbeat.poke()

    def stop_now(self) -> None:
        """Have every handler stop at once."""
        self.stop(StopReason.SIGNAL)
        if self._slots is not None:
            self._slots.interrupt(at_once=True)

    async def drain(self, *, grace_seconds: float) -> bool:
        """Let jobs end, interrupt those that do not, settle all; False: some could not be settled."""
        slots = self._slots
        if slots is None:
            return True
        if not await slots.wait_empty(grace_seconds):
            log.warning("worker_interrupted", worker=self.id, running=len(slots.attempts))
            slots.interrupt()
            patience = self.settings.stop_seconds + self.settings.settle_seconds
            if not await slots.wait_empty(patience):
                slots.interrupt(at_once=True)
                await slots.wait_empty(1.0)
        for ghost in slots.ghosts:
            ghost.cancel()
        if slots.ghosts:
            await asyncio.wait(set(slots.ghosts), timeout=GHOST_SECONDS)
        left = slots.in_hand
        if left:
            log.error("worker_left_unsettled", worker=self.id, tasks=left)
            slots.closed = True
            for task in list(slots.tasks):
                task.cancel()
            await slots.wait_empty(1.0)
        return left == 0

    async def close(self) -> None:
        """End what was started, presence last but the connection."""
        if self._rss_timer is not None:
            self._rss_timer.cancel()
        for unwatch in self._unwatch:
            unwatch()
        if self._parts is not None:
            self._parts.wheel.close()
            self._parts.threads.close()
            await self._parts.processes.close()
        try:
            await self._resources.close()
        except Exception as err:  # noqa: BLE001 - an application's tear-down; the worker ends all the same
            log.error("resource_not_closed", error=f"{type(err).__name__}: {err}")
        await self._heartbeat.stop()
        if self._health is not None:
            await asyncio.to_thread(self._health.close)
        await self._client.close()
        log.info("worker_drained", worker=self.id)

    # --- parts

    def _make_parts(self) -> Parts:
        loop = asyncio.get_running_loop()
        host = WorkerHost(self.bus, self._client)
        limit = decide_slots(self.settings.concurrency, list(self._served.values()))
        return Parts(
            worker=self.id,
            settings=self.settings,
            bus=self.bus,
            claimer=Claimer(
                self.bus,
                worker=self.id,
                lease_seconds_of=self._lease_seconds_of,
                presence_ttl_seconds=self._leases[1],
                on_concluded=self._note_concluded,
            ),
            wheel=Wheel(loop),
            threads=ThreadExecutor(loop, limit=limit),
            processes=ProcessExecutor(host, limit=limit, result_max_bytes=self.settings.result_max_bytes),
            resources=self._resources,
            host=host,
            metrics=self.metrics,
        )

    def _tokens(self) -> list[str]:
        """Of every delivery in hand; called from the heartbeat's thread (copying a set holds the GIL)."""
        return [] if self._intake is None else [delivery.token for delivery in list(self._intake.in_hand)]

    def _note_concluded(self, entry: Entry, source: Record | None) -> None:
        if self._slots is not None:
            self._slots.note_concluded(entry, source)

    def _lease_seconds_of(self, job: str) -> float:
        served = self._served.get(job)
        return served.lease_seconds if served is not None else DEFAULT_LEASE_SECONDS

    async def _declare(self) -> None:
        """In memory there is no reconciler: what is declared here counts, unless somebody declared it before."""
        await self.bus.admin.apply_namespace()
        for job in self._jobs:
            handler = self._registry.get(job)
            if handler is not None and await self.bus.admin.settings(job) is None:
                await self.bus.admin.apply_job(handler.settings())

    def _note_settings(self, job: str, settings: JobSettings | None) -> None:
        if job not in self._jobs:
            return
        if settings is None:
            self._settings_of.pop(job, None)
        else:
            self._settings_of[job] = settings
        if job in self._served:
            self._resolve(job)
        if self._intake is not None:
            self._intake.slots = decide_slots(self.settings.concurrency, list(self._served.values()))
            self._intake.serve(job, limit=self._served[job].limit(self._intake.slots))
            self._heartbeat.poke()

    def _resolve(self, job: str) -> None:
        settings = self._settings_of.get(job)
        served = self._served[job] = build_served(job, settings, self._registry, self._resources)
        if served.missing:
            log.warning("handler_missing", job=job, error=served.missing)
        leases = [one.lease_seconds for one in self._served.values()]
        self._leases = (min(leases), max(leases))
        self.metrics.of(job)

    def _serve_health(self) -> None:
        from jetmill.worker.health import HealthServer

        assert self.settings.health_port is not None
        self._health = HealthServer(
            host=self.settings.health_host,
            port=self.settings.health_port,
            live=self.find_dead,
            ready=self.find_unready,
            metrics=self.metrics,
        )
        log.info("health_served", port=self._health.port)

    def _note_finished(self, count: int) -> None:
        if self.stopped.done():
            return
        if self.abandoned >= self.slots:
            log.warning("worker_recycled", worker=self.id, abandoned=self.abandoned)
            self.stop(StopReason.RECYCLED)
        elif self.settings.max_jobs is not None and count >= self.settings.max_jobs:
            log.info("worker_recycled", worker=self.id, jobs=count)
            self.stop(StopReason.RECYCLED)

    def _watch_rss(self) -> None:
        size = read_rss_bytes()
        assert self.settings.max_rss_bytes is not None
        if size >= self.settings.max_rss_bytes:
            log.info("worker_recycled", worker=self.id, rss_bytes=size)
            self.stop(StopReason.RECYCLED)
            return
        self._rss_timer = asyncio.get_running_loop().call_later(RSS_SECONDS, self._watch_rss)


def read_rss_bytes() -> int:
    """The resident size of this process; 0 where it cannot be told."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - read once a second, without ceremony
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
