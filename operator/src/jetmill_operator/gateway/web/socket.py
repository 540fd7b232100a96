"""Connections as uvicorn serves them, but that what a peer does not take is little, and ends with it.

The kernel would take megabytes for each peer of a stream that does not read, and they count as the pod's memory: its
buffer is kept small, so that what waits stands in the outbox, where it is bounded and becomes a gap. And a peer that
answers and never reads would keep its connection for ever, for closing waits until all was sent: Linux gives up what
was not taken for TCP_USER_TIMEOUT.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

USER_TIMEOUT_MILLISECONDS = 60_000
EVENTS_PATH = "/api/v1/stream/sse"
WIRE = "jetmill.wire"
"""The extension of a websocket's scope under which its protocol is found."""
_SEND_BYTES = 65_536


class RequestProtocol(HttpToolsProtocol):
    """`uvicorn.Config(http=RequestProtocol)`: no answer waits longer than that for its peer; those of streams hold
    little meanwhile.
    """

    user_timeout_milliseconds = USER_TIMEOUT_MILLISECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        bound_wait(transport, self.user_timeout_milliseconds)

    def on_headers_complete(self) -> None:
        """A request came."""
        if self.url.partition(b"?")[0].endswith(EVENTS_PATH.encode()):
            bound_buffer(self.transport)
        super().on_headers_complete()


class StreamProtocol(WebSocketsSansIOProtocol):
    """`uvicorn.Config(ws=StreamProtocol)`."""

    user_timeout_milliseconds = USER_TIMEOUT_MILLISECONDS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection over from HTTP, once its upgrade came."""
        super().connection_made(transport)
        bound_buffer(transport)
        bound_wait(transport, self.user_timeout_milliseconds)

    async def run_asgi(self) -> None:
        """Serve, with a way to the wire that does not go through all that stands between it and a handler."""
        self.scope["extensions"][WIRE] = self  # type: ignore[assignment]
        await super().run_asgi()

    def push(self, wire: bytes) -> bool:
        """Send a whole frame as it is, if the peer takes what was sent before; False: it would have to wait."""
        if not self.writable.is_set() or self._is_over:
            return False
        self.transport.write(wire)
        return True

    async def send_wire(self, wire: bytes) -> None:
        """Send a whole frame as it is; waits while the peer does not read. ConnectionError when it has gone."""
        await self.writable.wait()
        if self._is_over:
            raise ConnectionError
        self.transport.write(wire)

    @property
    def _is_over(self) -> bool:
        return self.disconnected or self.close_sent or self.transport.is_closing()

    async def send(self, message: ASGISendEvent) -> None:
        """Send; a handshake that was answered by a response is complete, which uvicorn forgets and calls an error."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True


def bound_buffer(transport: asyncio.BaseTransport) -> None:
    """Let the kernel hold little of what a peer does not take."""
    found = transport.get_extra_info("socket")
    if found is not None:
        with suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)


def bound_wait(transport: asyncio.BaseTransport, milliseconds: int) -> None:
    """End the connection when what was sent is not taken for so long; Linux alone can."""
    found = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if found is not None and option is not None:
        with suppress(OSError):  # a Unix socket has no such thing
            found.setsockopt(socket.IPPROTO_TCP, option, milliseconds)
