"""A websocket client that costs next to nothing, so that a thousand of them measure the gateway and not themselves.

It takes text frames of any length and answers pings; it neither compresses nor fragments. Frames that many sockets get
are one object, by a memory of the last ones, as their text is the same.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10

OnText = Callable[["RawSocket", bytes, int], object]


class RawSocket(asyncio.Protocol):
    """One connection; `on_text` is called with each text, and with the time it came (µs since the epoch)."""

    def __init__(self, host: str, target: str, on_text: OnText) -> None:
        self._host = host
        self._target = target
        self._on_text = on_text
        self._buffer = b""
        self._open = False
        self.code = 0
        """What it was closed with; 1006 where nothing was said."""
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.transport: asyncio.Transport

    @classmethod
    async def connect(cls, url: str, on_text: OnText, *, receive_bytes: int | None = None) -> RawSocket:
        """Connect to `ws://…`; ConnectionError when it is refused. `receive_bytes`: what the kernel takes for it, else
        megabytes.
        """
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        loop = asyncio.get_running_loop()
        inner = socket.socket()
        inner.setblocking(False)
        if receive_bytes is not None:
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        await loop.sock_connect(inner, (parts.hostname or "", parts.port or 80))
        _, self = await loop.create_connection(lambda: cls(parts.netloc, target, on_text), sock=inner)
        await self.opened
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        transport.write(
            f"GET {self._target} HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.code = self.code or 1006
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(f"refused: {self._buffer[:200]!r}"))
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        now = time.time_ns() // 1000
        buffer = self._buffer + data if self._buffer else data
        at = 0
        if not self._open:
            end = buffer.find(b"\r\n\r\n")
            if end < 0 or not buffer.startswith(b"HTTP/1.1 101"):
                self._buffer = buffer
                return
            self._open = True
            self.opened.set_result(None)
            at = end + 4
        while (found := _parse(buffer, at)) is not None:
            opcode, start, at = found
            if opcode == _TEXT:
                self._on_text(self, buffer[start:at], now)
            elif opcode == _PING:
                self._write(_PONG, buffer[start:at])
            elif opcode == _CLOSE:
                self.code = int.from_bytes(buffer[start : start + 2], "big") or 1005
                self._write(_CLOSE, buffer[start : start + 2])
                self.transport.close()
        self._buffer = buffer[at:]

    def send(self, text: str) -> None:
        self._write(_TEXT, text.encode())

    def stop_reading(self) -> None:
        """Be a client that never reads."""
        self.transport.pause_reading()

    def close(self) -> None:
        self.transport.close()

    def abort(self) -> None:
        """Die without a word."""
        self.transport.abort()

    def _write(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        size = len(payload)
        long = bytes([0x80 | size]) if size < 126 else b"\xff" + size.to_bytes(8, "big")
        head = bytes([0x80 | opcode]) + long
        masked = bytes(byte ^ mask[place & 3] for place, byte in enumerate(payload))
        self.transport.write(head + mask + masked)


def _parse(buffer: bytes, at: int) -> tuple[int, int, int] | None:
    """Opcode, start and end of the next frame's payload; None until it is whole."""
    if len(buffer) < at + 2:
        return None
    size, start = buffer[at + 1] & 0x7F, at + 2
    if size == 126:
        size, start = int.from_bytes(buffer[start : start + 2], "big"), start + 2
    elif size == 127:
        size, start = int.from_bytes(buffer[start : start + 8], "big"), start + 8
    return None if len(buffer) < start + size else (buffer[at] & 0x0F, start, start + size)


async def open_events(port: int, topic: str) -> socket.socket:
    """Ask for server-sent events as a peer that reads nothing more, once the first ones have come."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    reader.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(reader, ("127.0.0.1", port))
    request = f"GET /api/v1/stream/sse?topic={topic} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    await loop.sock_sendall(reader, request.encode())
    seen = b""
    while b"event: subscribed" not in seen:
        seen += await loop.sock_recv(reader, 4_096)
    return reader
