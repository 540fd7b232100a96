"""The worker of a plain script on `memory://`: the client starts it when the first job is enqueued."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from jetmill.bus.connect import BusOptions
from jetmill.client.declaration import Registry
from jetmill.client.settings import ClientSettings
from jetmill.worker.log import configure_logging
from jetmill.worker.settings import WorkerSettings
from jetmill.worker.worker import Worker


async def start_local_worker(options: BusOptions, registry: Registry) -> Callable[[], Awaitable[None]]:
    """Serve every Job of the registry on this loop; returns the way to stop, which interrupts what still runs."""
    if not structlog.is_configured():
        configure_logging(level="warning")  # a script's standard output is its own, and no worker was asked for
    connection = ClientSettings(url=options.url, namespace=options.namespace, prefix=options.prefix)
    worker = Worker(settings=WorkerSettings(connection=connection, grace_seconds=0.0), registry=registry)
    await worker.start()

    async def stop() -> None:
        await worker.close()

    return stop
