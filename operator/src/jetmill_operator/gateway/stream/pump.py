"""Between a session and a socket: what is taken is sent, what is received is fed, until one of them ends."""

from __future__ import annotations

import asyncio
from typing import Protocol

from jetmill_operator.gateway.stream.frame import Frame
from jetmill_operator.gateway.stream.outbox import Gap
from jetmill_operator.gateway.stream.session import Session

_GRACE_SECONDS = 5.0
"""How long a socket that takes nothing may hold up its own end."""


class Socket(Protocol):
    """A websocket that was accepted."""

    async def send(self, frame: Frame | Gap) -> None:
        """Send a frame; waits while the peer does not read. ConnectionError when it has gone."""
        ...

    def push(self, frame: Frame) -> bool:
        """Send a frame, if that needs no waiting."""
        ...

    async def receive(self) -> str | bytes | None:
        """The next message, None when the peer has gone."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye."""
        ...


async def run_socket(session: Session, socket: Socket) -> None:
    """Serve a session over a socket until either ends; the caller forgets the session afterwards."""
    receiving = asyncio.create_task(_receive(session, socket))
    try:
        async with asyncio.timeout(None) as limit:
            session.outbox.push = socket.push
            session.outbox.on_close = lambda: limit.reschedule(asyncio.get_running_loop().time() + _GRACE_SECONDS)
            while (frame := await session.outbox.take()) is not None:
                await socket.send(frame)
            if not receiving.done():  # else the peer went first
                await socket.close(session.outbox.code, session.outbox.reason)
    except (TimeoutError, ConnectionError):
        pass  # the peer reads nothing, or has gone: there is nobody to tell
    finally:
        session.outbox.on_close = session.outbox.push = None
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


async def _receive(session: Session, socket: Socket) -> None:
    try:
        while (text := await socket.receive()) is not None:
            await session.feed(text)
    finally:
        session.close(1000, "")
