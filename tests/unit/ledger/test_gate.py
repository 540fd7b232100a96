"""Gates: who waits, who is skipped, who makes room."""

from __future__ import annotations

import asyncio

import pytest

from factories import JOB
from jetmill.ledger.gate import build_gate, hash_key, parse_gate
from jetmill.protocol.outcome import Cancelled, Interrupted
from jetmill.protocol.state import State
from support.bench import RETRY, Hand, MemoryBench

pytestmark = pytest.mark.virtual_time

FORBID, REPLACE, LIMIT = (build_gate(policy, "report") for policy in ("forbid", "replace", "limit"))


def test_a_gate_is_policy_and_key() -> None:
    assert parse_gate(build_gate("replace", "a:b c")) == ("replace", "a:b c")
    assert parse_gate("newer:key") == ("limit", "key")
    assert len(hash_key("any * text >")) == 32


async def test_a_limited_job_waits_until_the_key_is_free(bench: MemoryBench, one: Hand, two: Hand) -> None:
    first, second = await bench.submit(gate=LIMIT), await bench.submit(gate=LIMIT)
    claim = await one.start()
    assert await two.claim() is None
    assert await bench.states(second.id) == ["queued"]
    assert (await bench.bus.queue.depth(JOB)).delayed == 1
    await one.settle(claim)
    bench.pass_time(1)
    assert (await two.start()).entry.id == second.id
    assert first.id != second.id
    await bench.prove()


async def test_a_replacing_job_cancels_the_holder_and_follows_it(bench: MemoryBench, one: Hand, two: Hand) -> None:
    first, second = await bench.submit(gate=REPLACE), await bench.submit(gate=REPLACE)
    claim = await one.start()
    assert await two.claim() is None
    assert (await bench.last(first.id)).record.state is State.CANCELLING
    await one.settle(claim, Cancelled())
    bench.pass_time(1)
    assert (await two.start()).entry.id == second.id
    await bench.prove()


@pytest.mark.parametrize("outcome", [RETRY, Interrupted()])
async def test_a_holder_keeps_its_gate_until_it_has_ended(bench: MemoryBench, one: Hand, two: Hand, outcome) -> None:
    first = await bench.submit(gate=FORBID)
    await one.settle(await one.start(), outcome)
    bench.faults.lose_hints(JOB, first.id)
    second = await bench.submit(gate=FORBID)
    assert await two.claim() is None
    assert (await bench.last(second.id)).record.state is State.SKIPPED
    bench.pass_time(61)
    await bench.keeper().pass_once()
    assert (await one.start()).entry.id == first.id
    await bench.prove()


async def test_a_takeover_asks_no_gate(bench: MemoryBench, one: Hand, two: Hand) -> None:
    first = await bench.submit(gate=FORBID)
    await one.start()
    await bench.kill(one)
    assert (await two.start()).entry.id == first.id
    await bench.prove()


@pytest.mark.parametrize("fault", ["drop_answer", "drop_request"])
async def test_a_holder_written_without_an_answer_is_found(bench: MemoryBench, one: Hand, fault: str) -> None:
    await bench.submit(gate=FORBID)
    getattr(bench.faults, fault)("holder")
    await one.start()
    await bench.prove()


async def test_many_at_one_gate_enter_one_after_the_other(bench: MemoryBench, one: Hand, two: Hand) -> None:
    jobs = [await bench.submit(gate=LIMIT) for _ in range(4)]
    ended = 0
    while ended < len(jobs):
        deliveries = [await hand.take() for hand in (one, two)[: len(jobs) - ended]]
        claims = await asyncio.gather(
            *(hand.claim(delivery) for hand, delivery in zip((one, two), deliveries, strict=False))
        )
        for hand, claim in zip((one, two), claims, strict=False):
            if claim is not None:
                await hand.settle(claim)
                ended += 1
        bench.pass_time(11)
    await bench.prove()
