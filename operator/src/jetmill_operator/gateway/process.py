"""The gateway process: connect, serve, stop in order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator

import structlog

from jetmill.bus.ports import Trunk
from jetmill.errors import BusError, JetmillError
from jetmill_operator.gateway.access.ports import Reviewer
from jetmill_operator.gateway.settings import GatewaySettings

log = structlog.get_logger(__name__)

RETRY_SECONDS = 2.0


class Gateway:
    """One process; `port` is the one that it got, once `listening` is set."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._stop = asyncio.Event()
        self.listening = asyncio.Event()
        self.port = 0

    def stop(self) -> None:
        """End in order."""
        if not self._stop.is_set():
            log.info("gateway_stopping")
            self._stop.set()

    async def run(self) -> int:
        """Serve until stopped; give the exit status. ConfigError for what makes it impossible to begin."""
        with self._signals():
            try:
                async with open_reviewer(self._settings) as reviewer:
                    trunk = await self._connect()
                    if trunk is not None:
                        try:
                            await self._serve(trunk, reviewer)
                        finally:
                            await trunk.close()
            except JetmillError as err:
                log.error("gateway_failed", error=str(err))
                return 1
        log.info("gateway_stopped")
        return 0

    async def _connect(self) -> Trunk | None:
        """Connect to NATS, however long it takes; None: told to stop meanwhile."""
        from jetmill_operator.reconcile.account import connect_accounts

        settings = self._settings
        while not self._stop.is_set():
            try:
                return await connect_accounts(settings.connection.bus_options(), settings.accounts)
            except BusError as err:
                log.warning("gateway_nats_not_reached", error=str(err))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), RETRY_SECONDS)
        return None

    async def _serve(self, trunk: Trunk, reviewer: Reviewer | None) -> None:
        from jetmill_operator.gateway.web.app import make_app
        from jetmill_operator.gateway.web.front import Front
        from jetmill_operator.gateway.web.parts import build_parts
        from jetmill_operator.gateway.web.server import make_server, open_socket

        settings = self._settings
        if reviewer is not None and not settings.key_file:
            log.warning("gateway_key_made")
        parts = build_parts(settings, trunk, reviewer)
        server = make_server(Front(make_app(parts), parts), settings)
        listener = open_socket(settings.host, settings.port)
        self.port = int(listener.getsockname()[1])
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        log.info("gateway_started", host=settings.host, port=self.port, auth=settings.auth)
        self.listening.set()
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            parts.backplane.shut()
            server.stop()
            await serving
        finally:
            stopping.cancel()
            listener.close()
            await parts.backplane.close()
            await parts.namespaces.close()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def open_reviewer(settings: GatewaySettings) -> AsyncIterator[Reviewer | None]:
    """Reach the API server that knows who asks; None where nobody is asked. ConfigError without credentials for it."""
    if settings.auth == "none":
        yield None
        return
    from jetmill_operator.cluster.credential import find_credential
    from jetmill_operator.cluster.rest import Rest
    from jetmill_operator.gateway.access.review import PATIENCE_SECONDS, KubeReviewer

    credential = find_credential(kubeconfig=settings.kubeconfig)
    async with Rest(credential, patience_seconds=PATIENCE_SECONDS, user_agent="jetmill-gateway") as rest:
        yield KubeReviewer(rest, audiences=settings.audiences)
