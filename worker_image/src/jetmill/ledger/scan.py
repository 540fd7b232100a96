"""Reading the ledger from a sequence to its present end, going on behind what cannot be decoded."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from jetmill.bus.ports import Ledger
from jetmill.errors import CodecError
from jetmill.protocol.record import Entry


async def scan(ledger: Ledger, *, start: int, until: int) -> AsyncGenerator[list[Entry] | CodecError, None]:
    """Records in order from `start` to `until`, in lists; in the place of an unreadable one its CodecError."""
    while start <= until:
        try:
            async with aclosing(ledger.follow(start=start, until=until)) as lists:  # type: ignore[type-var]
                async for entries in lists:
                    yield entries
                    start = entries[-1].seq + 1
                return
        except CodecError as err:
            if err.seq < start:
                raise
            yield err
            start = err.seq + 1
