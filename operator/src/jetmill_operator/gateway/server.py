"""The gateway process: NATS, the API server, then HTTP until told to stop.

```
 settings ─▶ NATS (tried again until it is there) ─▶ API server ─▶ listen ─▶ SIGTERM ─▶ requests end ─▶ close NATS
```
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import structlog

from jetmill.bus.ports import Trunk
from jetmill.errors import BusError, ConfigError
from jetmill_operator.gateway.access.ports import Reviewer
from jetmill_operator.gateway.settings import GatewaySettings
from jetmill_operator.reconcile.account import connect_accounts

if TYPE_CHECKING:
    from jetmill_operator.gateway.web.listener import Listener

RETRY_SECONDS = 2.0

log = structlog.get_logger("jetmill.gateway")


class Gateway:
    """One process; `url` is where it listens once `wait_until_ready` returns."""

    def __init__(self, settings: GatewaySettings, *, reviewer: Reviewer | None = None) -> None:
        self._settings = settings
        self._reviewer = reviewer
        self._stop = asyncio.Event()
        self._ready = asyncio.Event()
        self.url = ""

    def stop(self) -> None:
        """End in order. Idempotent."""
        self._stop.set()

    async def wait_until_ready(self) -> None:
        """Wait until it listens."""
        await self._ready.wait()

    async def run(self, *, signals: bool = True) -> None:
        """Run until stopped; ConfigError for what makes it impossible to begin."""
        with self._signals() if signals else contextlib.nullcontext():
            trunk = await self._connect()
            if trunk is None:
                return
            try:
                async with self._open_reviewer() as reviewer:
                    await self._serve(trunk, reviewer)
            finally:
                await trunk.close()
                log.info("gateway_stopped")

    async def _serve(self, trunk: Trunk, reviewer: Reviewer | None) -> None:
        from jetmill_operator.gateway.web.app import make_front
        from jetmill_operator.gateway.web.listener import Listener
        from jetmill_operator.gateway.web.parts import build_parts

        parts = build_parts(self._settings, trunk, reviewer)
        listener = Listener(make_front(parts), self._settings, bind(self._settings))
        try:
            self.url = listener.url
            await self._listen(listener)
        finally:
            await parts.namespaces.close()

    async def _listen(self, listener: Listener) -> None:
        serving = asyncio.create_task(listener.serve())
        stopping = asyncio.create_task(self._stop.wait())
        beginning = asyncio.create_task(listener.wait_until_started())
        try:
            await asyncio.wait({serving, beginning, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if beginning.done():
                log.info("gateway_started", port=listener.port, auth=self._settings.auth)
                self._ready.set()
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            log.info("gateway_stopping")
            listener.stop()
            await serving
        finally:
            for task in (serving, stopping, beginning):
                task.cancel()
            await asyncio.gather(serving, stopping, beginning, return_exceptions=True)

    async def _connect(self) -> Trunk | None:
        """Connect to NATS, trying until it is there; None if told to stop before."""
        options = self._settings.connection.bus_options()
        while not self._stop.is_set():
            try:
                return await connect_accounts(options, self._settings.accounts)
            except BusError as err:
                log.warning("gateway_nats_not_reached", error=str(err))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), RETRY_SECONDS)
        return None

    @contextlib.asynccontextmanager
    async def _open_reviewer(self) -> AsyncIterator[Reviewer | None]:
        """Whoever knows tokens and rights: given, or the API server; None where nobody is asked."""
        if self._settings.auth == "none" or self._reviewer is not None:
            yield self._reviewer if self._settings.auth != "none" else None
            return
        from jetmill_operator.cluster.credential import find_credential
        from jetmill_operator.cluster.rest import Rest
        from jetmill_operator.gateway.access.review import KubeReviewer

        credential = find_credential(kubeconfig=self._settings.kubeconfig)
        async with Rest(credential, user_agent="jetmill-gateway") as rest:
            yield KubeReviewer(rest, audiences=self._settings.audiences)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


def bind(settings: GatewaySettings) -> socket.socket:
    """Take the address; ConfigError if it is taken or is none of this machine's."""
    host = settings.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, settings.port), family=family, backlog=1024)
    except OSError as err:
        raise ConfigError(
            f"cannot listen on {settings.host} port {settings.port}: {err.strerror}",
            cure="choose another one by JETMILL_GATEWAY_PORT (0: a free one)",
        ) from err
