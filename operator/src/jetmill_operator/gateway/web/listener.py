"""uvicorn, run in code: our signals, our log, no line of a query anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator

import uvicorn

from jetmill_operator.gateway.settings import GatewaySettings
from jetmill_operator.gateway.web.front import Front

PING_SECONDS = 20.0
MAX_FRAME_BYTES = 65_536
_LOOK_SECONDS = 0.01


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the process: uvicorn would raise them again at its end."""
        yield


class Listener:
    """One application on one socket."""

    def __init__(self, app: Front, settings: GatewaySettings, bound: socket.socket) -> None:
        self._socket = bound
        host = settings.host
        self.port = int(bound.getsockname()[1])
        self.url = f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{self.port}"
        config = uvicorn.Config(
            app,
            lifespan="off",
            http="httptools",
            ws="websockets-sansio",
            ws_max_size=MAX_FRAME_BYTES,
            ws_ping_interval=PING_SECONDS,
            ws_ping_timeout=PING_SECONDS,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.proxies),
            forwarded_allow_ips=list(settings.proxies) or None,
            timeout_graceful_shutdown=settings.grace_seconds,
        )
        self._server = _Server(config)

    async def serve(self) -> None:
        """Serve until stopped: requests under way end, for as long as `grace_seconds`."""
        await self._server.serve(sockets=[self._socket])

    async def wait_until_started(self) -> None:
        """Wait until it takes connections; uvicorn has no event for it."""
        while not self._server.started:  # noqa: ASYNC110 - see above
            await asyncio.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """Take no more connections, and end."""
        self._server.should_exit = True
