"""A websocket at a whole gateway, as a page or a program has one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from support.gateway import RunningGateway
from support.stream import Tally
from support.wait import eventually


class Screen(Tally):
    """One websocket."""

    def __init__(self, socket: ClientConnection) -> None:
        super().__init__()
        self.socket = socket
        self.code = 0
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for text in self.socket:
                self.add(text)
        except ConnectionClosed:
            pass
        self.code = self.socket.close_code or 1006

    async def say(self, op: str, **members: Any) -> None:
        await self.socket.send(json.dumps({"op": op, **members}))

    async def ask(self, topic: str, **members: Any) -> dict[str, Any]:
        """Subscribe; what is answered."""
        op_id = f"op-{len(self.frames)}-{topic}"[:60]
        await self.say("subscribe", topic=topic, id=op_id, **members)
        found = await eventually(lambda: [frame for frame in self.frames if frame.get("id") == op_id])
        return dict(found[0])


@asynccontextmanager
async def watch(gateway: RunningGateway, token: str = "", *, query: str = "", **options: Any) -> AsyncIterator[Screen]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = gateway.url.replace("http://", "ws://") + "/api/v1/stream" + query
    given = {"open_timeout": 60, "ping_timeout": None} | options  # a test's own limit says for what it waited
    async with connect(url, additional_headers=headers | given.pop("headers", {}), **given) as socket:
        yield Screen(socket)
