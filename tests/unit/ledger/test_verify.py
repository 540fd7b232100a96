"""`verify` finds what is wrong, names where, and finds nothing where nothing is."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from factories import JOB, make_data, make_entry, make_record
from jetmill.ledger.check import ChainCheck
from jetmill.ledger.verify import LISTED, verify
from jetmill.protocol.codec import encode
from jetmill.protocol.record import Record
from jetmill.protocol.state import Reason, State
from support.bench import RETRY, Hand, MemoryBench


def find(*records: Record, job_id: str = "job-1") -> set[str]:
    """The rules that a chain breaks."""
    check = ChainCheck()
    rules = set()
    for seq, record in enumerate(records, 1):
        entry = make_entry(id=job_id, seq=seq)
        entry = type(entry)(job_id, seq, entry.time, record)
        rules |= {finding.rule for finding in check.add(entry)}
    return rules


def follow(state: State, **fields: Any) -> Record:
    return make_record(state, **{"payload_seq": 1, **fields})


QUEUED = make_record()
RUNNING = follow(State.RUNNING, lease="a-1", worker="a")
TAKEN = follow(State.RUNNING, lease="b-1", worker="b", crashes=1, reason=Reason.TAKEN_OVER)
TAKEOVERS = [follow(State.RUNNING, lease=f"{number}", worker=f"{number}", crashes=number) for number in range(4)]
DISCARDED = follow(State.DISCARDED, crashes=3, reason=Reason.POISON)


@pytest.mark.parametrize(
    "chain",
    [
        [QUEUED, RUNNING, follow(State.SUCCEEDED)],
        [QUEUED, RUNNING, TAKEN, follow(State.FAILED, crashes=1)],
        [QUEUED, RUNNING, follow(State.RETRYING), follow(State.RUNNING, attempt=2, max_retries=1)],
        [QUEUED, RUNNING, follow(State.CANCELLING, lease="a-1", worker="a"), follow(State.CANCELLED)],
        [QUEUED, RUNNING, follow(State.QUEUED, reason=Reason.INTERRUPTED), RUNNING],
        [QUEUED, RUNNING, follow(State.FAILED), follow(State.DISCARDED)],
        [QUEUED, follow(State.CANCELLED), make_record(enqueueing=2, reason=Reason.REOPENED)],
        [make_record(State.CANCELLED, reason=Reason.WITHDRAWN), make_record(State.SCHEDULED, enqueueing=2)],
        [make_record(enqueueing=2, reason=Reason.REOPENED)],
        [QUEUED, *TAKEOVERS, follow(State.FAILED, crashes=3, reason=Reason.POISON), DISCARDED],
    ],
)
def test_a_chain_by_the_rules_breaks_none(chain: list[Record]) -> None:
    assert find(*chain) == set()


@pytest.mark.parametrize(
    ("chain", "rule"),
    [
        ([RUNNING], "diagram"),
        ([QUEUED, follow(State.SUCCEEDED)], "diagram"),
        ([QUEUED, RUNNING, follow(State.SUCCEEDED), follow(State.FAILED)], "diagram"),
        ([QUEUED, RUNNING, follow(State.SUCCEEDED), RUNNING], "one-final"),
        ([QUEUED, follow(State.CANCELLED), make_record(State.SCHEDULED, enqueueing=2)], "diagram"),
        ([make_record(State.CANCELLED)], "diagram"),
        ([make_record(attempt=2)], "counters"),
        ([QUEUED, follow(State.RUNNING, enqueueing=2)], "one-final"),
        ([QUEUED, follow(State.RUNNING, attempt=2)], "attempts"),
        ([QUEUED, RUNNING, follow(State.RETRYING), follow(State.RUNNING)], "attempts"),
        ([QUEUED, RUNNING, follow(State.RETRYING), follow(State.RUNNING, attempt=2, max_retries=0)], "attempts"),
        ([QUEUED, RUNNING, follow(State.RUNNING, lease="b-1", worker="b")], "crashes"),
        ([QUEUED, RUNNING, follow(State.RUNNING, lease="a-2", worker="a", crashes=1)], "takeover"),
        ([QUEUED, RUNNING, follow(State.RUNNING, lease="a-1", worker="b", crashes=1)], "lease"),
        ([QUEUED, RUNNING, follow(State.CANCELLING, lease="b-1", worker="b")], "lease"),
        ([QUEUED, follow(State.RUNNING, lease=None)], "lease"),
        ([QUEUED, RUNNING, follow(State.FAILED, reason=Reason.POISON)], "crash-budget"),
        ([QUEUED, follow(State.RUNNING, crashes=4)], "crash-budget"),
        ([QUEUED, follow(State.RUNNING, payload_seq=7)], "payload"),
        ([QUEUED, follow(State.RUNNING, payload_seq=None)], "payload"),
        ([QUEUED, follow(State.RUNNING, job="other")], "job"),
        ([make_record(State.SCHEDULED, due=None)], "due"),
    ],
)
def test_a_broken_rule_is_named(chain: list[Record], rule: str) -> None:
    assert rule in find(*chain)


def test_two_jobs_that_are_claimed_at_one_gate_are_found() -> None:
    check = ChainCheck()
    seq = 0
    found = []
    for job_id in ("job-1", "job-2"):
        for state in (State.QUEUED, State.RUNNING):
            seq += 1
            fields = {"payload_seq": seq - 1} if state is State.RUNNING else {}
            found += check.add(make_entry(state, id=job_id, seq=seq, gate="forbid:report", **fields))
    assert [(finding.rule, finding.id, finding.sequences) for finding in found] == [("gate", "job-2", [2, 4])]


async def test_a_report_counts_and_names_sequences(bench: MemoryBench, one: Hand) -> None:
    await bench.submit()
    await one.settle(await one.start(), RETRY)
    bad = await bench.submit()
    await bench.bus.ledger.append(bad.id, make_data(State.SUCCEEDED, payload_seq=bad.seq), expected=bad.seq)
    await bench.bus.ledger.append("unreadable", b"{", expected=0)
    seen: list[tuple[int, int]] = []
    report = await verify(bench.bus, on_progress=lambda seq, last: seen.append((seq, last)))
    assert (report.jobs, report.records, report.open, report.unreadable) == (2, 5, 1, 1)
    assert report.states == {"retrying": 1, "succeeded": 1}
    assert {(found.rule, tuple(found.sequences)) for found in report.violations} == {
        ("diagram", (4, 5)),
        ("codec", (6,)),
    }
    assert not report.clean
    assert seen[-1] == (5, 6)


async def test_an_open_job_without_a_hint_is_counted_and_wrong_after_ten_minutes(bench: MemoryBench) -> None:
    job = await bench.submit()
    bench.faults.lose_hints(JOB, job.id)
    report = await verify(bench.bus)
    assert (report.unhinted, report.clean) == (1, True)
    bench.pass_time(601)
    report = await verify(bench.bus)
    assert (report.unhinted, [found.rule for found in report.violations]) == (1, ["hint"])


async def test_violations_are_counted_beyond_those_that_are_listed(bench: MemoryBench) -> None:
    data = encode(make_record(State.SUCCEEDED))
    for number in range(LISTED + 5):
        bench.bus.ledger.append(f"job-{number}", data, expected=0)
    report = await verify(bench.bus)
    assert (report.violation_count, len(report.violations)) == (LISTED + 5, LISTED)


def test_a_finished_job_takes_little_memory() -> None:
    check = ChainCheck()
    entries = [make_entry(seq=seq) for seq in range(1, 2_001)]
    ends = [make_entry(State.CANCELLED, id=entry.id, seq=2_000 + entry.seq, payload_seq=entry.seq) for entry in entries]
    tracemalloc.start()
    for entry in (*entries, *ends):
        assert check.add(entry) == []
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(check) == 2_000
    assert grown / 2_000 < 300
