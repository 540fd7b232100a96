"""SKELETON: signatures are firm, bodies follow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jetmill.bus.jetstream.link import Link
    from jetmill.bus.jetstream.read import StoredMessage


class Follow:
    """`async for messages in Follow(link, stream, filters, start_seq=1)`: lists of StoredMessage, in order, old then live."""

    def __init__(
        self, link: Link, stream: str, subject_filters: Sequence[str], *, start_seq: int = 1, chunk: int = 2000
    ) -> None:
        raise NotImplementedError

    last_seq: int
    """The sequence of the last message given (start_seq - 1 before the first)."""

    caught_up: bool
    """Whether everything that was stored when the last list was made has been given."""

    def __aiter__(self) -> AsyncIterator[list[StoredMessage]]:
        """Give lists of 1 to `chunk` messages for ever; NotFoundError without such a stream."""
        raise NotImplementedError

    async def close(self) -> None:
        """Remove the consumer; the iteration ends. Idempotent."""
        raise NotImplementedError
