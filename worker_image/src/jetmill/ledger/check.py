"""The invariants of a chain as a pure fold: what is remembered of a job, and what its next record may be.

What the ledger shows of the invariants is checked here; an overlap of two runs by a lapsed presence, and who was
absent when, it does not show. Per open job a small tuple is kept; of a finished one only its state, enqueueing and the
place of its payload in one integer: about 110 bytes a job with its id, measured over 333,000 jobs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jetmill.protocol.plan import StoredPlan, make_slot_id
from jetmill.protocol.record import Entry
from jetmill.protocol.state import ALLOWED, CLAIMED, FINAL, Reason, State, crash_budget

_STATES = list(State)


class Link(NamedTuple):
    """What the next record of a chain is judged by."""

    seq: int
    state: State
    enqueueing: int
    source: int
    """The sequence of the record that holds payload and call."""
    withdrawn: bool
    attempt: int = 0
    crashes: int = 0
    lease: str | None = None
    worker: str | None = None
    job: str = ""
    due: int = 0
    slot: int = 0
    """µs: the time of the calendar that it stands for."""


Breach = tuple[str, str]
"""The rule that is broken, and how."""


def link_of(entry: Entry) -> Link:
    """What to remember of an entry."""
    record = entry.record
    return Link(
        seq=entry.seq,
        state=record.state,
        enqueueing=record.enqueueing,
        source=record.payload_seq or entry.seq,
        withdrawn=record.reason is Reason.WITHDRAWN,
        attempt=record.attempt,
        crashes=record.crashes,
        lease=record.lease,
        worker=record.worker,
        job=sys.intern(record.job),
        due=record.due or 0,
        slot=0 if record.call is None else record.call.slot or 0,
    )


def check_step(previous: Link | None, entry: Entry) -> Iterator[Breach]:
    """Name every rule that an entry breaks as the next one after `previous` (None: the first)."""
    record = entry.record
    if previous is None:
        yield from _check_first(entry)
    else:
        if record.state not in ALLOWED[previous.state]:
            yield "diagram", f"{record.state} after {previous.state}"
        yield from _check_counts(previous, entry)
        yield from _check_source(previous, entry)
        if previous.job and record.job != previous.job:
            yield "job", f"of Job {record.job}, was of {previous.job}"
    yield from _check_claim(previous, entry)
    if record.crashes > crash_budget(record.job):
        yield "crash-budget", f"{record.crashes} crashes, over the budget of {crash_budget(record.job)}"
    if record.state in (State.SCHEDULED, State.RETRYING) and record.due is None:
        yield "due", f"{record.state} without a time"


def _check_first(entry: Entry) -> Iterator[Breach]:
    record = entry.record
    reopened = record.reason is Reason.REOPENED and record.state is State.QUEUED and record.enqueueing > 1
    if reopened and record.payload_seq is None:
        return  # the lives before it were purged while a person retried the job
    if record.state not in ALLOWED[None]:
        yield "diagram", f"begins with {record.state}"
    if (record.enqueueing, record.attempt, record.crashes) != (1, 1, 0):
        yield "counters", f"begins with enqueueing {record.enqueueing}, attempt {record.attempt}"
    if record.state is State.CANCELLED and record.reason is not Reason.WITHDRAWN:
        yield "diagram", "begins with cancelled, and is no withdrawn slot"
    if record.payload_seq is not None:
        yield "payload", f"the first record points to {record.payload_seq}"


def _check_counts(previous: Link, entry: Entry) -> Iterator[Breach]:
    record = entry.record
    if previous.state in FINAL and record.state is not State.DISCARDED:
        if (record.enqueueing, record.attempt, record.crashes) != (previous.enqueueing + 1, 1, 0):
            yield "one-final", f"enqueueing {record.enqueueing} after the final record of {previous.enqueueing}"
        if record.state is State.SCHEDULED and not previous.withdrawn:
            yield "diagram", "planned again though it was not withdrawn"
        return
    if record.enqueueing != previous.enqueueing:
        yield "one-final", f"enqueueing {record.enqueueing} without a final record of {previous.enqueueing}"
    if previous.state in FINAL:
        return
    claims = record.state is State.RUNNING
    attempt = previous.attempt + (1 if claims and previous.state is State.RETRYING else 0)
    crashes = previous.crashes + (1 if claims and previous.state is State.RUNNING else 0)
    if record.attempt != attempt:
        yield "attempts", f"attempt {record.attempt}, not {attempt}"
    if record.crashes != crashes:
        yield "crashes", f"{record.crashes} crashes, not {crashes}"


def _check_claim(previous: Link | None, entry: Entry) -> Iterator[Breach]:
    """Each run has its own `running`; `cancelling` keeps the claim; a takeover is by another worker."""
    record = entry.record
    if record.state not in CLAIMED:
        if record.lease is not None:
            yield "lease", f"{record.state} with a lease"
        poison = record.state is State.FAILED and record.reason is Reason.POISON
        if poison and (previous is None or previous.crashes < crash_budget(record.job)):
            yield "crash-budget", "poison before the crash budget is spent"
        return
    if record.lease is None or record.worker is None:
        yield "lease", f"{record.state} without lease or worker"
    if previous is None:
        return
    if record.state is State.CANCELLING:
        if (record.lease, record.worker) != (previous.lease, previous.worker):
            yield "lease", "cancelling under another lease"
        return
    if record.max_retries is not None and record.attempt > record.max_retries + 1:
        yield "attempts", f"attempt {record.attempt} of at most {record.max_retries + 1}"
    if previous.state is State.RUNNING:
        if record.lease == previous.lease:
            yield "lease", "two runs under one lease"
        if record.worker == previous.worker:
            yield "takeover", f"{record.worker} took its own claim over"


def _check_source(previous: Link, entry: Entry) -> Iterator[Breach]:
    record = entry.record
    begins = previous.state in FINAL and record.state is not State.DISCARDED
    if record.payload_seq is None:
        if not begins and record.reason is not Reason.REPLANNED:
            yield "payload", f"{record.state} says nothing of its payload"
    elif record.payload_seq != previous.source:
        yield "payload", f"points to {record.payload_seq}, the payload lies at {previous.source}"


class Finding(NamedTuple):
    """A broken rule, where."""

    id: str
    sequences: list[int]
    rule: str
    text: str


class Start(NamedTuple):
    """A slot of a schedule that was claimed for the first time."""

    id: str
    seq: int
    schedule: str
    generation: int
    due: int
    slot: int


class ChainCheck:
    """All chains of a ledger, record by record, in order."""

    def __init__(self) -> None:
        self.records = 0
        self.starts: list[Start] = []
        """Slots that were claimed, in order: their plans are not among the records."""
        self._open: dict[str, Link] = {}
        self._ended: dict[int | str, int] = {}
        self._gates: dict[str, dict[str, int]] = {}

    def add(self, entry: Entry) -> list[Finding]:
        """Take the next record, and name what it breaks."""
        self.records += 1
        previous = self._open.get(entry.id)
        key = _key(entry.id) if previous is None or entry.record.final else 0
        if previous is None and key in self._ended:
            previous = _unpack(self._ended.pop(key))
        sequences = [entry.seq] if previous is None or previous.seq == 0 else [previous.seq, entry.seq]
        findings = [Finding(entry.id, sequences, rule, text) for rule, text in check_step(previous, entry)]
        if entry.record.schedule is not None and previous is not None and previous.state is State.SCHEDULED:
            self._note_start(entry, previous)
        if entry.record.gate is not None:
            findings += self._check_gate(entry)
        if entry.record.final:
            self._open.pop(entry.id, None)
            self._ended[key] = _pack(entry)
        else:
            link = link_of(entry)
            self._open[entry.id] = link if link.slot or previous is None else link._replace(slot=previous.slot)
        return findings

    def _note_start(self, entry: Entry, previous: Link) -> None:
        record = entry.record
        if record.state is State.RUNNING and record.schedule is not None:
            schedule, generation = sys.intern(record.schedule), record.generation or 0
            self.starts.append(Start(entry.id, entry.seq, schedule, generation, previous.due, previous.slot))

    def _check_gate(self, entry: Entry) -> list[Finding]:
        """One claimed, open job per gate."""
        record = entry.record
        key = (record.gate or "").partition(":")[2]
        holders = self._gates.setdefault(key, {})
        findings: list[Finding] = []
        if record.final:
            holders.pop(entry.id, None)
            if not holders:
                del self._gates[key]
        elif record.state is State.RUNNING:
            findings = [
                Finding(entry.id, [seq, entry.seq], "gate", f"claimed while {other} holds the gate")
                for other, seq in holders.items()
                if other != entry.id
            ]
            holders[entry.id] = entry.seq
        return findings

    def open_jobs(self) -> dict[str, Link]:
        """The open jobs by id."""
        return self._open

    def count_states(self) -> dict[str, int]:
        """Chains by the state of their last record."""
        counts: dict[str, int] = {}
        for link in self._open.values():
            counts[link.state.value] = counts.get(link.state.value, 0) + 1
        for packed in self._ended.values():
            state = _STATES[packed & 0xF].value
            counts[state] = counts.get(state, 0) + 1
        return counts

    def __len__(self) -> int:
        return len(self._open) + len(self._ended)


def check_start(start: Start, plans: Iterable[StoredPlan]) -> Iterator[Finding]:
    """No slot of an old spec starts once the new one is in force: its plan is complete."""
    for stored in plans:
        plan = stored.plan
        if (
            plan.complete
            and plan.schedule == start.schedule
            and start.generation < plan.generation
            and start.due > plan.since
            and stored.seq < start.seq
            and make_slot_id(stored.uid, start.slot) == start.id  # not of another schedule of that name
        ):
            text = f"a slot of generation {start.generation} starts under generation {plan.generation}"
            yield Finding(start.id, [stored.seq, start.seq], "schedule", text)


def _key(job_id: str) -> int | str:
    """A UUID as the integer that it is, half as large as its text."""
    if len(job_id) == 36 and job_id[8] == job_id[13] == job_id[18] == job_id[23] == "-":
        try:
            return int(job_id.replace("-", ""), 16)
        except ValueError:
            return job_id
    return job_id


def _pack(entry: Entry) -> int:
    record = entry.record
    source = record.payload_seq or entry.seq
    withdrawn = 1 if record.reason is Reason.WITHDRAWN else 0
    return source << 24 | min(record.enqueueing, 0x7FFFF) << 5 | withdrawn << 4 | _STATES.index(record.state)


def _unpack(packed: int) -> Link:
    return Link(
        seq=0,
        state=_STATES[packed & 0xF],
        enqueueing=packed >> 5 & 0x7FFFF,
        source=packed >> 24,
        withdrawn=bool(packed >> 4 & 1),
    )
