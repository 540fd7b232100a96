"""The gateway process: connect, serve, stop in order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import structlog

from jetmill.bus.ports import Trunk
from jetmill.errors import BusError, JetmillError
from jetmill_operator.gateway.access.ports import Reviewer
from jetmill_operator.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from jetmill_operator.gateway.web.stage import Stage

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
                    await self._serve(reviewer)
            except JetmillError as err:
                log.error("gateway_failed", error=str(err))
                return 1
        log.info("gateway_stopped")
        return 0

    async def _serve(self, reviewer: Reviewer | None) -> None:
        from jetmill_operator.gateway.web.server import make_server, open_socket
        from jetmill_operator.gateway.web.stage import Stage

        settings, stage = self._settings, Stage()
        listener = open_socket(settings.host, settings.port)
        self.port = int(listener.getsockname()[1])
        server = make_server(stage, settings)
        tasks: list[asyncio.Task[object]] = [asyncio.create_task(server.serve(sockets=[listener]))]
        log.info("gateway_started", host=settings.host, port=self.port, auth=settings.auth)
        self.listening.set()
        try:
            tasks += [asyncio.create_task(self._work(stage, reviewer)), asyncio.create_task(self._stop.wait())]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            server.stop()
            await tasks[0]
            for task in tasks[1:]:
                task.cancel()
            await asyncio.gather(*tasks[1:], return_exceptions=True)
            listener.close()

    async def _work(self, stage: Stage, reviewer: Reviewer | None) -> None:
        """Let the application play once NATS is there, until cancelled."""
        from jetmill_operator.gateway.web.app import make_app
        from jetmill_operator.gateway.web.front import Front
        from jetmill_operator.gateway.web.parts import build_parts

        if reviewer is not None and not self._settings.key_file:
            log.warning("gateway_key_made")
        trunk = await self._connect()
        try:
            parts = build_parts(self._settings, trunk, reviewer)
            try:
                stage.app = Front(make_app(parts), parts)
                await self._stop.wait()
                parts.backplane.shut()
                await asyncio.Event().wait()  # requests under way may still end
            finally:
                await parts.backplane.close()
                await parts.namespaces.close()
        finally:
            await trunk.close()

    async def _connect(self) -> Trunk:
        """Connect to NATS, however long it takes."""
        from jetmill_operator.reconcile.account import connect_accounts

        settings = self._settings
        while True:
            try:
                return await connect_accounts(settings.connection.bus_options(), settings.accounts)
            except BusError as err:
                log.warning("gateway_nats_not_reached", error=str(err))
            await asyncio.sleep(RETRY_SECONDS)

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
