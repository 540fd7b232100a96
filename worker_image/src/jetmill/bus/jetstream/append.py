"""SKELETON: signatures are firm, bodies follow."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jetmill.bus.jetstream.link import Link


@dataclass(frozen=True, slots=True)
class AppendOptions:
    """How appends are grouped."""

    atomic: bool = True
    """The stream has `allow_atomic`; found false by the first refusal too."""
    timeout_seconds: float | None = None
    """None: the link's request timeout."""
    batch_threshold: int = 64
    """As many as this must wait before a batch is worth its cost."""
    batch_size: int = 500
    batches_in_flight: int = 4
    singles_in_flight: int = 256


class Appender:
    """Appends to ONE stream over one link: pipelined, grouped into atomic batches under load."""

    def __init__(self, link: Link, options: AppendOptions | None = None) -> None:
        raise NotImplementedError

    def append(
        self, subject: str, payload: bytes, *, expected: int | None = None, headers: bytes | None = None
    ) -> asyncio.Future[int]:
        """Append; the future gives the stream sequence. `expected`: the last sequence on this subject (0: none yet).

        It raises RefusedError (10071: `expected` was not the last), NoAnswerError (may have happened or not),
        DisconnectedError (was not sent), PermissionDeniedError, BusError with the server's code and description: 10077
        stream full, 10054 too big, 503 no stream takes the subject. Cancelling the future does not take back the append.
        """
        raise NotImplementedError

    @property
    def backlog(self) -> int:
        """Appends without a verdict yet."""
        raise NotImplementedError

    async def room(self, limit: int = 4000) -> None:
        """Wait until the backlog is under `limit`."""
        raise NotImplementedError

    def close(self) -> None:
        """Fail what is not answered (NoAnswerError, DisconnectedError); idempotent."""
        raise NotImplementedError
