"""All that streams from one gateway: a hub for each namespace, made when first wanted, and every session.

One task looks after all of them once a second, so that a thousand idle sockets cost no timers.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Self

import structlog

from jetmill.bus.ports import Bus
from jetmill.errors import JetmillError
from jetmill_operator.gateway.stream.frame import Key
from jetmill_operator.gateway.stream.hub import Hub
from jetmill_operator.gateway.stream.option import StreamOptions
from jetmill_operator.gateway.stream.session import RESTART, Access, Session, UnknownNamespaceError
from jetmill_operator.gateway.stream.snapshot import Snapshots

_SWEEP_SECONDS = 1.0
_CHECK_SECONDS = 5.0
log = structlog.get_logger()


class FullError(JetmillError):
    """There are as many sessions as there may be, or the gateway is going."""


class Backplane:
    """Hubs and sessions. `open_bus` gives the bus of a namespace, None for one that is not served."""

    def __init__(
        self,
        open_bus: Callable[[str], Bus | None],
        *,
        options: StreamOptions | None = None,
        snapshots: Snapshots | None = None,
    ) -> None:
        self.options = options or StreamOptions()
        self.sessions: set[Session] = set()
        self.closed: Counter[int] = Counter()
        """Sessions that ended, by code."""
        self.snapshots = snapshots
        """Who knows how all jobs stand; None: nobody does yet."""
        self._users: Counter[str | None] = Counter()
        """Sessions by whose they are."""
        self._open_bus = open_bus
        self._hubs: dict[str, Hub] = {}
        self._delivered = 0
        self._dropped = 0
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def open_session(self, access: Access, *, namespace: str) -> Session:
        """Begin a session, to be ended by `end_session`; FullError."""
        if self._closing or len(self.sessions) >= self.options.max_sessions:
            raise FullError("this gateway takes no more streams now", cure="try again, or another gateway")
        if self._users[access.user] >= self.options.max_sessions_of_one:
            raise FullError("you have as many streams here as one may have", cure="close some")
        session = Session(access, self.find_hub, namespace=namespace, options=self.options, snapshots=self.snapshots)
        self.sessions.add(session)
        self._users[access.user] += 1
        if self._task is None:
            self._task = asyncio.create_task(self._look_after())
        return session

    def end_session(self, session: Session, *, code: int = 1000) -> None:
        """Forget a session, whoever ended it. Idempotent."""
        if session not in self.sessions:
            return
        self.sessions.remove(session)
        self._users -= Counter((session.access.user,))
        session.close(code, "")
        self.closed[session.outbox.code] += 1
        self._delivered += session.outbox.delivered
        self._dropped += session.outbox.dropped

    async def find_hub(self, namespace: str) -> Hub:
        """The hub of a namespace; UnknownNamespaceError."""
        hub = self._hubs.get(namespace)
        if hub is None:
            bus = self._open_bus(namespace)
            if bus is None:
                raise UnknownNamespaceError(f"namespace {namespace!r:.80} is not served here")
            hub = self._hubs[namespace] = Hub(bus, options=self.options)
        return hub

    @property
    def delivered(self) -> int:
        """Events given to clients."""
        return self._delivered + sum(session.outbox.delivered for session in self.sessions)

    @property
    def dropped(self) -> int:
        """Events that clients were too slow for, and were told so."""
        return self._dropped + sum(session.outbox.dropped for session in self.sessions)

    @property
    def waiting_bytes(self) -> int:
        """What waits in all outboxes; frames that several share count several times."""
        return sum(session.outbox.bytes for session in self.sessions)

    def shut(self, code: int = RESTART, reason: str = "the gateway restarts") -> None:
        """End all sessions and take no more: what a SIGTERM calls. Idempotent."""
        self._closing = True
        for session in tuple(self.sessions):
            session.close(code, reason)

    async def close(self) -> None:
        """Stop everything; the buses stay with who made them."""
        self.shut()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for session in tuple(self.sessions):
            self.end_session(session)
        await asyncio.gather(*(hub.close() for hub in self._hubs.values()))

    async def _look_after(self) -> None:
        loop = asyncio.get_running_loop()
        checked = loop.time()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = loop.time()
            try:
                self._sweep(now)
                if now - checked >= _CHECK_SECONDS:
                    checked = now
                    await self._check()
            except Exception:  # without it nobody's rights would be looked at any more
                log.exception("streams_not_looked_after")

    def _sweep(self, now: float) -> None:
        for session in tuple(self.sessions):
            session.sweep(now, time.time())
            if session.outbox.code and now - session.outbox.taken > self.options.stall_seconds:
                self.end_session(session)  # nobody did: who was to serve it never came to it

    def _is_wanted(self, key: Key) -> bool:
        return any(key in session.subscriptions for session in self.sessions)

    async def _check(self) -> None:
        for hub in tuple(self._hubs.values()):
            await hub.check()
            await hub.end_idle(self._is_wanted)
