"""The gateway process: connect, serve, stop in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from jetmill.bus.ports import Trunk
from jetmill.errors import BusError, JetmillError
from jetmill_operator.cluster.ports import Cluster
from jetmill_operator.gateway.access.ports import Reviewer
from jetmill_operator.gateway.settings import GatewaySettings
from jetmill_operator.interrupt import heed_signals

if TYPE_CHECKING:
    from jetmill_operator.gateway.web.parts import Ground
    from jetmill_operator.gateway.web.server import Server
    from jetmill_operator.gateway.web.stage import Stage

log = structlog.get_logger(__name__)

RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Outside:
    """The cluster, as a gateway reaches it."""

    reviewer: Reviewer | None = None
    """Knows tokens and rights; None: nobody is asked."""
    cluster: Cluster | None = None
    """Holds what is declared; None: there is none."""
    ground: Ground | None = None
    """What its objects come from besides; None: nobody knows."""


@dataclass(frozen=True, slots=True)
class Listening:
    """What listens."""

    port: int
    serving: asyncio.Task[None]
    """Ends if the server ends by itself."""
    stage: Stage
    server: Server

    async def end(self) -> None:
        """Take nothing new, and wait for the requests under way; idempotent."""
        self.server.stop()
        await self.serving


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
        with heed_signals(self.stop):
            try:
                async with open_outside(self._settings) as outside, open_stage(self._settings) as stage:
                    await self._serve(stage, outside)
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

    async def _serve(self, stage: Listening, outside: Outside) -> None:
        """Say from the first moment that the process lives; play once NATS is there."""
        self.port = stage.port
        log.info("gateway_started", host=self._settings.host, port=self.port, auth=self._settings.auth)
        self.listening.set()
        trunk = await self._connect()
        if trunk is None:
            return
        try:
            async with play(stage, self._settings, trunk, outside):
                stopping = asyncio.create_task(self._stop.wait())
                try:
                    await asyncio.wait({stage.serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    stopping.cancel()
        finally:
            await trunk.close()


@contextlib.asynccontextmanager
async def open_gateway(settings: GatewaySettings, trunk: Trunk, outside: Outside) -> AsyncIterator[Listening]:
    """Serve HTTP until the block ends; requests under way may end. ConfigError if the address cannot be had."""
    async with open_stage(settings) as stage, play(stage, settings, trunk, outside):
        yield stage


@contextlib.asynccontextmanager
async def open_stage(settings: GatewaySettings) -> AsyncIterator[Listening]:
    """Listen until the block ends, with nothing to play yet. ConfigError if the address cannot be had."""
    from jetmill_operator.gateway.web.server import make_server, open_socket
    from jetmill_operator.gateway.web.stage import Stage

    stage = Stage()
    listener = open_socket(settings.host, settings.port)
    server = make_server(stage, settings)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    opened = Listening(int(listener.getsockname()[1]), serving, stage, server)
    try:
        yield opened
    finally:
        await opened.end()
        listener.close()


@contextlib.asynccontextmanager
async def play(stage: Listening, settings: GatewaySettings, trunk: Trunk, outside: Outside) -> AsyncIterator[None]:
    """Give the application to a stage, whose requests end before the application does."""
    from jetmill_operator.gateway.web.app import make_app
    from jetmill_operator.gateway.web.front import Front
    from jetmill_operator.gateway.web.parts import build_parts
    from jetmill_operator.gateway.web.projecting import run_projection

    if outside.reviewer is not None and not settings.key_file:
        log.warning("gateway_key_made")
    parts = build_parts(settings, trunk, outside.reviewer)
    parts.cluster = outside.cluster
    parts.ground = outside.ground or parts.ground
    try:
        app = Front(make_app(parts), parts)
        async with run_projection(parts, Path(settings.projection) if settings.projection else None):
            stage.stage.app = app
            try:
                yield
            finally:
                parts.backplane.shut()
                await stage.end()
    finally:
        await parts.backplane.close()
        await parts.namespaces.close()


@contextlib.asynccontextmanager
async def open_outside(settings: GatewaySettings) -> AsyncIterator[Outside]:
    """Reach the API server that knows who asks, and what is declared; where nobody is asked, only if a kubeconfig names
    one. ConfigError without credentials for it.
    """
    if settings.auth == "none" and not settings.kubeconfig:
        yield Outside()
        return
    from jetmill_operator.cluster.credential import find_credential
    from jetmill_operator.cluster.kube import KubeCluster
    from jetmill_operator.cluster.rest import Rest
    from jetmill_operator.gateway.access.review import PATIENCE_SECONDS, KubeReviewer

    credential = find_credential(kubeconfig=settings.kubeconfig)
    async with Rest(credential, patience_seconds=PATIENCE_SECONDS, user_agent="jetmill-gateway") as rest:
        reviewer = None if settings.auth == "none" else KubeReviewer(rest, audiences=settings.audiences)
        yield Outside(reviewer, KubeCluster(rest, namespaces=settings.namespaces))
