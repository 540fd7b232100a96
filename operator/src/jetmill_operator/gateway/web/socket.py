"""Websockets as uvicorn serves them, but for two things: what a peer does not take is little, and ends with it.

The kernel would take megabytes for each peer that does not read, and they count as the pod's memory: its buffer is
kept small, so that what waits stands in the outbox, where it is bounded and becomes a gap. And a peer that answers and
never reads would keep its connection for ever, for closing waits until all was sent: Linux gives up what was not taken
for TCP_USER_TIMEOUT.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_SEND_BYTES = 65_536


class StreamProtocol(WebSocketsSansIOProtocol):
    """`uvicorn.Config(ws=StreamProtocol)`."""

    user_timeout_milliseconds = 60_000

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection over from HTTP, once its upgrade came."""
        super().connection_made(transport)
        found = transport.get_extra_info("socket")
        option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux alone
        if found is None:
            return
        with suppress(OSError):  # a Unix socket has no such thing
            found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
            if option is not None:
                found.setsockopt(socket.IPPROTO_TCP, option, self.user_timeout_milliseconds)
