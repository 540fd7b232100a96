"""A receiver of Webhooks on loopback: keeps every request, and answers as it is told, badly too."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from support.wait import eventually


@dataclass(frozen=True)
class Received:
    """One request, as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    time: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


Answer = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


def reply(status: int, body: bytes = b"ok", **headers: str) -> Answer:
    """Answer with a status; a header's `_` stands for `-`."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())

    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} Said\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return answer


async def hang(_: Received, writer: asyncio.StreamWriter) -> None:
    """Never answer, until the other side leaves."""
    with suppress(OSError):
        await writer.wait_closed()


async def reset(_: Received, writer: asyncio.StreamWriter) -> None:
    """Break the connection instead of an answer."""
    writer.transport.abort()


async def drip(_: Received, writer: asyncio.StreamWriter) -> None:
    """Answer byte by byte, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    with suppress(OSError):
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)


async def flood(_: Received, writer: asyncio.StreamWriter) -> None:
    """Answer with more than anybody wants to read."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
    with suppress(OSError):
        while not writer.is_closing():
            writer.write(b"x" * 65_536)
            await writer.drain()


async def babble(_: Received, writer: asyncio.StreamWriter) -> None:
    """Answer what is no HTTP."""
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    writer.close()


@dataclass
class Receiver:
    """A server on a free port of loopback; `answer` is asked for each request."""

    answer: Answer = field(default_factory=lambda: reply(200))
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def serve(cls, answer: Answer | None = None, *, host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
        receiver = cls(answer or reply(200))
        server = await asyncio.start_server(receiver._accept, host, 0)
        receiver.port = server.sockets[0].getsockname()[1]
        try:
            yield receiver
        finally:
            server.close()
            for task in receiver._tasks:
                task.cancel()
            await asyncio.gather(*receiver._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def open(self) -> int:
        """How many connections are open now."""
        return len(self._tasks)

    async def received(self, count: int = 1, *, seconds: float = 60.0) -> list[Received]:
        """Wait until so many requests have come."""
        await eventually(
            lambda: len(self.requests) >= count, seconds=seconds, what=f"{count} requests, have {len(self.requests)}"
        )
        return self.requests

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                await self.answer(request, writer)
                if writer.is_closing():
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> Received | None:
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, path, headers, body, asyncio.get_running_loop().time())


def is_signed(request: Received, secret: bytes) -> bool:
    """Tell whether one of the signatures is that of a secret, as the specification words it."""
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    wanted = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return any(
        hmac.compare_digest(one, f"v1,{wanted}") for one in request.headers.get("webhook-signature", "").split(" ")
    )
