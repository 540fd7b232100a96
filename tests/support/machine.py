"""A state machine over the steps of the protocol: hypothesis draws what happens, a small model says what must stand.

The model knows for each job what no accident may change: that it is there once it was accepted, how often each of its
enqueueings ran at most, and that a final record stays. What happens in between is drawn: claims, crashes, stalls,
lapses, duplicates, lost and late requests, cancels, retries by people, drains. In the end everything is run to its
end, and `verify` must find nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from factories import JOB, make_call, make_error
from jetmill.errors import BusError, JobStateError, NoAnswerError
from jetmill.ledger.cancel import cancel
from jetmill.ledger.claim import Claim
from jetmill.ledger.gate import build_gate
from jetmill.ledger.keeper import Keeper
from jetmill.ledger.reopen import discard, reschedule, retry
from jetmill.ledger.submit import Submission, Submitted, submit, submit_many
from jetmill.ledger.verify import Report, verify
from jetmill.protocol.outcome import Cancelled, Failed, Interrupted, Outcome, Retry, Succeeded
from jetmill.protocol.record import Entry
from jetmill.protocol.state import CRASH_BUDGET, FINAL, Reason, State
from support.bench import Bench, Hand

T = TypeVar("T")
IDS = [f"job-{number}" for number in range(6)]
GATED = IDS[-2:]
"""These share a gate."""
MAX_RETRIES = 2
OUTCOMES: list[Outcome] = [
    Succeeded(b"1"),
    Retry(delay_seconds=3.0, error=make_error()),
    Failed(Reason.NON_RETRYABLE, make_error()),
    Cancelled(),
    Interrupted(),
]
steps = {"count": 0}
"""How many steps were made in this process, for the test that wants to know."""


@dataclass
class Model:
    """What the machine knows for sure."""

    accepted: set[str] = field(default_factory=set)
    """Jobs whose enqueueing was answered."""
    absent: set[str] = field(default_factory=set)
    """Workers whose presence lapsed at some time: only their claims may be taken over."""
    keeper: bool = True
    """One runs; without, nothing may happen that only a keeper can mend."""


class LedgerMachine(RuleBasedStateMachine):
    """What is common to every bus; a subclass makes the bench and says what may go wrong."""

    bench: Bench
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.hands: list[Hand] = []
        self.held: list[tuple[Hand, Claim]] = []
        self.born = 0

    # -- what a subclass provides

    def open(self) -> None:
        raise NotImplementedError

    def pass_time(self, seconds: float) -> None:
        raise NotImplementedError

    def gone(self, hand: Hand) -> None:
        """Kill a worker, and let its presence and its deliveries lapse."""
        raise NotImplementedError

    def calm(self) -> None:
        """No more faults from here on."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        steps["count"] += 1
        return self.loop.run_until_complete(asyncio.wait_for(work, 600))

    # -- rules

    @initialize(keeper=st.booleans())
    def begin(self, *, keeper: bool) -> None:
        self.model.keeper = keeper
        self.open()
        self.run(self.bench.prepare())
        for _ in range(2):
            self.hire()

    def hire(self) -> None:
        self.born += 1
        hand = self.run(self.bench.hand(f"worker-{self.born}"))
        hand.max_retries = MAX_RETRIES
        self.hands.append(hand)
        self.pass_time(self.bench.lease_seconds)

    @contextmanager
    def patient(self) -> Iterator[None]:
        """A caller's patience may end: nobody knows then what landed, and a keeper has to look after it."""
        try:
            yield
        except NoAnswerError:
            self.model.keeper = True

    def submission(self, job_id: str, due: int | None = None) -> Submission:
        gate = build_gate("forbid", "key") if job_id in GATED else None
        call = make_call(max_retries=MAX_RETRIES)
        payload = b'{"id":"%s"}' % job_id.encode()
        return Submission(job=JOB, id=job_id, payload=payload, due=due, gate=gate, call=call)

    @rule(job_id=st.sampled_from(IDS), later=st.booleans())
    def enqueue(self, job_id: str, *, later: bool) -> None:
        submission = self.submission(job_id, self.bench.bus.link.now() + 5_000_000 if later else None)
        with self.patient():
            self.run(submit(self.bench.bus, submission, by="client:test"))
            self.model.accepted.add(job_id)

    @rule()
    def enqueue_all(self) -> None:
        items = [self.submission(job_id) for job_id in IDS]
        results = self.run(submit_many(self.bench.bus, items, by="client:test"))
        for job_id, result in zip(IDS, results, strict=True):
            if isinstance(result, NoAnswerError):
                self.model.keeper = True
                continue
            assert isinstance(result, Submitted)
            assert result.id == job_id
            self.model.accepted.add(job_id)

    @rule(index=st.integers(0, 9))
    def claim(self, index: int) -> None:
        hand = self.hands[index % len(self.hands)]
        claim = self.run(self._claim(hand))
        if claim is not None:
            assert bytes(claim.payload or b"") == b'{"id":"%s"}' % claim.entry.id.encode()
            self.held.append((hand, claim))

    async def _claim(self, hand: Hand) -> Claim | None:
        delivery = await self.deliver(hand)
        return None if delivery is None else await hand.claim(delivery)

    async def deliver(self, hand: Hand) -> Any:
        """A delivery for a hand, or None when there is none now."""
        raise NotImplementedError

    @precondition(lambda self: self.held)
    @rule(index=st.integers(0, 9), outcome=st.sampled_from(OUTCOMES))
    def settle(self, index: int, outcome: Outcome) -> None:
        hand, claim = self.held.pop(index % len(self.held))
        attempt = claim.entry.record.attempt
        if isinstance(outcome, Retry) and attempt > MAX_RETRIES:
            outcome = Failed(Reason.EXHAUSTED, make_error())
        settled = self.run(hand.settle(claim, outcome))
        if not settled.lost:
            assert settled.entry is not None
            assert settled.entry.record.attempt == attempt

    @precondition(lambda self: self.held)
    @rule(index=st.integers(0, 9), heirs=st.integers(0, CRASH_BUDGET + 1))
    def crash(self, index: int, heirs: int) -> None:
        """A worker dies, and so do so many of those who take its job over."""
        hand, _ = self.held[index % len(self.held)]
        self.kill(hand)
        for _ in range(heirs):
            heir = self.hands[-1]
            claim = self.run(self._claim(heir))
            if claim is not None:
                self.kill(heir)

    def kill(self, hand: Hand) -> None:
        self.hands.remove(hand)
        self.held = [(other, claim) for other, claim in self.held if other is not hand]
        self.model.absent.add(hand.worker)
        self.gone(hand)
        self.hire()

    @rule(job_id=st.sampled_from(IDS))
    def cancel(self, job_id: str) -> None:
        if job_id not in self.model.accepted:
            return
        with self.patient():
            entry = self.run(cancel(self.bench.bus, job_id, by="ada"))
            assert entry.record.final or entry.record.state is State.CANCELLING

    @rule(job_id=st.sampled_from(IDS), what=st.sampled_from(["retry", "discard", "reschedule"]))
    def act(self, job_id: str, what: str) -> None:
        if job_id not in self.model.accepted:
            return
        bus = self.bench.bus
        due = bus.link.now() + 7_000_000
        with suppress(JobStateError), self.patient():
            match what:
                case "retry":
                    self.run(retry(bus, job_id, by="ada"))
                case "discard":
                    self.run(discard(bus, job_id, by="ada"))
                case _:
                    self.run(reschedule(bus, job_id, due=due, by="ada"))

    @rule(seconds=st.sampled_from([0.5, 3.0, 12.0]))
    def wait(self, seconds: float) -> None:
        self.pass_time(seconds)

    @precondition(lambda self: self.model.keeper)
    @rule()
    def keep(self) -> None:
        with suppress(BusError):  # the next pass makes up for it
            self.run(Keeper(self.bench.bus, check_after_seconds=0).pass_once())

    # -- the end

    def teardown(self) -> None:
        if not self.hands:
            return
        try:
            self.calm()
            self.finish()
        finally:
            self.close()

    def close(self) -> None:
        self.loop.close()

    def finish(self) -> None:
        """Run everything to its end, then look whether anything was lost or broken."""
        for hand, claim in self.held:
            self.run(hand.settle(claim, Succeeded(b"2")))
        self.held.clear()
        keeper = Keeper(self.bench.bus, check_after_seconds=0, check_all_seconds=0)
        for _ in range(100):
            if self.model.keeper:
                self.run(keeper.pass_once())
            self.pass_time(self.bench.lease_seconds)
            self.run(self._drain(self.hands[0]))
            if all(chain[-1].record.final for chain in self.chains()):
                break
        self.judge(self.run(verify(self.bench.bus)))

    async def _drain(self, hand: Hand) -> None:
        for _ in range(5_000):
            delivery = await self.deliver(hand)
            if delivery is None:
                return
            claim = await hand.claim(delivery)
            if claim is not None:
                await hand.settle(claim, Succeeded(b"3"))
        raise AssertionError("the queue does not get empty: a delivery goes round and round")

    def chains(self) -> list[list[Entry]]:
        chains = [self.run(self.bench.bus.ledger.read_chain(job_id)) for job_id in IDS]
        return [chain for chain in chains if chain]

    def judge(self, report: Report) -> None:
        chains = self.chains()
        assert report.clean, report.violations
        assert report.open == 0, report.states
        assert report.jobs == len(chains)
        assert self.model.accepted <= {chain[0].id for chain in chains}, "an accepted job was lost"
        for chain in chains:
            self.judge_chain(chain)

    def judge_chain(self, chain: list[Entry]) -> None:
        """Exactly one end for each enqueueing, attempts and crashes within their limits."""
        ends: dict[int, int] = {}
        for previous, entry in zip([None, *chain], chain, strict=False):
            record = entry.record
            if previous is not None and record.state is State.RUNNING:
                before = previous.record
                assert entry.time >= (before.due or 0), "claimed before it was due"
                if before.state is State.RUNNING:
                    assert before.worker in self.model.absent, "taken over from an owner who was present"
            if record.state in FINAL and record.state is not State.DISCARDED:
                ends[record.enqueueing] = ends.get(record.enqueueing, 0) + 1
            assert record.attempt <= MAX_RETRIES + 1
            assert record.crashes <= CRASH_BUDGET
        assert ends == dict.fromkeys(range(1, chain[-1].record.enqueueing + 1), 1)
