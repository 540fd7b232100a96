"""A proxy that serves what is behind it below a path of its own, as an Ingress with a rewrite does."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

HEAD_BYTES = 65_536


class PrefixProxy:
    """`async with PrefixProxy("http://127.0.0.1:8420", "/tools/jobs") as url`: takes the path away, and nothing else.

    Each connection carries one request, so that no body has to be understood.
    """

    def __init__(self, target: str, prefix: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self._prefix = prefix
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.elsewhere: list[str] = []
        """What was asked for outside the prefix."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self._prefix}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            await self._pass_on(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # either side left
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = self._rewrite(await reader.readuntil(b"\r\n\r\n"))
        if head is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return
        inner, outer = await asyncio.open_connection(*self._target)
        self._writers.add(outer)
        try:
            outer.write(head)
            sending = asyncio.create_task(_pipe(reader, outer))
            await _pipe(inner, writer)  # until the gateway has said all
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        finally:
            self._writers.discard(outer)
            outer.transport.abort()

    def _rewrite(self, head: bytes) -> bytes | None:
        line, *fields = head.decode("latin-1").split("\r\n")
        method, path, version = line.split(" ")
        if not path.startswith(f"{self._prefix}/"):
            self.elsewhere.append(path)
            return None
        if not any(one.lower().startswith("upgrade:") for one in fields):
            fields = [one for one in fields if not one.lower().startswith("connection:")]
            fields.insert(0, "Connection: close")
        return "\r\n".join([f"{method} {path.removeprefix(self._prefix)} {version}", *fields]).encode("latin-1")


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(HEAD_BYTES):
            writer.write(data)
            await writer.drain()
