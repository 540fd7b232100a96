"""Planning (rule 8): each slot once, whoever plans, whenever they die. Rules are named as in the model checker."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import settings

from factories import JOB, make_plan
from jetmill.bus.memory import MemoryClock, MemoryWorld
from jetmill.bus.ports import Bus
from jetmill.errors import NoAnswerError
from jetmill.ledger.cancel import cancel
from jetmill.ledger.planning import Passed, Planner
from jetmill.ledger.reopen import reschedule
from jetmill.ledger.verify import verify
from jetmill.protocol.plan import Chosen, Plan, Slot, Span, Template, make_slot_id
from jetmill.protocol.record import Entry
from jetmill.protocol.state import Reason, State
from support.bench import Hand, MemoryBench

pytestmark = pytest.mark.virtual_time

UID = "0f0e6c3c-0000-4000-8000-000000000001"
MINUTE = 60_000_000


@dataclass
class Yard:
    """Two planners of one schedule; the slots of each generation are minutes after the beginning."""

    bench: MemoryBench
    begin: int
    specs: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def at(self, minute: int) -> int:
        return self.begin + minute * MINUTE

    def slot_id(self, minute: int) -> str:
        return make_slot_id(UID, self.at(minute))

    def choose(self, generation: int) -> Callable[[Span], Chosen]:
        times = [self.at(minute) for minute in self.specs[generation]]

        def choose(span: Span) -> Chosen:
            return Chosen([Slot(time, time) for time in times if time > span.after], max([span.after, *times]))

        return choose

    def wanted(self, generation: int, **fields: object) -> Plan:
        return make_plan(generation=generation, since=self.begin, until=self.begin, **fields)

    async def plan(self, generation: int, *minutes: int, bus: Bus | None = None, **fields: object) -> Passed:
        """One pass by the spec of a generation."""
        self.specs.setdefault(generation, minutes)
        planner = Planner(bus or self.bench.bus, by="planner:test")
        return await planner.plan(UID, self.wanted(generation, **fields), self.choose(generation))

    async def stands(self) -> Plan:
        stored = await self.bench.bus.ledger.read_plan(UID)
        assert stored is not None
        return stored.plan

    async def last(self, minute: int) -> Entry | None:
        return await self.bench.bus.ledger.read(self.slot_id(minute))

    async def states(self, *minutes: int) -> list[str]:
        found = [await self.last(minute) for minute in minutes]
        return ["none" if one is None else str(one.record.reason or one.record.state) for one in found]

    async def run_due(self, hand: Hand) -> list[str]:
        """Let a worker run all that is due; the ids that ran."""
        ran = []
        await asyncio.sleep(0)
        while hand.has_delivery or (await self.bench.bus.queue.depth(JOB)).ready:
            claim = await hand.claim()
            if claim is not None:
                await hand.settle(claim)
                ran.append(claim.entry.id)
        return ran


@pytest.fixture
async def yard(bench: MemoryBench) -> AsyncIterator[Yard]:
    yield Yard(bench, bench.bus.link.now())
    await bench.prove()


async def test_slots_are_scheduled_jobs_that_a_worker_runs_when_they_are_due(yard: Yard, one: Hand) -> None:
    passed = await yard.plan(1, 1, 2)
    assert (passed.planned, passed.withdrawn) == (2, 0)
    first = await yard.last(1)
    assert first is not None
    record = first.record
    assert (record.state, record.due, record.schedule, record.generation) == (
        State.SCHEDULED, yard.at(1), "nightly", 1,
    )  # fmt: skip
    assert record.call is not None
    assert record.call.slot == yard.at(1)
    assert await yard.run_due(one) == []
    yard.bench.pass_time(60)
    assert await yard.run_due(one) == [yard.slot_id(1)]
    yard.bench.pass_time(60)
    assert await yard.run_due(one) == [yard.slot_id(2)]
    assert await yard.states(1, 2) == ["succeeded", "succeeded"]


async def test_a_second_pass_writes_nothing(yard: Yard) -> None:
    await yard.plan(1, 1, 2)
    before = await yard.bench.bus.ledger.last_seq()
    passed = await yard.plan(1)
    assert await yard.bench.bus.ledger.last_seq() == before
    assert passed.planned == 0
    assert passed.stored is not None
    assert passed.stored.plan.complete


async def test_two_planners_at_once_plan_each_slot_once(yard: Yard, bench: MemoryBench) -> None:
    other = bench.world.connect()
    await asyncio.gather(yard.plan(1, 1, 2, 3), yard.plan(1, 1, 2, 3, bus=other))
    for minute in (1, 2, 3):
        assert len(await bench.bus.ledger.read_chain(yard.slot_id(minute))) == 1
    assert (await yard.stands()).complete


async def test_plan_order_a_planner_of_an_old_spec_writes_nothing(yard: Yard) -> None:
    await yard.plan(2, 1)
    before = await yard.bench.bus.ledger.last_seq()
    assert (await yard.plan(1, 2)).stored is None
    assert await yard.bench.bus.ledger.last_seq() == before
    assert await yard.states(2) == ["none"]


async def test_plan_cas_a_planner_that_read_before_the_edit_is_refused(yard: Yard, bench: MemoryBench) -> None:
    """Its plan was read while there was none; by then the next generation stands."""
    await yard.plan(1, 1)
    late = Interrupted(bench.bus, before_plan=lambda: yard.plan(3, 3))
    yard.specs[2] = (2,)
    planner = Planner(late.bus, by="planner:late")
    assert (await planner.plan(UID, yard.wanted(2), yard.choose(2))).stored is None
    assert (await yard.stands()).generation == 3
    assert await yard.states(1, 2, 3) == ["withdrawn", "none", "scheduled"]


async def test_intent_what_a_dead_planner_was_about_to_plan_is_withdrawn_by_the_next_spec(
    yard: Yard, bench: MemoryBench
) -> None:
    """The plan named its slots before it planned any; one of them was."""
    yard.specs[1] = (1, 2)
    planner = Planner(Interrupted(bench.bus, after_appends=1).bus, by="planner:dead")
    with pytest.raises(DeadError):
        await planner.plan(UID, yard.wanted(1), yard.choose(1))
    await yard.plan(2, 3)
    assert await yard.states(1, 2, 3) == ["withdrawn", "withdrawn", "scheduled"]


async def test_what_a_dead_planner_was_about_to_plan_is_planned_by_the_next(yard: Yard, bench: MemoryBench) -> None:
    yard.specs[1] = (1, 2)
    planner = Planner(Interrupted(bench.bus, after_appends=1).bus, by="planner:dead")
    with pytest.raises(DeadError):
        await planner.plan(UID, yard.wanted(1), yard.choose(1))
    assert not (await yard.stands()).complete
    await yard.plan(1)
    assert await yard.states(1, 2) == ["scheduled", "scheduled"]
    assert await bench.is_hinted(yard.slot_id(1))
    assert await bench.is_hinted(yard.slot_id(2))


async def test_since_a_slot_that_was_due_before_the_edit_stays(yard: Yard, one: Hand) -> None:
    await yard.plan(1, 1, 3)
    yard.bench.pass_time(61)
    await yard.plan(2, 4)
    assert await yard.states(1, 3) == ["scheduled", "withdrawn"]
    assert await yard.run_due(one) == [yard.slot_id(1)]


async def test_generation_a_planner_that_is_late_stops_at_a_slot_of_a_later_one(yard: Yard, bench: MemoryBench) -> None:
    """It wrote its plan before the edit, and comes to its slots after it."""
    yard.specs[1] = (1, 2)
    late = Interrupted(bench.bus, before_append=lambda: yard.plan(2, 1))
    passed = await Planner(late.bus, by="planner:late").plan(UID, yard.wanted(1), yard.choose(1))
    assert passed.stored is None
    first = await yard.last(1)
    assert first is not None
    assert first.record.generation == 2


async def test_tombstone_a_slot_that_is_not_intended_any_more_cannot_be_planned_by_who_is_late(
    yard: Yard, bench: MemoryBench, one: Hand
) -> None:
    yard.specs[1] = (2,)
    late = Interrupted(bench.bus, before_append=lambda: yard.plan(2, 3))
    assert (await Planner(late.bus, by="planner:late").plan(UID, yard.wanted(1), yard.choose(1))).stored is None
    yard.bench.pass_time(121)
    assert await yard.run_due(one) == []
    assert await yard.states(2) == ["withdrawn"]


async def test_slot_cas_a_slot_that_started_meanwhile_is_not_withdrawn(yard: Yard, bench: MemoryBench) -> None:
    """A person cancels it between the read and the append: that stands."""
    await yard.plan(1, 1)

    async def meanwhile() -> None:
        await cancel(bench.bus, yard.slot_id(1), by="ada")

    late = Interrupted(bench.bus, before_append=meanwhile)
    yard.specs[2] = ()
    await Planner(late.bus, by="planner:late").plan(UID, yard.wanted(2), yard.choose(2))
    assert await yard.states(1) == ["cancelled"]


async def test_only_withdrawn_what_a_person_cancelled_is_not_planned_again(yard: Yard, bench: MemoryBench) -> None:
    await yard.plan(1, 1, 2)
    await cancel(bench.bus, yard.slot_id(1), by="ada")
    await yard.plan(2, 1, 2)
    first, second = await yard.last(1), await yard.last(2)
    assert first is not None
    assert second is not None
    assert (first.record.state, first.record.generation) == (State.CANCELLED, 1)
    assert (second.record.state, second.record.generation) == (State.SCHEDULED, 2)


async def test_an_edit_changes_what_was_planned_payload_too(yard: Yard, bench: MemoryBench, one: Hand) -> None:
    await yard.plan(1, 1)
    await yard.plan(2, 1, template=Template(payload=msgspec.Raw(b'{"to":"bob"}')))
    chain = await bench.bus.ledger.read_chain(yard.slot_id(1))
    assert [entry.record.reason for entry in chain] == [None, Reason.REPLANNED]
    yard.bench.pass_time(60)
    claim = await one.start()
    assert bytes(claim.payload or b"") == b'{"to":"bob"}'
    await one.settle(claim)


async def test_a_suspended_schedule_has_no_slots_and_gets_them_back(yard: Yard, one: Hand) -> None:
    await yard.plan(1, 1, 3)
    await yard.plan(2, suspended=True)
    assert await yard.states(1, 3) == ["withdrawn", "withdrawn"]
    assert not await yard.bench.is_hinted(yard.slot_id(1))
    yard.bench.pass_time(90)
    await yard.plan(3, 1, 3)
    third = await yard.last(3)
    assert third is not None
    assert (third.record.state, third.record.enqueueing) == (State.SCHEDULED, 2)
    yard.bench.pass_time(90)
    assert await yard.run_due(one) == [yard.slot_id(3)]


async def test_a_slot_that_a_person_moved_is_withdrawn_with_the_others(yard: Yard, bench: MemoryBench) -> None:
    await yard.plan(1, 1)
    await reschedule(bench.bus, yard.slot_id(1), due=yard.at(9), by="ada")
    yard.bench.pass_time(120)
    await yard.plan(2, 10)
    assert await yard.states(1) == ["withdrawn"]


async def test_a_slot_that_ran_and_was_purged_is_not_planned_again(yard: Yard, bench: MemoryBench, one: Hand) -> None:
    await yard.plan(1, 1, 2)
    yard.bench.pass_time(60)
    assert await yard.run_due(one) == [yard.slot_id(1)]
    await bench.bus.ledger.purge(yard.slot_id(1), up_to=await bench.bus.ledger.last_seq() + 1)
    yard.specs[1] = (1, 2, 3)
    await yard.plan(1)
    assert await yard.states(1, 2, 3) == ["none", "scheduled", "scheduled"]


@pytest.mark.parametrize("write", ["plan", "append", "hint"])
@pytest.mark.parametrize("fault", ["drop_answer", "drop_request"])
async def test_a_lost_answer_changes_nothing(yard: Yard, bench: MemoryBench, write, fault) -> None:
    getattr(bench.faults, fault)(write)
    await yard.plan(1, 1, 2)
    for minute in (1, 2):
        assert len(await bench.bus.ledger.read_chain(yard.slot_id(minute))) == 1
        assert await bench.is_hinted(yard.slot_id(minute))


async def test_older_plans_are_purged(yard: Yard, bench: MemoryBench) -> None:
    passed = await yard.plan(1, 1)
    assert passed.stored is not None
    [stored] = await bench.bus.ledger.plans()
    assert (stored.uid, stored.seq) == (UID, passed.stored.seq)


async def test_of_slots_that_ended_a_limit_keeps_the_newest(yard: Yard, bench: MemoryBench, one: Hand) -> None:
    await yard.plan(1, 1, 2, 3, 9, keep_succeeded=1, keep_failed=1)
    yard.bench.pass_time(180)
    assert len(await yard.run_due(one)) == 3
    passed = await yard.plan(1)
    assert await yard.states(1, 2, 3) == ["none", "none", "succeeded"]
    assert passed.stored is not None
    assert passed.stored.plan.last == Slot(yard.at(3), yard.at(3))
    assert await yard.states(9) == ["scheduled"]


class DeadError(Exception):
    """The planner's process was killed."""


class Interrupted:
    """A connection whose owner is stopped between two steps: something happens meanwhile, or it dies."""

    def __init__(self, bus: Bus, *, before_plan=None, before_append=None, after_appends: int | None = None) -> None:
        self.bus = dataclasses.replace(bus)
        self.bus.ledger = _Stopped(bus.ledger, before_plan, before_append, after_appends)


class _Stopped:
    def __init__(self, ledger, before_plan, before_append, after_appends) -> None:
        self._ledger = ledger
        self._before = {"append_plan": before_plan, "append": before_append}
        self._left = after_appends

    def __getattr__(self, name: str):
        return getattr(self._ledger, name)

    def append_plan(self, *args, **options):
        return self._write("append_plan", *args, **options)

    def append(self, *args, **options):
        if self._left == 0:
            raise DeadError
        if self._left is not None:
            self._left -= 1
        return self._write("append", *args, **options)

    def _write(self, name: str, *args, **options):
        async def late():
            before, self._before[name] = self._before[name], None
            if before is not None:
                await before()
            return await getattr(self._ledger, name)(*args, **options)

        return asyncio.ensure_future(late())


async def test_nobody_answers(yard: Yard, bench: MemoryBench) -> None:
    """Not for ever: whoever plans comes again."""
    for _ in range(200):
        bench.faults.drop_request("plan")
    with pytest.raises(NoAnswerError):
        await yard.plan(1, 1)
    bench.faults.clear()
    await yard.plan(1, 1)


async def test_verify_tells_of_a_slot_of_an_old_spec_that_started_under_the_new_one(
    bench: MemoryBench, one: Hand
) -> None:
    """As a planner without tombstones would have let happen."""
    yard = Yard(bench, bench.bus.link.now())
    await yard.plan(1, 1)
    slot = await yard.last(1)
    assert slot is not None
    stored = await bench.bus.ledger.read_plan(UID)
    assert stored is not None
    wrong = yard.wanted(2, complete=True)
    await bench.bus.ledger.append_plan(UID, wrong, expected=stored.seq)
    bench.pass_time(61)
    await one.settle(await one.start())
    report = await verify(bench.bus)
    assert [(found.rule, found.id) for found in report.violations] == [("schedule", slot.id)]
    assert "generation 1 starts under generation 2" in report.violations[0].text


async def test_a_slot_is_kept_for_two_hours_however_short_the_retention_is(bench: MemoryBench, one: Hand) -> None:
    """A plan that was not finished is carried out by whoever finds it: a slot that ran has to show."""
    await bench.prepare(succeeded_seconds=1.0)
    yard = Yard(bench, bench.bus.link.now())
    await yard.plan(1, 1)
    bench.pass_time(60)
    await one.settle(await one.start())
    keeper = bench.keeper()
    bench.pass_time(3_600)
    await keeper.pass_once()
    assert await yard.states(1) == ["succeeded"]
    bench.pass_time(3_700)
    await keeper.pass_once()
    assert await yard.states(1) == ["none"]


class Jolted:
    """A ledger whose every write may come late, and in whose place a planner may die: by a seed."""

    def __init__(self, ledger, chance: random.Random, *, mortality: float) -> None:
        self._ledger = ledger
        self._chance = chance
        self._mortality = mortality

    def __getattr__(self, name: str):
        return getattr(self._ledger, name)

    async def _jolt(self) -> None:
        for _ in range(self._chance.choice((0, 0, 1, 3, 9))):
            await asyncio.sleep(0)
        if self._chance.random() < self._mortality:
            raise DeadError

    async def read(self, *args):
        await self._jolt()
        return await self._ledger.read(*args)

    async def read_plan(self, *args):
        await self._jolt()
        return await self._ledger.read_plan(*args)

    def append(self, *args, **options):
        return self._late("append", *args, **options)

    def append_plan(self, *args, **options):
        return self._late("append_plan", *args, **options)

    def _late(self, name: str, *args, **options):
        async def late():
            await self._jolt()
            seq = await getattr(self._ledger, name)(*args, **options)
            await self._jolt()
            return seq

        return asyncio.ensure_future(late())


SPECS = {1: (1, 3, 5, 7, 9), 2: (2, 3, 6, 9), 3: (), 4: (3, 4, 5, 9)}


@pytest.mark.parametrize("seed", range(2 * settings().max_examples))
async def test_however_planners_meet_and_die_each_slot_of_the_spec_in_force_fires_once(seed: int) -> None:
    """Three of them, three edits, time that passes, stale readers: by chance, and the same for the same seed."""
    chance = random.Random(seed)
    bench = MemoryBench(MemoryWorld(clock=MemoryClock(frozen=True)))
    await bench.prepare()
    hand = await bench.hand()
    yard = Yard(bench, bench.bus.link.now(), dict(SPECS))
    sinces: dict[int, int] = {}

    async def plan(generation: int) -> None:
        bus = dataclasses.replace(bench.bus)
        bus.ledger = Jolted(bench.bus.ledger, chance, mortality=0.04)
        with suppress(DeadError):
            await yard.plan(generation, bus=bus)

    for generation in SPECS:
        for _ in range(3):
            ages = [max(1, generation - chance.choice((0, 0, 0, 1))) for _ in range(3)]
            await asyncio.gather(*(plan(age) for age in ages))
            await yard.run_due(hand)
            bench.pass_time(chance.choice((0, 20, 45)))
            await yard.run_due(hand)
        stored = await bench.bus.ledger.read_plan(UID)
        if stored is not None:
            sinces[stored.plan.generation] = stored.plan.since
    while (passed := await yard.plan(4)).stored is None or not passed.stored.plan.complete:
        pass
    since = (await yard.stands()).since
    bench.pass_time(1_200)
    await yard.run_due(hand)
    for minute in range(1, 10):
        chain = await bench.bus.ledger.read_chain(yard.slot_id(minute))
        starts = [entry for entry in chain if entry.record.state is State.RUNNING]
        assert len(starts) <= 1
        if yard.at(minute) > since:
            assert bool(starts) == (minute in SPECS[4]), (minute, [entry.record.state for entry in chain])
    await bench.prove()
    await bench.bus.link.close()
