"""The rules of the protocol where a worker keeps them in its callbacks, without a task: each test fails when its rule
is taken out there (`tests/mutants/table.toml`, the rules that end in `-callback`).
"""

from __future__ import annotations

import asyncio
import uuid

import msgspec

from factories import make_record
from jetmill.client.declaration import JobHandler
from jetmill.ledger.gate import build_gate
from jetmill.ledger.submit import Submission, submit
from jetmill.protocol.codec import encode
from jetmill.protocol.hint import Hint
from jetmill.protocol.record import Entry
from jetmill.protocol.state import State
from jetmill.protocol.step import build_cancel, build_claim
from jetmill.worker import Worker
from support.rig import Rig
from support.wait import eventually, soon


class Stage:
    """A rig with one Job whose handler waits for its cue."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.runs = 0
        self.fails = False
        self.started, self.cue = asyncio.Event(), asyncio.Event()

        @rig.job(name="work")
        async def work() -> str:
            self.runs += 1
            self.started.set()
            await self.cue.wait()
            if self.fails:
                raise ConnectionError("not yet")
            return "done"

        self.work: JobHandler[..., str] = work

    async def begin(self) -> tuple[Worker, Entry]:
        """A worker, and a job that runs in it."""
        worker = await self.rig.start()
        handle = await self.rig.client.enqueue(self.work)
        await soon(self.started.wait())
        return worker, await self.last(handle.id)

    async def last(self, job_id: str) -> Entry:
        last = await self.rig.bus.ledger.read(job_id)
        assert last is not None
        return last

    async def states(self, job_id: str) -> list[State]:
        return [entry.record.state for entry in await self.rig.bus.ledger.read_chain(job_id)]

    async def append_claim(self, last: Entry) -> None:
        """Another worker takes the job over."""
        record = build_claim(last, lease="theirs", worker="worker-2", time=last.time, max_retries=3)
        await self.rig.bus.ledger.append(last.id, encode(record), expected=last.seq)

    async def append_cancel(self, last: Entry) -> None:
        """The record of a cancel, and nothing else of it."""
        record = build_cancel(last, time=last.time, by="ada")
        await self.rig.bus.ledger.append(last.id, encode(record), expected=last.seq)

    async def put_with_seq(self, last: Entry) -> None:
        """A hint with Jm-Seq, ready now, as anybody may put it at any time."""
        await self.rig.bus.queue.publish(
            Hint(id=last.id, job="work", band=last.record.band, body=encode(last.record), seq=last.seq)
        )

    async def quiet(self) -> None:
        """Every hint that is ready was looked at."""

        async def is_quiet() -> bool:
            depth = await self.rig.bus.queue.depth("work")
            return (depth.ready, depth.in_flight) == (0, 0)

        await eventually(is_quiet)


# cas
async def test_an_outcome_whose_job_was_taken_over_meanwhile_is_refused(rig: Rig) -> None:
    stage = Stage(rig)
    worker, mine = await stage.begin()
    await stage.append_claim(mine)
    stage.cue.set()
    outcomes = worker.service.metrics.of("work").outcomes
    await eventually(lambda: outcomes["lost"] + outcomes["succeeded"] == 1)
    assert outcomes["lost"] == 1
    assert await stage.states(mine.id) == ["queued", "running", "running"]


# claim-first
async def test_a_job_that_was_cancelled_before_its_claim_never_starts(rig: Rig) -> None:
    stage = Stage(rig)
    await rig.declare("work")
    handle = await rig.client.enqueue("work")
    await stage.append_cancel(await stage.last(handle.id))
    await rig.start()
    await stage.quiet()
    assert stage.runs == 0
    assert await stage.states(handle.id) == ["queued", "cancelled"]


# own-lease, settle-claim
async def test_a_claim_that_landed_and_was_not_answered_is_run_by_the_worker_that_sent_it(rig: Rig) -> None:
    stage = Stage(rig)
    stage.cue.set()
    await rig.start()
    handle = await rig.client.enqueue(stage.work, delay=10)
    rig.world.faults.drop_answer()
    rig.world.clock.move(10)
    assert await soon(handle.result()) == "done"
    assert await stage.states(handle.id) == ["scheduled", "running", "succeeded"]


# due-check
async def test_a_hint_that_names_its_record_and_comes_too_early_starts_nothing(rig: Rig) -> None:
    stage = Stage(rig)
    stage.cue.set()
    await rig.start()
    handle = await rig.client.enqueue(stage.work, delay=1000)
    await stage.put_with_seq(await stage.last(handle.id))
    await stage.quiet()
    assert await stage.states(handle.id) == ["scheduled"]
    rig.world.clock.move(1000)
    assert await soon(handle.result()) == "done"


# gate
async def test_a_gated_job_asks_the_holder_although_its_hint_names_its_record(rig: Rig) -> None:
    stage = Stage(rig)
    await rig.start()
    gate = build_gate("forbid", "nightly")
    await submit(rig.bus, Submission(job="work", gate=gate), by="ada")
    await soon(stage.started.wait())
    record = make_record(job="work", gate=gate, payload=msgspec.Raw(b"{}"))
    late = Entry(str(uuid.uuid4()), 0, record.time, record)
    seq = await rig.bus.ledger.append(late.id, encode(record), expected=0)
    await stage.put_with_seq(Entry(late.id, seq, record.time, record))
    await eventually(lambda: _is_claimed_or_final(stage, late.id))
    assert await stage.states(late.id) == ["queued", "skipped"]
    assert stage.runs == 1


async def _is_claimed_or_final(stage: Stage, job_id: str) -> bool:
    return not (await stage.last(job_id)).record.waiting


# ack-last
async def test_a_hint_stays_until_the_outcome_was_answered(rig: Rig) -> None:
    stage = Stage(rig)
    worker, mine = await stage.begin()
    rig.world.faults.full = True
    stage.cue.set()
    await eventually(lambda: worker.service.busy == 0)
    assert mine.id in await rig.bus.queue.hinted("work")
    assert await stage.states(mine.id) == ["queued", "running"]
    rig.world.faults.full = False
    await stage.quiet()
    assert await stage.states(mine.id) == ["queued", "running", "succeeded"]


# at-before-ack
async def test_a_hint_stays_until_the_delayed_one_of_its_retry_was_answered(rig: Rig) -> None:
    stage = Stage(rig)
    _, mine = await stage.begin()
    armed = 50
    for _ in range(armed):
        rig.world.faults.drop_request("hint")
    stage.fails = True
    stage.cue.set()
    await eventually(lambda: len(rig.world.faults._armed["hint"]) < armed)
    assert await stage.states(mine.id) == ["queued", "running", "retrying"]
    assert mine.id in await rig.bus.queue.hinted("work")
    rig.world.faults.clear()
    await stage.quiet()
    assert mine.id in await rig.bus.queue.hinted("work")


# finish-cancelling
async def test_an_outcome_that_a_cancel_overtook_is_appended_to_it(rig: Rig) -> None:
    stage = Stage(rig)
    _, mine = await stage.begin()
    await stage.append_cancel(mine)
    stage.cue.set()
    await stage.quiet()
    assert await stage.states(mine.id) == ["queued", "running", "cancelling", "succeeded"]
