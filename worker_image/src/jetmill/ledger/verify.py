"""Proof of the invariants on a whole ledger: read once from the beginning, checked record by record.

Besides the chains it counts the open jobs that have no hint at this moment. One look cannot tell whether a keeper
will restore it, so such a job is a violation only if nothing happened to it for ten minutes, by when any keeper has
looked: run again before you worry, and see that a keeper runs.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from jetmill.bus.ports import Bus
from jetmill.errors import CodecError, NotFoundError
from jetmill.ledger.check import ChainCheck, check_start
from jetmill.ledger.scan import scan
from jetmill.protocol.plan import StoredPlan

LISTED = 1_000
HINT_GRACE_SECONDS = 600.0


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that a chain breaks."""

    id: str
    sequences: list[int]
    """Of the record that breaks it, and before it the one that it follows, if that is known."""
    rule: str
    text: str


class Report(msgspec.Struct, kw_only=True):
    """What `verify` saw."""

    jobs: int = 0
    records: int = 0
    states: dict[str, int] = {}
    """Chains by their last record's state."""
    open: int = 0
    unhinted: int = 0
    """Open jobs without a hint in the queue, at this moment."""
    unreadable: int = 0
    """Records that this version cannot decode (violations too)."""
    projected: int | None = None
    """Jobs in the projection that was compared, if one was."""
    violation_count: int = 0
    violations: list[Violation] = []
    """The first 1,000."""

    @property
    def clean(self) -> bool:
        """No rule is broken."""
        return self.violation_count == 0

    def add(self, job_id: str, sequences: list[int], rule: str, text: str) -> None:
        """Count a violation, and list it if there is room."""
        self.violation_count += 1
        if len(self.violations) < LISTED:
            self.violations.append(Violation(id=job_id, sequences=sequences, rule=rule, text=text))


async def verify(bus: Bus, *, on_progress: Callable[[int, int], None] | None = None) -> Report:
    """Read the whole ledger once and check every chain; `on_progress(sequence, last)` now and then. Raises BusError.

    Jobs may run meanwhile: what comes after the ledger's end, as it was when this began, is not looked at.
    """
    report, check = Report(), ChainCheck()
    until = await bus.ledger.last_seq()
    async for entries in scan(bus.ledger, start=1, until=until):
        if isinstance(entries, CodecError):
            report.unreadable += 1
            report.add("", [entries.seq], "codec", str(entries))
            continue
        for entry in entries:
            for finding in check.add(entry):
                report.add(*finding)
        if on_progress is not None:
            on_progress(entries[-1].seq, until)
    report.jobs, report.records = len(check), check.records
    report.states = check.count_states()
    report.open = len(check.open_jobs())
    await _look_for_hints(bus, check, report)
    await _check_starts(bus, check, report)
    return report


async def _check_starts(bus: Bus, check: ChainCheck, report: Report) -> None:
    """Hold what started of schedules against their plans, the last of each: it names what is in force."""
    by_name: dict[str, list[StoredPlan]] = {}
    for stored in await bus.ledger.plans() if check.starts else ():
        by_name.setdefault(stored.plan.schedule, []).append(stored)
    for start in check.starts:
        for finding in check_start(start, by_name.get(start.schedule, ())):
            report.add(*finding)


async def _look_for_hints(bus: Bus, check: ChainCheck, report: Report) -> None:
    """Count the open jobs without a hint; who moved on while we read is asked again."""
    by_job: dict[str, list[str]] = {}
    for job_id, link in check.open_jobs().items():
        by_job.setdefault(link.job, []).append(job_id)
    for job, ids in by_job.items():
        try:
            hinted = await bus.queue.hinted(job)
        except NotFoundError:
            hinted = set()
        for job_id in ids:
            if job_id not in hinted:
                await _note_unhinted(bus, report, job_id, check.open_jobs()[job_id].seq)


async def _note_unhinted(bus: Bus, report: Report, job_id: str, seq: int) -> None:
    try:
        last = await bus.ledger.read(job_id)
    except CodecError:
        return  # counted already
    if last is None or last.seq != seq:
        return
    report.unhinted += 1
    idle_seconds = (bus.link.now() - last.time) / 1e6
    if idle_seconds > HINT_GRACE_SECONDS:
        report.add(job_id, [seq], "hint", f"{last.record.state} for {idle_seconds:.0f} s without a hint")
