"""A gateway that streams and does nothing else, as a program: real uvicorn, no Litestar, nobody asked for rights.

`python -m support.streamgate NATS_URL NAMESPACE [OPTION=VALUE …]` prints its port when it listens. `?user=` says who
one is; whoever opens no websocket gets server-sent events of `?topic=…`.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

import uvicorn

from jetmill.bus.connect import BusOptions, connect
from jetmill.interpreter import find_loop_factory
from jetmill_operator.gateway.stream.backplane import Backplane
from jetmill_operator.gateway.stream.frame import Frame, Subscribe
from jetmill_operator.gateway.stream.option import StreamOptions
from jetmill_operator.gateway.stream.outbox import Gap
from jetmill_operator.gateway.stream.pump import run_socket
from jetmill_operator.gateway.stream.sse import EventStream, parse_cursors
from jetmill_operator.gateway.web.socket import WIRE, RequestProtocol, StreamProtocol
from support.stream import Viewer

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class AsgiSocket:
    """The port `Socket`."""

    def __init__(self, protocol: StreamProtocol, receive: Receive, send: Send) -> None:
        self._protocol = protocol
        self._receive = receive
        self._send = send

    async def send(self, frame: Frame | Gap) -> None:
        await self._protocol.send_wire(frame.wire)

    def push(self, frame: Frame) -> bool:
        return self._protocol.push(frame.wire)

    async def receive(self) -> str | bytes | None:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            return None
        text = message.get("text")
        return text if text is not None else bytes(message["bytes"])

    async def close(self, code: int, reason: str) -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})


class Gate:
    """The ASGI application."""

    def __init__(self, backplane: Backplane, namespace: str) -> None:
        self._backplane = backplane
        self._namespace = namespace

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode())
        session = self._backplane.open_session(Viewer(query.get("user", ["ada"])[0]), namespace=self._namespace)
        try:
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.accept"})
                await run_socket(session, AsgiSocket(scope["extensions"][WIRE], receive, send))
            else:
                headers = dict(scope["headers"])
                topics = query["topic"]
                cursors = parse_cursors(headers.get(b"last-event-id", b"").decode(), count=len(topics))
                wanted = [Subscribe(topic=topic, after=after) for topic, after in zip(topics, cursors, strict=True)]
                events = EventStream(session, wanted)
                assert await events.begin() is None
                await self._send_events(events, receive, send)
        finally:
            self._backplane.end_session(session)

    async def _send_events(self, events: EventStream, receive: Receive, send: Send) -> None:
        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        async def write() -> None:
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
            )
            async for message in events.messages():
                await send({"type": "http.response.body", "body": message, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

        tasks = [asyncio.create_task(listen()), asyncio.create_task(write())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Server(uvicorn.Server):
    """Ends its streams before its connections."""

    backplane: Backplane

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.backplane.shut()
        await super().shutdown(sockets)


async def main(url: str, namespace: str, options: dict[str, float]) -> None:
    bus = await connect(BusOptions(url=url, namespace=namespace))
    patience = int(options.pop("patience_seconds", 60.0) * 1000)
    StreamProtocol.user_timeout_milliseconds = RequestProtocol.user_timeout_milliseconds = patience
    async with Backplane({namespace: bus}.get, options=StreamOptions(**options)) as backplane:  # type: ignore[arg-type]
        config = uvicorn.Config(
            Gate(backplane, namespace),
            http=RequestProtocol,
            ws=StreamProtocol,
            ws_per_message_deflate=False,
            lifespan="off",
            log_level="warning",
        )
        server = Server(config)
        server.backplane = backplane
        with socket.create_server(("127.0.0.1", 0)) as listening:
            print(listening.getsockname()[1], flush=True)  # noqa: T201 - what the test reads
            await server.serve(sockets=[listening])
    await bus.link.close()


def read_options(words: list[str]) -> dict[str, float]:
    """`ring=10 window_seconds=0.01`: whole numbers are counts."""
    pairs = (word.split("=") for word in words)
    return {name: float(value) if name.endswith("_seconds") else int(value) for name, value in pairs}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=find_loop_factory()) as runner:  # as `jetmill gateway` runs
        runner.run(main(sys.argv[1], sys.argv[2], read_options(sys.argv[3:])))
