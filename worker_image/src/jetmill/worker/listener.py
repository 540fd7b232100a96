"""What `@on` and `on_event` declared, run by a worker: one durable subscription for each, shared by all workers.

It begins once the worker serves, and until the bus lets it, it is tried again: jobs do not wait for it. A worker whose
user in NATS may not subscribe says so once and goes on without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.client.handling import EventHandler, build_handle
from jetmill.client.subscription import DurableSubscription
from jetmill.errors import BusError, PermissionDeniedError
from jetmill.worker.log import get_logger

RETRY_SECONDS = 5.0
log = get_logger()


class Listeners:
    """The subscriptions of one worker."""

    def __init__(
        self, bus: Bus, client: Client, handlers: Sequence[EventHandler], *, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self._handlers = handlers
        self._retry_seconds = retry_seconds
        self._subscriptions = [
            DurableSubscription(
                bus,
                one.name,
                build_handle(one, client),
                patterns=one.patterns,
                retry=one.retry,
                concurrency=one.concurrency,
            )
            for one in handlers
        ]
        self._starting: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; what cannot begin now is tried again."""
        self._starting = [asyncio.create_task(self._start(one)) for one in self._subscriptions]

    async def stop(self, *, grace_seconds: float) -> None:
        """Take nothing more, let handlers end, give the rest back. Idempotent."""
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(one.stop(grace_seconds=grace_seconds) for one in self._subscriptions))

    async def _start(self, subscription: DurableSubscription) -> None:
        while True:
            try:
                await subscription.start(start=1)
            except PermissionDeniedError as err:
                log.error("subscription_denied", subscription=subscription.name, error=str(err))
                return
            except BusError as err:
                log.warning("subscription_not_started", subscription=subscription.name, error=str(err))
                await asyncio.sleep(self._retry_seconds)
            else:
                log.info("subscription_started", subscription=subscription.name)
                return
