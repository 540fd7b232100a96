"""The truth, and the large values that it names: the chains of jobs, holders and plans, payloads and results."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from jetmill.protocol.plan import Plan, StoredPlan
from jetmill.protocol.record import Entry, Holder


class Ledger(Protocol):
    """The append-only record of each job; the truth."""

    def append(self, job_id: str, data: bytes, *, expected: int) -> asyncio.Future[int]:
        """Append an encoded record if the chain's last sequence is `expected` (0: no chain yet); the future gives its
        sequence, or RefusedError, NoAnswerError (it may yet land), BusError (the stream is full: nothing was stored).
        """
        ...

    async def read(self, job_id: str) -> Entry | None:
        """The last record of a job, read after all writes that were answered before."""
        ...

    async def read_at(self, seq: int) -> Entry | None:
        """The record at a sequence, or None if it was purged."""
        ...

    async def read_chain(self, job_id: str) -> list[Entry]:
        """All the records of a job, oldest first."""
        ...

    async def last_seq(self) -> int:
        """The sequence of the newest message in the ledger, 0 if it is empty."""
        ...

    def follow(
        self, *, start: int = 1, job_id: str | None = None, until: int | None = None
    ) -> AsyncIterator[list[Entry]]:
        """Records in order from sequence `start`, in lists of at most 2,000, then live ones as they come; ends when
        everything up to sequence `until` was given. Goes on after a reconnect, skipping and repeating nothing.
        A message that cannot be decoded raises CodecError with its `seq`, after all that came before it was given.
        """
        ...

    async def purge(self, job_id: str, *, up_to: int) -> None:
        """Remove the records of a job whose sequence is below `up_to`: its last one + 1 for the chain, whole. The bound
        keeps what a person's retry appended meanwhile.
        """
        ...

    def append_holder(self, key_hash: str, holder: Holder, *, expected: int) -> asyncio.Future[int]:
        """Write the holder of a gate by compare-and-set."""
        ...

    async def read_holder(self, key_hash: str) -> tuple[int, Holder] | None:
        """The holder of a gate with its sequence."""
        ...

    def append_plan(self, uid: str, plan: Plan, *, expected: int) -> asyncio.Future[int]:
        """Write the plan of a schedule by compare-and-set; InvalidNameError for a uid that can be none."""
        ...

    async def read_plan(self, uid: str) -> StoredPlan | None:
        """The plan of a schedule, read after all writes that were answered before."""
        ...

    async def plans(self) -> list[StoredPlan]:
        """The plan of every schedule that has one, by its uid; it may be a little old."""
        ...

    async def purge_plan(self, uid: str, *, up_to: int) -> None:
        """Remove the plans of a schedule whose sequence is below `up_to`: its last one's for those before it."""
        ...


class Payloads(Protocol):
    """Payloads and results too large for a record."""

    async def put(self, name: str, data: bytes) -> None:
        """Store under a name; the same name again replaces."""
        ...

    async def get(self, name: str) -> bytes:
        """Fetch; NotFoundError."""
        ...

    async def remove(self, name: str) -> None:
        """Remove; removing what is not there is no error."""
        ...
