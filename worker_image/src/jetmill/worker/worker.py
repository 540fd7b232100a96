"""`Worker`: in a process of its own, or inside an application.

```
connect ─▶ settings ─▶ presence ─▶ pulls ─▶ … ─▶ stop pulling ─▶ grace ─▶ interrupt ─▶ settled ─▶ presence gone
  69          2                                  SIGTERM, recycling        SIGTERM again           0, or 75
```

`run()` is a process's whole life, with signals and an exit code; `async with` puts a worker into an application's own
loop, which keeps its signals.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jetmill.bus.connect import connect
from jetmill.bus.ports import Bus
from jetmill.client.declaration import JobHandler, Registry, default_registry
from jetmill.client.inject import Inject
from jetmill.errors import BusError, ConfigError, JetmillError
from jetmill.interpreter import calm_collector, find_loop_factory
from jetmill.worker.discovery import discover
from jetmill.worker.heartbeat import EXIT_STALLED
from jetmill.worker.log import configure_logging, get_logger
from jetmill.worker.resource import Resources
from jetmill.worker.service import Service, StopReason
from jetmill.worker.settings import WorkerSettings, settings_from_env


class WorkerExit(IntEnum):
    """How a worker process ended; documented in `docs/worker.md`: API."""

    DRAINED = 0
    """Told to stop, or recycled: everything that it had is settled. Its supervisor may start another."""
    CONFIG = 2
    """The settings, a module or a Job cannot be used; starting again will not help. As of every command."""
    UNREACHABLE = 69
    """NATS could not be reached at the start."""
    INTERNAL = 70
    """A defect."""
    STALLED = EXIT_STALLED
    """A handler blocked the event loop beyond its timeout; the jobs in hand are taken over."""
    UNSETTLED = 75
    """Told to stop while NATS was away: some outcomes could not be recorded; those jobs are taken over."""


class Worker:
    """Serves Jobs: `Worker().run()`, or `async with Worker(["send-email"]):` in an application.

    `jobs` are names or handlers (none: all that the registry has); `resources` maps types to what makes them
    (a provider, or Inject with a scope); other keywords are those of WorkerSettings and ClientSettings, which the
    environment fills. ConfigError lists every fault at once.
    """

    def __init__(
        self,
        jobs: Iterable[str | JobHandler[..., Any]] | None = None,
        *,
        settings: WorkerSettings | None = None,
        registry: Registry = default_registry,
        resources: Mapping[Any, Inject | Callable[..., Any]] | None = None,
        bus: Bus | None = None,
        **given: Any,
    ) -> None:
        names = None if jobs is None else tuple(job if isinstance(job, str) else job.name for job in jobs)
        self.settings = settings_from_env(jobs=names, **given) if settings is None else settings
        self._registry = registry
        self._resources = Resources(resources)
        self._bus = bus
        self._owns_bus = bus is None
        self._service: Service | None = None

    @property
    def id(self) -> str:
        """Its id while it serves, as presence and records name it; empty before."""
        return self._service.id if self._service is not None else ""

    @property
    def service(self) -> Service:
        """What serves; only within `async with` or `run`."""
        assert self._service is not None
        return self._service

    @property
    def health_port(self) -> int | None:
        """Where `/livez`, `/readyz` and `/metrics` are answered, if they are."""
        return self._service.health_port if self._service is not None else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self, *, exit_stalled: Callable[[], None] = lambda: None) -> None:
        """Connect and take jobs; ConfigError, BusError."""
        discover(self.settings.modules, with_entry_points=self.settings.entry_points)
        if self._bus is None:
            self._bus = await connect(self.settings.connection.bus_options())
        service = Service(
            self.settings, self._bus, registry=self._registry, resources=self._resources, exit_stalled=exit_stalled
        )
        self._service = service
        try:
            await service.start()
        except BaseException:
            await service.close()
            await self._leave()
            raise

    async def close(self, *, grace_seconds: float | None = None) -> bool:
        """Stop taking jobs, let those in hand end, settle all, leave; False: some could not be settled."""
        service = self.service
        service.stop(StopReason.CLOSED)
        grace = self.settings.grace_seconds if grace_seconds is None else grace_seconds
        try:
            return await service.drain(grace_seconds=grace)
        finally:
            await service.close()
            await self._leave()

    def run(self) -> int:
        """Serve until told to stop (SIGTERM, SIGINT) or recycled; the exit code. A second signal stops at once."""
        configure_logging(self.settings.log_format, self.settings.log_level)
        log = get_logger()
        try:
            with asyncio.Runner(loop_factory=find_loop_factory()) as runner:
                return runner.run(self._run())
        except ConfigError as err:
            log.error("worker_failed", error=str(err))
            return WorkerExit.CONFIG
        except BusError as err:
            log.error("worker_failed", error=str(err))
            return WorkerExit.UNREACHABLE
        except JetmillError:
            log.exception("worker_failed")
            return WorkerExit.INTERNAL

    async def _run(self) -> int:
        loop = asyncio.get_running_loop()
        told = asyncio.Event()

        def stop() -> None:
            service = self._service
            if told.is_set() and service is not None:
                service.stop_now()
            told.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        starting = asyncio.ensure_future(self.start(exit_stalled=_exit_stalled))
        telling = asyncio.ensure_future(told.wait())
        await asyncio.wait((starting, telling), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait((starting,))
            return WorkerExit.DRAINED
        starting.result()
        calm_collector()
        service = self.service
        await asyncio.wait((telling, service.stopped), return_when=asyncio.FIRST_COMPLETED)
        telling.cancel()
        service.stop(StopReason.SIGNAL)
        code = WorkerExit.DRAINED if await self.close() else WorkerExit.UNSETTLED
        if service.is_haunted:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # closing the loop would wait for a handler that does not end
        return code

    async def _leave(self) -> None:
        if self._bus is not None and self._owns_bus:
            await self._bus.link.close()
            self._bus = None


def run_worker(settings: WorkerSettings) -> int:
    """What `jetmill worker` does: serve in this process until told to stop; the exit code."""
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)  # `--import tasks` means the file beside which it was typed
    return Worker(settings=settings).run()


def _exit_stalled() -> None:
    os._exit(EXIT_STALLED)
