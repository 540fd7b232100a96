"""Trying again: 50 ms, doubling to 5 s, each wait with jitter, so that nothing spins while NATS is away.

A worker never gives up what it sent or has to record, so its patience has no end and only cancellation stops it. A
caller of the client gets an error in the end, and at once where trying again cannot help.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from jetmill.errors import BusError, NoAnswerError

FIRST_SECONDS = 0.05
LONGEST_SECONDS = 5.0
PATIENCE_SECONDS = 30.0
"""How long a client's call goes on when nobody answers."""
UNHEARD, UNHEARD_SECONDS = 503, 5.0
"""… and when nobody hears its subject: for a moment that is so while NATS ends or begins, for ever without a stream."""

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Backoff:
    """The waits between the tries of one operation; without end unless limited."""

    __slots__ = ("_next", "_unanswered_only", "_unheard_until", "_until")

    def __init__(self, *, patience_seconds: float = math.inf, unanswered_only: bool = False) -> None:
        self._next = FIRST_SECONDS
        self._unanswered_only = unanswered_only
        self._until = self._unheard_until = math.inf
        if patience_seconds < math.inf:
            self._until = asyncio.get_running_loop().time() + patience_seconds

    async def pause(self, err: BusError) -> None:
        """Wait for the next try, or raise `err`: patience is at its end, or it was an answer."""
        now = asyncio.get_running_loop().time()
        if isinstance(err, NoAnswerError):
            self._unheard_until = math.inf
        elif self._unanswered_only:
            if err.code != UNHEARD:
                raise err
            self._unheard_until = min(self._unheard_until, now + UNHEARD_SECONDS)
        if now >= min(self._until, self._unheard_until):
            raise err
        if self._next == FIRST_SECONDS:
            log.warning("bus_call_unanswered", error=str(err))
        wait = self._next
        self._next = min(wait * 2, LONGEST_SECONDS)
        await asyncio.sleep(wait * (0.5 + random.random() / 2))


def for_caller() -> Backoff:
    """The patience of a client's call: PATIENCE_SECONDS without an answer, UNHEARD_SECONDS if nobody hears; what NATS
    refuses is raised at once.
    """
    return Backoff(patience_seconds=PATIENCE_SECONDS, unanswered_only=True)


async def insist(ask: Callable[[], Awaitable[T]], backoff: Backoff) -> T:
    """Ask until it is answered; only for what may be asked twice."""
    while True:
        try:
            return await ask()
        except BusError as err:
            await backoff.pause(err)
