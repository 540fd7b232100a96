"""uvicorn, started from code: one process, no access log of its own (it prints queries, and tokens may be in them)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn

from jetmill.errors import ConfigError
from jetmill_operator.gateway.settings import GatewaySettings
from jetmill_operator.gateway.web.front import Application
from jetmill_operator.gateway.web.socket import RequestProtocol, StreamProtocol

MAX_FRAME_BYTES = 65_536
MAX_CONNECTIONS = 8_192
"""More than streams may take: beyond it uvicorn refuses HTTP, probes included."""
BACKLOG = 1_024


TICK_SECONDS = 1.0
"""How often the header `Date` is made anew."""


class Server(uvicorn.Server):
    """A uvicorn that leaves signals to its process, and looks for its end when it is told, not ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: who runs it says when it is to stop."""
        yield

    def stop(self) -> None:
        """Take nothing new, close websockets with 1012, let requests under way end."""
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        """Tick until it is to stop."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), TICK_SECONDS)


def make_server(app: Application, settings: GatewaySettings) -> Server:
    """Build the server, as it was measured to be good for websockets."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # it tells of websockets with their queries
    config = uvicorn.Config(
        app,
        lifespan="off",
        http=RequestProtocol,
        ws=StreamProtocol,
        ws_max_size=MAX_FRAME_BYTES,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=list(settings.proxies),
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.grace_seconds,
    )
    return Server(config)


def open_socket(host: str, port: int) -> socket.socket:
    """Listen; ConfigError if that is not possible."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as err:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {err}",
            cure="see JETMILL_GATEWAY_HOST and JETMILL_GATEWAY_PORT",
        ) from err
    listener.setblocking(False)  # noqa: FBT003 - the standard library's own
    return listener
