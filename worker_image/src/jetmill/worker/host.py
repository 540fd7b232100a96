"""What a JobContext's wishes become in the worker: traces, further jobs, events, on the worker's own connection."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Mapping
from typing import Any

from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.protocol.event import Event, encode_event
from jetmill.protocol.transition import make_job_source
from jetmill.worker.context import JobFacts, to_datetime


class WorkerHost:
    """Carries out what contexts ask for; safe to call from any thread."""

    def __init__(self, bus: Bus, client: Client) -> None:
        self._bus = bus
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def trace(self, facts: JobFacts, kind: str, data: bytes) -> None:
        """Note a progress report or a log line."""
        if threading.get_ident() == self._thread:
            self._bus.events.trace(facts.id, kind, data)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._bus.events.trace, facts.id, kind, data)

    async def enqueue(self, facts: JobFacts, job: Any, payload: Mapping[str, Any], options: Mapping[str, Any]) -> str:
        """Enqueue another job, for the same user unless told otherwise."""
        given = dict(options)
        if facts.user is not None:
            given.setdefault("user", facts.user)
        handle = await self._client.enqueue(job, payload, **given)
        return handle.id

    async def publish(self, facts: JobFacts, event_type: str, data: Any) -> str:
        """Publish an event of the application, as a CloudEvent whose source is the Job and whose subject is the job."""
        event = Event(
            id=secrets.token_hex(16),
            type=event_type,
            source=make_job_source(facts.namespace, facts.job),
            subject=facts.id,
            time=to_datetime(self._bus.link.now()),
            user=facts.user,
            data=data,
            extensions={} if facts.trace is None else {"traceparent": facts.trace},
        )
        await self._bus.events.publish(event.type, encode_event(event), event_id=event.id)
        return event.id

    def wait_for(self, coroutine: Any) -> Any:
        """Wait on a handler's thread for what runs on the loop."""
        if threading.get_ident() == self._thread:
            coroutine.close()
            raise RuntimeError("this would block the worker's loop: use await ctx.enqueue(...) or ctx.publish(...)")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()
