"""The protocol under everything that can happen, in memory: at least 3,000 steps in each run of CI, 300 elsewhere."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from factories import JOB
from jetmill.bus.memory import MemoryClock, MemoryWorld
from jetmill.errors import NoAnswerError
from support.bench import Hand, MemoryBench
from support.machine import IDS, LedgerMachine, steps
from support.virtual import VirtualLoop

EXAMPLES, STEPS = 100 if os.environ.get("CI") else 10, 50


class MemoryMachine(LedgerMachine):
    """In memory every accident can be had at any moment, and time is moved."""

    bench: MemoryBench

    def open(self) -> None:
        self.loop = VirtualLoop()
        asyncio.set_event_loop(self.loop)
        self.run(self._open())

    async def _open(self) -> None:
        self.bench = MemoryBench(MemoryWorld(clock=MemoryClock(frozen=True)))

    def pass_time(self, seconds: float) -> None:
        self.bench.pass_time(seconds)
        self.run(asyncio.sleep(0))

    def gone(self, hand: Hand) -> None:
        self.run(self.bench.kill(hand))

    def calm(self) -> None:
        self.bench.faults.clear()
        self.pass_time(10)

    def close(self) -> None:
        asyncio.set_event_loop(None)
        self.loop.close()

    async def deliver(self, hand: Hand) -> Any:
        if hand.taker.pull.outstanding == 0:
            hand.taker.pull.want(1)
        for _ in range(5):
            await asyncio.sleep(0)
        return await hand.taker.next() if hand.has_delivery else None

    @rule(
        what=st.sampled_from(["drop_answer", "drop_request", "delay"]),
        write=st.sampled_from(["append", "append", "hint", "holder"]),
    )
    def harm_network(self, what: str, write: Any) -> None:
        if what == "delay":
            self.bench.faults.delay(2.0, write)
        else:
            getattr(self.bench.faults, what)(write)

    @rule(write=st.sampled_from(["append", "hint"]), count=st.integers(1, 6))
    def cut_off(self, write: Any, count: int) -> None:
        for _ in range(count):
            self.bench.faults.fail(NoAnswerError("away"), write)

    @rule(job_id=st.sampled_from(IDS))
    def duplicate(self, job_id: str) -> None:
        self.bench.faults.duplicate(JOB, job_id)

    @precondition(lambda self: self.model.keeper)
    @rule(job_id=st.sampled_from(IDS))
    def lose_hint(self, job_id: str) -> None:
        self.bench.faults.lose_hints(JOB, job_id)

    @rule(job_id=st.sampled_from(IDS))
    def lapse(self, job_id: str) -> None:
        self.bench.faults.lapse(JOB, job_id)

    @rule(index=st.integers(0, 9))
    def stall(self, index: int) -> None:
        """A worker's presence lapses though it lives: its claims may be taken over, its outcomes refused."""
        worker = self.hands[index % len(self.hands)].worker
        self.model.absent.add(worker)
        self.bench.faults.lapse_presence(worker)
        self.bench.faults.lapse(JOB)

    @rule()
    def kill_server(self) -> None:
        self.bench.faults.forget_deliveries()


def test_nothing_that_happens_breaks_the_protocol() -> None:
    before = steps["count"]
    run_state_machine_as_test(
        MemoryMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=False,
        ),
    )
    assert steps["count"] - before >= 30 * EXAMPLES
