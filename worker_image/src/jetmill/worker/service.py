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
from jetmill.errors import BusError, ConfigError, PermissionDeniedError
from jetmill.ledger.claim import Claimer
from jetmill.metric import find_version
from jetmill.protocol.record import Entry, JobSettings, Presence, Record
from jetmill.worker.executor.process import ProcessExecutor
from jetmill.worker.executor.thread import ThreadExecutor
from jetmill.worker.heartbeat import Heartbeat, Vitals
from jetmill.worker.hold import Holds, is_known_elsewhere
from jetmill.worker.host import WorkerHost
from jetmill.worker.intake import Intake
from jetmill.worker.listener import Listeners
from jetmill.worker.log import get_logger
from jetmill.worker.metric import Metrics
from jetmill.worker.part import Parts
from jetmill.worker.resource import Resources
from jetmill.worker.rest import Rest
from jetmill.worker.roster import Roster
from jetmill.worker.settings import WorkerSettings
from jetmill.worker.slot import Slots
from jetmill.worker.wheel import Wheel

if TYPE_CHECKING:
    from jetmill.health import HealthServer

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
    """A worker on a connection: everything between `start` and `drain`.

    With a `rule` it serves the Jobs of which that is true, as they come and go, each with slots of its own.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        bus: Bus,
        *,
        registry: Registry,
        resources: Resources,
        exit_stalled: Callable[[], None],
        rule: Callable[[JobSettings], bool] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.settings = settings
        self.bus = bus
        self.id = f"{socket.gethostname().lower()[:40].strip('.-') or 'worker'}-{os.getpid()}-{secrets.token_hex(4)}"
        self.id = "".join(c if c.isalnum() or c == "-" else "-" for c in self.id)
        self.stopped: asyncio.Future[StopReason] = loop.create_future()
        self._registry = registry
        named = settings.jobs or (tuple(registry.names()) if rule is None else ())
        self._roster = Roster(named, registry, resources, rule=rule)
        self._caps: dict[str, int] = {}
        self._served = self._roster.served
        self._leases = self._roster.leases()
        # in memory every worker is of this process: there is nobody to leave a job to
        patience = settings.unknown_handler_seconds if bus.link.threaded else 0.0
        self._holds = Holds(patience_seconds=patience, on_over=self._look)
        self._looks: set[asyncio.Task[None]] = set()
        self._started = bus.link.now()
        self._unwatch: list[Callable[[], None]] = []
        self._health: HealthServer | None = None
        self.metrics = Metrics(namespace=bus.subjects.namespace)
        self._client = Client(bus=bus, registry=registry, by=f"worker:{self.id}")
        self._resources = resources
        self._slots: Slots | None = None
        self._intake: Intake | None = None
        self._rest: Rest | None = None
        self._listeners: Listeners | None = None
        self._listening_ends: asyncio.Task[None] | None = None
        self._parts: Parts | None = None
        self._rss_timer: asyncio.TimerHandle | None = None
        options = settings.connection.bus_options()
        self._heartbeat = Heartbeat(
            bus,
            partial(connect, options),
            Vitals(
                presence=self.presence,
                tokens=self._tokens,
                interval_seconds=lambda: self._find_leases()[0] / 3,
                ttl_seconds=lambda: self._find_leases()[1],
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
    def draining(self) -> bool:
        """It takes nothing more, for good or for a while."""
        return self.stopped.done() or (self._rest is not None and self._rest.on)

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
        # Before what is in hand is counted: once it drains, nothing begins, so a count of 0 that comes after stands.
        draining = self.draining
        running = list(slots.attempts) if slots is not None else []
        return Presence(
            worker=self.id,
            jobs=list(self._roster.jobs),
            missing=self._roster.missing,
            slots=self.slots,
            running=running[:MAX_SHOWN],
            busy=self._intake.begun if self._intake is not None else 0,
            service_seconds=slots.service_seconds if slots is not None else 0.0,
            started=self._started,
            host=socket.gethostname(),
            pid=os.getpid(),
            pod=self.settings.pod,
            version=find_version(),
            draining=draining,
            stopping=self.stopped.done(),
        )

    def find_dead(self) -> str | None:
        """Why the process is not live, if so."""
        age = time.time() - self.heartbeat_time
        limit = self._leases[1] * 3 + 60
        return f"no heartbeat for {age:.0f} s" if self.connected and age > limit else None

    def find_unready(self) -> str | None:
        """Why it is not ready, if so. One that rests stays so: who is not ready is the first that a cluster takes away,
        and it may still have something in hand.
        """
        if self.stopped.done():
            return "draining"
        if self._intake is None:
            return "starting"
        return None if self.connected else "no connection to NATS"

    # --- life

    async def start(self) -> None:
        """Say that it lives, then take jobs. ConfigError if there is nothing to serve; BusError."""
        listens = bool(self._registry.event_handlers())
        if not self._roster.named and self._roster.rule is None and not listens:
            raise ConfigError(
                "there is nothing to serve", cure="name Jobs (--job) or import modules with @job or @on (--import)"
            )
        if not self.bus.link.threaded:
            await self._declare()
        self._unwatch.append(await self.bus.admin.watch_settings(self._note_settings))
        self._roster.note_undeclared()
        self._find_leases()
        self._parts = parts = self._make_parts()
        self._slots = slots = Slots(parts, self._served)
        slots.on_finished = self._note_finished
        slots.on_unknown = self._note_unknown
        await self._heartbeat.start()
        self._intake = slots.intake = Intake(
            self.bus.queue,
            slots=self._roster.slots(self.settings.concurrency),
            start=slots.start,
        )
        self.metrics.gauges = self
        if self.settings.health_port is not None:
            self._serve_health()
        self._rest = rest = Rest(self._intake, on_change=self._heartbeat.poke)
        self._unwatch += (
            self.bus.signals.on_cancel(slots.cancel),
            self.bus.signals.on_drain(self.id, drain=rest.begin, undrain=rest.end),
            rest.close,
        )
        for job in self._roster.jobs:
            self._follow(job)
        self._listeners = Listeners(self.bus, self._client, self._registry.event_handlers())
        self._listeners.start()
        if self.settings.max_rss_bytes is not None:
            self._watch_rss()
        log.info("worker_started", worker=self.id, jobs=list(self._roster.jobs), slots=self._intake.slots)

    def cap(self, job: str, limit: int | None) -> None:
        """Let at most so many jobs of a Job run here, fewer than its manifest allows; 0: none; None: as it says."""
        if self._caps.get(job) == limit:
            return
        if limit is None:
            del self._caps[job]
        else:
            self._caps[job] = limit
        if job in self._served:
            self._follow(job)

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
        if self._listeners is not None:
            self._listening_ends = asyncio.create_task(self._listeners.stop(grace_seconds=grace_seconds))
        slots = self._slots
        if slots is None:
            return True
        if not await slots.wait_empty(grace_seconds):
            if slots.attempts:
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
        if self._listening_ends is not None:
            await self._listening_ends
        elif self._listeners is not None:
            await self._listeners.stop(grace_seconds=0.0)
        if self._rss_timer is not None:
            self._rss_timer.cancel()
        for unwatch in self._unwatch:
            unwatch()
        self._holds.close()
        for look in self._looks:
            look.cancel()
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
        limit = self._roster.slots(self.settings.concurrency)
        return Parts(
            worker=self.id,
            settings=self.settings,
            bus=self.bus,
            claimer=Claimer(
                self.bus,
                worker=self.id,
                lease_seconds_of=self._roster.lease_seconds,
                presence_ttl_seconds=lambda: self._leases[1],
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

    def _find_leases(self) -> tuple[float, float]:
        """The shortest and the longest lease in force; called from the heartbeat's thread too, at each beat."""
        in_hand = [] if self._intake is None else [delivery.job for delivery in list(self._intake.in_hand)]
        self._leases = self._roster.leases(in_hand)
        return self._leases

    async def _declare(self) -> None:
        """In memory there is no reconciler: what is declared here counts, unless somebody declared it before."""
        await self.bus.admin.apply_namespace()
        for job in self._roster.named:
            handler = self._registry.get(job)
            if handler is not None and await self.bus.admin.settings(job) is None:
                await self.bus.admin.apply_job(handler.settings())

    def _note_settings(self, job: str, settings: JobSettings | None) -> None:
        before = self._roster.served.get(job)
        if not self._roster.note(job, settings):
            return
        self.metrics.of(job)
        self._find_leases()
        if self._intake is not None:
            self._intake.slots = self._roster.slots(self.settings.concurrency)
            for name in {*self._roster.jobs, job}:  # the limit of each may follow from the slots
                self._follow(name)
            if before is not None and before.settings.suspend and settings is not None and not settings.suspend:
                self._intake.renew(job)
            self._heartbeat.poke()

    def _follow(self, job: str) -> None:
        """Take a Job's deliveries, or none: it is not served any more, or its handler is missing here."""
        intake = self._intake
        if intake is None:
            return
        served, cap = self._served[job], self._caps.get(job)
        if job not in self._roster.jobs:
            self._holds.release(job)
            intake.drop(job)
        elif cap == 0 or (served.missing and self._holds.is_held(job, served.missing)):
            intake.drop(job)
        else:
            if not served.missing:
                self._holds.release(job)
            limit = served.limit(intake.slots)
            intake.serve(job, limit=limit if cap is None else min(cap, limit))

    def _look(self, job: str) -> None:
        task = asyncio.create_task(self._open_unless_known(job))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def _open_unless_known(self, job: str) -> None:
        """Take a Job's jobs although its handler is missing, for those that have waited too long have to fail."""
        try:
            workers = await self.bus.presence.all()
        except PermissionDeniedError:  # it may not ask who else there is, so it goes by what it knows itself
            workers = []
        except BusError:
            return  # the next look is in a minute
        if not is_known_elsewhere(job, workers, worker=self.id):
            self._holds.open(job)
            self._follow(job)

    def _note_unknown(self, job: str) -> None:
        """A job was given back; the intake is in the middle of it, so its Job is left alone from the next turn on."""
        self._holds.hold_again(job)
        asyncio.get_running_loop().call_soon(self._follow, job)

    def _serve_health(self) -> None:
        from jetmill.health import HealthServer

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
