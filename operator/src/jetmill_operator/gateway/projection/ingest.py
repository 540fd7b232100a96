"""The way from one namespace's ledger into the projection: by sequence, resumed where it stopped.

Three things go on beside each other. *Following* takes in what comes. *Looking* asks now and then for the ledger's end:
it tells how far behind we are, takes in sequences that hold nothing for us, and notices that the ledger is another one
(restored from a backup, made anew), which begins everything from nothing. *Sweeping* forgets the chains that keepers
have purged, for a purge leaves no record.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import aclosing

import structlog

from jetmill.bus.ports import Bus, Ledger
from jetmill.errors import BusError, CodecError
from jetmill.ledger.retention import retention_of, retention_times
from jetmill.ledger.scan import scan
from jetmill.protocol.record import JobSettings, Record
from jetmill_operator.gateway.projection.answer import EndedJob
from jetmill_operator.gateway.projection.projection import Projection

log = structlog.get_logger(__name__)

_AT_ONCE = 100
"""Chains that are asked for side by side."""
_PASS = 5_000
"""Chains that one pass of a sweep looks at."""


class AnotherLedgerError(Exception):
    """What the ledger holds now is not what the projection was built from."""


class Ingest:
    """Follows the ledger of one namespace; one per namespace and projection."""

    def __init__(
        self,
        projection: Projection,
        bus: Bus,
        *,
        namespace: str,
        rebuild: bool = False,
        look_seconds: float = 1.0,
        sweep_seconds: float = 30.0,
        pause_seconds: float = 1.0,
    ) -> None:
        self._projection = projection
        self._bus = bus
        self._namespace = namespace
        self._rebuild = rebuild
        self._look_seconds = look_seconds
        self._sweep_seconds = sweep_seconds
        self._pause_seconds = pause_seconds
        self._lock = asyncio.Lock()
        self._unread_range = (0, 0)
        self._swept_until = 0

    @property
    def _ledger(self) -> Ledger:
        return self._bus.ledger

    async def run(self) -> None:
        """Take in what there is and what comes, until cancelled; goes on when NATS is back."""
        while True:
            try:
                await self.begin()
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._follow())
                    group.create_task(self._look())
                    group.create_task(self._sweep())
            except* AnotherLedgerError:
                self._rebuild = True
            except* (BusError, sqlite3.Error) as errors:  # a full disk may be emptied
                log.warning("projection_ingest_failed", namespace=self._namespace, error=str(errors.exceptions[0]))
                await asyncio.sleep(self._pause_seconds)

    async def begin(self) -> None:
        """Find out whether to go on or to begin anew; raises BusError."""
        head = await self._ledger.last_seq()
        if not self._rebuild and not await self._is_same(head):
            log.warning("projection_ledger_changed", namespace=self._namespace, seq=self._seq, head=head)
            self._rebuild = True
        if self._rebuild:
            await self._projection.clear(self._namespace)
            self._rebuild = False
        self._unread_range = (0, self._seq)
        self._swept_until = 0
        self._projection.note_head(self._namespace, head)

    @property
    def _seq(self) -> int:
        return self._projection.seq(self._namespace)

    async def _is_same(self, head: int) -> bool:
        """Tell whether the ledger is the one that was read; a record that was purged tells nothing."""
        mark = await self._projection.mark(self._namespace)
        if head < self._seq:
            return False
        if mark is None:
            return True
        try:
            entry = await self._ledger.read_at(mark[0])
        except CodecError:
            return False
        return entry is None or (entry.id, entry.time) == mark[1:]

    async def _follow(self) -> None:
        while True:
            try:
                async with aclosing(self._ledger.follow(start=self._seq + 1)) as lists:  # type: ignore[type-var]
                    async for entries in lists:
                        async with self._lock:
                            await self._projection.write(self._namespace, entries)
            except CodecError as err:
                log.error("record_unreadable", namespace=self._namespace, seq=err.seq, error=str(err))
                if err.seq <= self._seq:
                    raise BusError(f"the ledger cannot be followed: {err}") from err
                async with self._lock:
                    await self._projection.advance(self._namespace, err.seq)

    async def _look(self) -> None:
        before = -1
        while True:
            head = await self._ledger.last_seq()
            self._projection.note_head(self._namespace, head)
            seq = self._seq
            if head < seq:
                raise AnotherLedgerError
            if head > seq == before:
                await self.catch_up(head)
            before = seq
            await asyncio.sleep(self._look_seconds)

    async def catch_up(self, until: int) -> None:
        """Take in everything up to a sequence of the ledger; raises BusError."""
        async for entries in scan(self._ledger, start=self._seq + 1, until=until):
            async with self._lock:
                if isinstance(entries, CodecError):
                    await self._projection.advance(self._namespace, entries.seq)
                else:
                    await self._projection.write(self._namespace, entries)
        async with self._lock:
            await self._projection.advance(self._namespace, until)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_seconds)
            await self.sweep_once()

    async def sweep_once(self) -> int:
        """Forget the jobs whose chains are gone; gives how many. Looks at those whose retention is over, and once at
        those that were open when this began: they may have ended and gone while nobody read. Raises BusError.
        """
        now = self._bus.link.now()
        gone = await self._find_gone(await self._overdue(now) | await self._unread())
        if gone:
            await self._projection.remove(self._namespace, gone)
            log.info("projection_swept", namespace=self._namespace, jobs=len(gone))
        await self._projection.forget_statistics(self._namespace, now)
        return len(gone)

    async def _overdue(self, now: int) -> dict[str, int]:
        """Jobs that a keeper may have purged by now. A pass goes on where the one before stopped, so that chains that
        nobody purges do not hide those that somebody did.
        """
        settings = {one.job: one for one in await self._bus.admin.all_settings()}
        shortest = min(retention_times(settings.values()))
        over: dict[str, int] = {}
        while len(over) < _PASS:
            ended = await self._projection.ended_before(
                self._namespace, since=self._swept_until, until=now - shortest, limit=_PASS
            )
            over |= {job.id: job.seq for job in ended if is_over(job, settings, now)}
            if len(ended) < _PASS or ended[-1].ended == self._swept_until:
                self._swept_until = 0
                break
            self._swept_until = ended[-1].ended
        return over

    async def _unread(self) -> dict[str, int]:
        after, until = self._unread_range
        jobs = await self._projection.open_before(self._namespace, after=after, until=until, limit=_PASS)
        self._unread_range = (jobs[-1][1] if jobs else until, until)
        return dict(jobs)

    async def _find_gone(self, jobs: dict[str, int]) -> dict[str, int]:
        gone: dict[str, int] = {}
        ids = list(jobs)
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            found = await asyncio.gather(*map(self._exists, some))
            gone |= {job_id: jobs[job_id] for job_id, exists in zip(some, found, strict=True) if not exists}
        return gone

    async def _exists(self, job_id: str) -> bool:
        try:
            return await self._ledger.read(job_id) is not None
        except CodecError:
            return True


def is_over(job: EndedJob, settings: dict[str, JobSettings], now: int) -> bool:
    """Tell whether a job's retention is over."""
    record = Record(state=job.state, enqueueing=1, attempt=1, job=job.job, time=job.ended, by="")
    return job.over + retention_of(record, settings) <= now
