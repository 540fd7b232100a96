"""The worker that runs a plain script's jobs in its own process, on `memory://`.

The client stands below the worker and may not import it; this is the one place that knows its address, and asks for it
when the first job is enqueued.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from jetmill.bus.connect import BusOptions
    from jetmill.client.declaration import Registry

STARTER = "jetmill.worker.local"
"""A module with `start_local_worker(options, registry) -> stop`."""

Stop = Callable[[], Awaitable[None]]


async def start_local_worker(options: BusOptions, registry: Registry) -> Stop:
    """Start a worker for every Job of the registry on this event loop; returns the way to stop it."""
    module = importlib.import_module(STARTER)
    start = cast("Callable[[BusOptions, Registry], Awaitable[Stop]]", module.start_local_worker)
    return await start(options, registry)
