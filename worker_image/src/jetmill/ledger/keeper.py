"""The keeper (rule 7): lost hints come back, cancel pushes are repeated, finished chains are purged whole.

It follows the ledger and remembers only the open jobs. An open job in any state whose hint is in no queue gets one:
those without a change for a minute are checked once, all of them every ten minutes, and nearly all at once when the
connection broke: a server that crashed may have lost its newest hints. Restoring wrongly is harmless,
for a hint only says "look", so any number of keepers may run, without a leader. All times are the server's.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from jetmill.bus.ports import Bus
from jetmill.errors import BusError, CodecError, NotFoundError
from jetmill.ledger.hint import prepare_hint, read_source
from jetmill.ledger.patience import Backoff
from jetmill.ledger.retention import Retention
from jetmill.ledger.scan import scan
from jetmill.protocol.record import Entry
from jetmill.protocol.state import State

log = structlog.get_logger(__name__)

_SAME_CONNECTION = 10_000
"""µs; two readings of the clocks may differ by as much and mean the same connection."""


@dataclass(slots=True)
class _Open:
    """What is remembered of an open job."""

    job: str
    time: int
    cancelling: bool
    checked: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """What one pass did."""

    restored: int = 0
    pushed: int = 0
    purged: int = 0


class Keeper:
    """Restores lost hints, repeats cancel pushes, purges finished chains; any number may run."""

    def __init__(
        self,
        bus: Bus,
        *,
        interval_seconds: float = 15.0,
        check_after_seconds: float = 60.0,
        check_all_seconds: float = 600.0,
        check_after_break_seconds: float = 2.0,
    ) -> None:
        self._bus = bus
        self._interval_seconds = interval_seconds
        self._check_after = round(check_after_seconds * 1e6)
        self._check_all = round(check_all_seconds * 1e6)
        self._check_after_break = round(check_after_break_seconds * 1e6)
        self._open: dict[str, _Open] = {}
        self._cursor = 0
        self._checked_all = bus.link.now()
        self._connected_at = self._when_connected()
        self._retention = Retention(bus)

    @property
    def open_jobs(self) -> int:
        """How many open jobs it knows of."""
        return len(self._open)

    async def run(self) -> None:
        """Make a pass every `interval_seconds` until cancelled; goes on when NATS is back."""
        while True:
            try:
                kept = await self.pass_once()
            except BusError as err:
                log.warning("keeper_pass_failed", error=str(err))
            else:
                if kept != Kept():
                    log.info("keeper_acted", restored=kept.restored, pushed=kept.pushed, purged=kept.purged)
            await asyncio.sleep(self._interval_seconds)

    async def pass_once(self) -> Kept:
        """Catch up with the ledger, then look after what needs it; raises BusError."""
        await self._catch_up()
        pushed = self._push_cancels()
        restored = await self._check_hints()
        purged = await self._retention.purge_due()
        return Kept(restored=restored, pushed=pushed, purged=purged)

    async def _catch_up(self) -> None:
        until = await self._bus.ledger.last_seq()
        if until < self._cursor:  # another ledger than before: it was restored from a backup
            self._open.clear()
            self._cursor = 0
        async for entries in scan(self._bus.ledger, start=self._cursor + 1, until=until):
            if isinstance(entries, CodecError):
                log.error("record_unreadable", seq=entries.seq, error=str(entries))
                continue
            for entry in entries:
                self._note(entry)
        self._cursor = until

    def _note(self, entry: Entry) -> None:
        record = entry.record
        if record.open:
            self._open[entry.id] = _Open(record.job, entry.time, record.state is State.CANCELLING)
        else:
            self._open.pop(entry.id, None)

    def _push_cancels(self) -> int:
        cancelling = [job_id for job_id, job in self._open.items() if job.cancelling]
        for job_id in cancelling:
            self._bus.signals.cancel(job_id)
        return len(cancelling)

    async def _check_hints(self) -> int:
        now = self._bus.link.now()
        connected_at = self._when_connected()
        broke = connected_at > self._connected_at + _SAME_CONNECTION
        check_all = broke or now - self._checked_all >= self._check_all
        check_after = min(self._check_after, self._check_after_break) if broke else self._check_after
        suspects: dict[str, list[str]] = {}
        for job_id, job in self._open.items():
            if now - job.time >= check_after and (check_all or not job.checked):
                suspects.setdefault(job.job, []).append(job_id)
        restored = 0
        for name, ids in suspects.items():
            try:
                hinted = await self._bus.queue.hinted(name)
            except NotFoundError:
                continue  # the Job was removed; its jobs wait in the ledger until it is declared again
            for job_id in ids:
                if job_id not in hinted:
                    restored += await self._restore(job_id)
                if job_id in self._open:
                    self._open[job_id].checked = True
        if check_all:
            self._checked_all = now
        self._connected_at = connected_at
        return restored

    def _when_connected(self) -> int:
        """When the connection was made, µs by the server's clock."""
        return self._bus.link.now() - round(self._bus.link.connected_seconds * 1e6)

    async def _restore(self, job_id: str) -> int:
        """Put the hint of a job's last record as it is now; 1 if it needed one."""
        try:
            last = await self._bus.ledger.read(job_id)
            if last is None or last.record.final:
                self._open.pop(job_id, None)
                return 0
            source = await read_source(self._bus, last, Backoff(patience_seconds=0))
        except CodecError as err:
            log.error("record_unreadable", id=job_id, error=str(err))
            return 0
        hint = prepare_hint(last, source=source)
        assert hint is not None
        await self._bus.queue.publish(hint)
        return 1
