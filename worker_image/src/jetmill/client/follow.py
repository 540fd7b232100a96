"""Waiting for jobs to end, and watching them: by following the ledger, never by asking again and again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from jetmill.bus.ports import Ledger
from jetmill.client.status import Transition, build_transition
from jetmill.errors import JobNotFoundError
from jetmill.protocol.record import Entry

_CHAINS_AT_MOST = 4
"""For more jobs than this the whole ledger is followed once, instead of a chain for each."""


async def follow_to_end(ledger: Ledger, job_id: str) -> Entry:
    """Wait for the final record of a job, as it is enqueued now; JobNotFoundError."""
    last = await ledger.read(job_id)
    if last is None:
        raise not_found(job_id)
    if last.record.final:
        return last
    async with _entries(ledger, start=last.seq + 1, job_id=job_id) as lists:
        async for entries in lists:
            for entry in entries:
                if entry.record.final:
                    return entry
    raise not_found(job_id)  # the iterator of a live chain ends only with its bus


async def follow_many(
    ledger: Ledger, job_ids: Sequence[str], *, on_final: Callable[[Transition], None] | None = None
) -> dict[str, Entry]:
    """Wait for the final record of each job; JobNotFoundError for the first that is not there."""
    start = await ledger.last_seq() + 1
    ended: dict[str, Entry] = {}
    waiting: set[str] = set()
    for job_id in dict.fromkeys(job_ids):
        last = await ledger.read(job_id)
        if last is None:
            raise not_found(job_id)
        if last.record.final:
            _note(ended, last, on_final)
        else:
            waiting.add(job_id)
    if waiting and len(waiting) <= _CHAINS_AT_MOST:
        for job_id in waiting:
            _note(ended, await follow_to_end(ledger, job_id), on_final)
        return ended
    if waiting:
        async with _entries(ledger, start=start, job_id=None) as lists:
            async for entries in lists:
                for entry in entries:
                    if entry.id in waiting and entry.record.final:
                        waiting.discard(entry.id)
                        _note(ended, entry, on_final)
                if not waiting:
                    break
    return ended


async def stream_transitions(
    ledger: Ledger, *, start: int | None, job: str | None, job_id: str | None
) -> AsyncIterator[Transition]:
    """Transitions from a sequence on (None: from now on) as they happen, without an end."""
    first = await ledger.last_seq() + 1 if start is None else start
    async with _entries(ledger, start=first, job_id=job_id) as lists:
        async for entries in lists:
            for entry in entries:
                if job is None or entry.record.job == job:
                    yield build_transition(entry)


def not_found(job_id: str) -> JobNotFoundError:
    """The error for an id without a chain."""
    return JobNotFoundError(f"no job {job_id}", cure="look at its namespace, and whether its retention is over")


def _note(ended: dict[str, Entry], entry: Entry, on_final: Callable[[Transition], None] | None) -> None:
    ended[entry.id] = entry
    if on_final is not None:
        on_final(build_transition(entry))


@asynccontextmanager
async def _entries(ledger: Ledger, *, start: int, job_id: str | None) -> AsyncGenerator[AsyncIterator[list[Entry]]]:
    """Follow, and stop following when the block ends: every adapter's iterator is a generator that can be closed."""
    lists = ledger.follow(start=start, job_id=job_id)
    try:
        yield lists
    finally:
        close = getattr(lists, "aclose", None)
        if close is not None:
            await close()
