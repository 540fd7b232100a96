"""Clients of a gateway's streams over real sockets: they resume wherever they are let in, through a balancer."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from support.stream import Tally
from support.wait import eventually

_LAST_WORDS_SECONDS = 5.0
TESTS = Path(__file__).parents[1]


class GateProcess:
    """A streaming gateway in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    @classmethod
    @contextmanager
    def start(cls, nats_url: str, namespace: str, **options: float) -> Iterator[GateProcess]:
        words = [f"{name}={value}" for name, value in options.items()]
        process = subprocess.Popen(
            [sys.executable, "-m", "support.streamgate", nats_url, namespace, *words],
            cwd=TESTS,
            env={**os.environ, "PYTHONPATH": str(TESTS)},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            yield cls(process, int(process.stdout.readline()))
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    async def end(self) -> None:
        """SIGTERM; returns when it has ended."""
        self.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(self.process.wait)


class Listener(Tally):
    """Subscribes to one topic, and after each break again, where it stopped."""

    def __init__(self, url: str, topic: str = "namespace", *, pause_seconds: float = 0.0) -> None:
        super().__init__()
        self.url = url
        self.topic = topic
        self.codes: list[int] = []
        """What its connections were closed with."""
        self._pause = pause_seconds
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            with suppress(OSError, TimeoutError, WebSocketException):
                async with connect(self.url, max_size=None, compression=None, open_timeout=60) as socket:
                    try:
                        await socket.send(json.dumps(self._make_subscription()))
                        async for text in socket:
                            self.add(text)
                            await asyncio.sleep(self._pause)
                    except ConnectionClosed:
                        pass
                    self.codes.append(socket.close_code or 1006)
            await asyncio.sleep(0.02)

    def _make_subscription(self) -> dict[str, object]:
        after = self.cursor.get(self.topic)
        return {"op": "subscribe", "topic": self.topic} | ({} if after is None else {"after": after})

    async def ready(self) -> int:
        """Wait until it listens; the sequence that it began after."""
        await eventually(lambda: self.of_type("subscribed"))
        return int(self.of_type("subscribed")[0]["seq"])

    async def reached(self, seq: int) -> None:
        """Wait until it was told everything up to a sequence."""
        await eventually(
            lambda: self.cursor.get(self.topic, 0) >= seq, seconds=180, what=f"{seq}, stands at {self.cursor}"
        )

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Balancer:
    """A TCP proxy that gives each connection to the next of its gateways that takes it."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self._turn = 0
        self._server: asyncio.Server
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    def cut(self) -> None:
        """Break every connection at once."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            back = await self._connect()
            if back is None:
                return
            self._writers.add(back[1])
            try:
                ways = {asyncio.create_task(_copy(reader, back[1])), asyncio.create_task(_copy(back[0], writer))}
                _, other = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait(other, timeout=_LAST_WORDS_SECONDS)
                for way in other:
                    way.cancel()
            finally:
                self._writers.discard(back[1])
                back[1].transport.abort()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for _ in self.ports:
            self._turn += 1
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", self.ports[self._turn % len(self.ports)])
        return None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
