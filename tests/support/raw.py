"""An administrator with nats-py and the JetStream API: what tests look at and change behind the adapters' back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
from nats.aio.client import Client


class Raw:
    """A connection of its own, nothing of ours in it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.js = client.jetstream()

    @classmethod
    @asynccontextmanager
    async def connect(cls, url: str, **options: Any) -> AsyncIterator[Raw]:
        client = await nats.connect(url.split(","), **options)
        try:
            yield cls(client)
        finally:
            await client.close()

    async def ask(self, method: str, request: Any = None) -> Any:
        """The answer of the JetStream API; AssertionError for an error."""
        payload = b"" if request is None else json.dumps(request).encode()
        answer = json.loads((await self.client.request(f"$JS.API.{method}", payload, timeout=60)).data)
        assert "error" not in answer, answer["error"]
        return answer

    async def stream(self, name: str) -> Any:
        """A stream's config and state."""
        return await self.ask(f"STREAM.INFO.{name}")

    async def change_stream(self, name: str, **config: Any) -> None:
        """Change a stream as an administrator would."""
        there = (await self.stream(name))["config"]
        await self.ask(f"STREAM.UPDATE.{name}", {**there, **config})

    async def consumer(self, stream: str, name: str) -> Any:
        """A consumer's config and state."""
        return await self.ask(f"CONSUMER.INFO.{stream}.{name}")

    async def put(self, subject: str, payload: bytes, **headers: str) -> int:
        """Store a message."""
        ack = await self.js.publish(subject, payload, headers=headers or None)
        return int(ack.seq)
