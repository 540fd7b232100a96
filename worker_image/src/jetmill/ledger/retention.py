"""Retention: chains that ended long enough ago are purged whole, with the objects that they refer to.

Nothing is remembered of finished jobs. For each retention time that occurs there is a cursor that walks the ledger up
to the records that are as old as that: so each final record is met once, when its time has come. A chain is purged up
to its last record and no further: what a person's retry appends at the same moment stays, and stands alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from heapq import heappop, heappush

from jetmill.bus.ports import Bus
from jetmill.errors import CodecError
from jetmill.ledger.scan import scan
from jetmill.protocol.record import Entry, JobSettings, Record
from jetmill.protocol.state import State

SLOT_KEPT = 2 * 3_600_000_000
"""µs: a schedule's job is kept for as long at least, however short its Job's retention is."""


class Retention:
    """The memory of one keeper's purging: a cursor for each retention time."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._cursors: dict[int, int] = {}
        self._later: list[tuple[int, str]] = []

    async def purge_due(self) -> int:
        """Purge the chains whose time is over; returns how many."""
        settings = {one.job: one for one in await self._bus.admin.all_settings()}
        now = self._bus.link.now()
        until = await self._bus.ledger.last_seq()
        purged = 0
        while self._later and self._later[0][0] <= now:
            purged += await self._purge(heappop(self._later)[1], settings, now)
        for kept in retention_times(settings.values()):
            purged += await self._sweep(kept, settings, now=now, until=until)
        return purged

    async def _sweep(self, kept: int, settings: dict[str, JobSettings], *, now: int, until: int) -> int:
        """Walk on with the cursor of one retention time, up to what is younger."""
        cursor = self._cursors.get(kept, 0)
        if cursor > until:
            cursor = 0
        purged = 0
        async with aclosing(scan(self._bus.ledger, start=cursor + 1, until=until)) as lists:
            async for entries in lists:
                if isinstance(entries, CodecError):
                    cursor = entries.seq
                    continue
                old = [entry for entry in entries if entry.time <= now - kept]
                for entry in old:
                    if entry.record.final and retention_of(entry.record, settings) == kept:
                        purged += await self._purge(entry.id, settings, now)
                    cursor = entry.seq
                if len(old) < len(entries):
                    break
        self._cursors[kept] = cursor
        return purged

    async def _purge(self, job_id: str, settings: dict[str, JobSettings], now: int) -> int:
        """Purge a chain if its last record is final and old enough; 1 if it was."""
        ledger = self._bus.ledger
        try:
            chain = await ledger.read_chain(job_id)
        except CodecError:
            return 0  # of a newer version: a newer keeper knows what it means
        if not chain or not chain[-1].record.final:
            return 0
        last = chain[-1]
        # A slot that was cancelled or withdrawn before its time has to be remembered beyond it, or it is planned again.
        ended = max(last.time, *(entry.record.due or 0 for entry in chain))
        kept = retention_of(last.record, settings)
        # An unfinished plan that names it is finished within this time, if at all: a slot that ran is not planned anew.
        over = ended + (kept if last.record.schedule is None else max(kept, SLOT_KEPT))
        if over > now:
            if ended > last.time or last.record.schedule is not None:  # the cursor passes it by now
                heappush(self._later, (over, job_id))
            return 0
        await purge_chain(self._bus, chain)
        return 1


async def purge_chain(bus: Bus, chain: list[Entry]) -> None:
    """Remove a chain that has ended, as it was read, with the objects that it refers to."""
    job_id, last = chain[-1].id, chain[-1]
    await bus.ledger.purge(job_id, up_to=last.seq + 1)
    if await bus.ledger.read(job_id) is None:
        for name in _objects(chain):
            await bus.payloads.remove(name)


def retention_of(record: Record, settings: dict[str, JobSettings]) -> int:
    """How long (µs) a chain that ended so is kept; a Job that is not declared any more has the defaults."""
    job = settings.get(record.job) or JobSettings(job=record.job)
    failed = record.state in (State.FAILED, State.DISCARDED)
    return round((job.failed_seconds if failed else job.succeeded_seconds) * 1e6)


def retention_times(settings: Iterable[JobSettings]) -> list[int]:
    """The retention times (µs) that occur, in order."""
    times = {round(seconds * 1e6) for job in settings for seconds in (job.succeeded_seconds, job.failed_seconds)}
    default = JobSettings(job="")
    return sorted(times | {round(default.succeeded_seconds * 1e6), round(default.failed_seconds * 1e6)})


def _objects(chain: list[Entry]) -> set[str]:
    """The names of the payloads and results that a chain refers to."""
    references = [ref for entry in chain for ref in (entry.record.payload_ref, entry.record.result_ref)]
    return {ref.name for ref in references if ref is not None}
