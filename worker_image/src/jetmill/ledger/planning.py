"""Planning (rule 8): a schedule's slots become `scheduled` jobs, each once, however many planners there are.

```
 read the plan ─▶ of a later generation: stale
      │
      ▼
 write ours, by compare-and-set (refused: read again) ─▶ each slot that it names: read, decide, append after what was
      ▲                                                    read (refused: read again), put its hint
      └── refused: somebody went on ◀── write it complete ◀┘
```

A planner may die anywhere: the plan names what it was about to do, and the next one does it. One that is late, with an
old spec, finds a later generation in the plan or in a slot, and stops. So neither a leader nor a look at the fire is
needed. What a calendar is, is not known here: `choose` gives the slots.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from jetmill.bus.ports import Bus
from jetmill.errors import BusError, CodecError, NotFoundError, RefusedError
from jetmill.ledger.hint import put_hint
from jetmill.ledger.patience import Backoff, insist
from jetmill.ledger.retention import purge_chain
from jetmill.protocol.codec import encode
from jetmill.protocol.plan import (
    Chosen,
    Plan,
    Slot,
    Span,
    StoredPlan,
    begin_plan,
    extend_plan,
    limit_history,
    make_slot_id,
)
from jetmill.protocol.record import Entry
from jetmill.protocol.slot import Leave, Stale, decide_slot
from jetmill.protocol.state import Reason, State

PATIENCE_SECONDS = 5.0
"""How long one question is asked when nobody answers; whoever plans comes again."""
AT_ONCE = 50
"""So many slots of one schedule are dealt with side by side."""
FORGOTTEN = 3_600_000_000
"""µs: a slot that an unfinished plan names, overdue by more and without a chain, has had one, or is given up."""

Choose = Callable[[Span], Chosen]
"""Gives the slots of a calendar."""
T = TypeVar("T")
R = TypeVar("R")


class _StaleError(Exception):
    """This planner goes by an old spec."""


@dataclass(slots=True)
class Passed:
    """What one pass of one planner found and did."""

    stored: StoredPlan | None
    """What stands; None: this planner is stale, for a later generation is in force."""
    seen: dict[int, Entry] = field(default_factory=dict)
    """Slots that are due, by time, with their last record, while they have one."""
    missed: list[int] = field(default_factory=list)
    """Times of slots that were found to be missed."""
    planned: int = 0
    withdrawn: int = 0


class Planner:
    """Plans schedules, one at a time; keeps nothing between two passes."""

    def __init__(self, bus: Bus, *, by: str, require: Callable[[], object] = lambda: None) -> None:
        self._bus = bus
        self._by = by
        self._require = require
        """Raises if this process may not write any more: a courtesy, the protocol does not need it."""

    async def plan(self, uid: str, wanted: Plan, choose: Choose) -> Passed:
        """Bring the slots of a schedule in line with `wanted`: its generation, its template and all that does not move
        (`since` counts if it is the first record of the schedule). Raises BusError; safe to call again.
        """
        while True:
            found = await self._ask(lambda: self._bus.ledger.read_plan(uid))
            if found is not None and found.plan.generation > wanted.generation:
                return Passed(None)
            passed = await self._pass(found, uid, wanted, choose)
            if passed is not None:
                return passed

    async def _pass(self, found: StoredPlan | None, uid: str, wanted: Plan, choose: Choose) -> Passed | None:
        """One pass over the plan as it was read; None: somebody else wrote meanwhile."""
        seen = await self._look(found)
        plan, chosen, over = revise(found, wanted, choose, now=self._bus.link.now(), seen=seen)
        passed = Passed(found, seen=seen, missed=chosen.missed)
        if found is None or plan != found.plan:
            passed.stored = await self._write(uid, plan, 0 if found is None else found.seq)
            if passed.stored is None:
                return None
        if not plan.complete:
            try:
                await self._process(uid, plan, passed, known=_find_known(found, plan), fresh=chosen.slots)
            except _StaleError:
                return Passed(None)
            assert passed.stored is not None
            passed.stored = await self._write(uid, msgspec.structs.replace(plan, complete=True), passed.stored.seq)
            if passed.stored is None:
                return None
        if passed.stored is not found and passed.stored is not None:
            await self._bus.ledger.purge_plan(uid, up_to=passed.stored.seq)
            await _gather(over, lambda slot: self._purge(uid, slot))
        return passed

    async def _write(self, uid: str, plan: Plan, expected: int) -> StoredPlan | None:
        """Write a plan; None: another one stands there by now."""
        self._require()
        backoff = _patience()
        while True:
            try:
                seq = await self._bus.ledger.append_plan(uid, plan, expected=expected)
            except RefusedError:
                return None
            except BusError as err:
                await backoff.pause(err)
                stands = await insist(lambda: self._bus.ledger.read_plan(uid), backoff)
                if (0 if stands is None else stands.seq) != expected:
                    return None  # ours, or another's: to be read again
            else:
                return StoredPlan(uid, seq, self._bus.link.now(), plan)

    async def _look(self, found: StoredPlan | None) -> dict[int, Entry]:
        """The last records of the slots that are due, where there are any."""
        if found is None:
            return {}
        now, plan = self._bus.link.now(), found.plan
        last = () if plan.last is None else (plan.last,)
        due = [slot for slot in {*plan.slots, *plan.old, *last} if slot.due <= now]
        entries = await _gather(due, lambda slot: self._read(make_slot_id(found.uid, slot.time)))
        return {slot.time: entry for slot, entry in zip(due, entries, strict=True) if entry is not None}

    async def _read(self, job_id: str) -> Entry | None:
        return await self._ask(lambda: self._bus.ledger.read(job_id))

    async def _process(
        self, uid: str, plan: Plan, passed: Passed, *, known: Collection[int], fresh: Sequence[Slot]
    ) -> None:
        """Deal with every slot that the plan names but those that are `known` to have been; raises _StaleError."""
        bound = await self._queue_end(plan.job) if plan.old else None
        forgotten = self._bus.link.now() - FORGOTTEN
        new = {slot.time for slot in fresh}

        async def deal(item: tuple[Slot, bool]) -> None:
            slot, intended = item
            skip_empty = slot.due <= forgotten and slot.time not in new
            written = await self._deal(
                uid, slot, plan, intended=intended, skip_empty=skip_empty, fresh=slot.time in new
            )
            if written is None:
                return
            if intended:
                passed.planned += 1
                await put_hint(self._bus, written, source=written.record, backoff=_patience())
            else:
                passed.withdrawn += 1
                await self._purge_hint(plan.job, written.id, bound)

        items = [(slot, False) for slot in plan.old]
        items += [(slot, True) for slot in plan.slots if slot.time not in known]
        await _gather(items, deal)

    async def _deal(
        self, uid: str, slot: Slot, plan: Plan, *, intended: bool, skip_empty: bool, fresh: bool
    ) -> Entry | None:
        """Read, decide, append, until it stands; None: nothing was to be done. A fresh slot has no chain, most likely:
        the append finds out.
        """
        backoff = _patience()
        job_id = make_slot_id(uid, slot.time)
        while True:
            last = None if fresh else await insist(lambda: self._bus.ledger.read(job_id), backoff)
            fresh = False
            if last is None and skip_empty:
                return None
            decision = decide_slot(last, slot, plan, intended=intended, time=self._bus.link.now(), by=self._by)
            if isinstance(decision, Stale):
                raise _StaleError
            if isinstance(decision, Leave):
                return last if intended and last is not None and _is_planned(last, plan) else None
            self._require()
            try:
                expected = 0 if last is None else last.seq
                seq = await self._bus.ledger.append(job_id, encode(decision.record), expected=expected)
            except RefusedError:
                continue
            except BusError as err:
                await backoff.pause(err)
            else:
                return Entry(job_id, seq, decision.record.time, decision.record)

    async def _queue_end(self, job: str) -> int | None:
        """Up to where the hints of withdrawn slots may be removed; None: the Job has no queue."""
        try:
            return await self._ask(lambda: self._bus.queue.last_seq(job))
        except NotFoundError:
            return None

    async def _purge_hint(self, job: str, job_id: str, bound: int | None) -> None:
        if bound is None:
            return
        try:
            await self._bus.queue.purge(job, job_id, up_to=bound + 1)
        except BusError:
            return  # may be left out: the worker that gets the hint reads `cancelled`

    async def _purge(self, uid: str, slot: Slot) -> None:
        """Remove the chain of a slot that is over a limit, unless a person has taken it up again."""
        try:
            chain = await self._ask(lambda: self._bus.ledger.read_chain(make_slot_id(uid, slot.time)))
        except CodecError:
            return
        if chain and chain[-1].record.final:
            await purge_chain(self._bus, chain)

    async def _ask(self, ask: Callable[[], Awaitable[T]]) -> T:
        return await insist(ask, _patience())


def revise(
    found: StoredPlan | None, wanted: Plan, choose: Choose, *, now: int, seen: dict[int, Entry]
) -> tuple[Plan, Chosen, list[Slot]]:
    """The plan that is to stand, what was chosen for it, and the slots whose chains are over a limit."""
    plan = None if found is None else found.plan
    ended = {time for time, entry in seen.items() if entry.record.final}
    if plan is not None and plan.generation == wanted.generation:
        ahead = sum(slot.time > now for slot in plan.slots)
        chosen = choose(Span(plan.until, now, ahead=ahead))
        after = extend_plan(plan, chosen, ended=ended)
    else:
        since = wanted.since if plan is None else now
        named = () if plan is None else (*plan.slots, *plan.old)
        chosen = choose(Span(since, now, named=tuple(slot for slot in named if slot.due > since)))
        after = begin_plan(plan, msgspec.structs.replace(wanted, since=since), chosen, ended=ended)
    if plan is None or after is plan:
        return after, chosen, []
    kept = {slot.time for slot in (*after.slots, *after.old)}
    gone = [slot for slot in plan.slots if slot.time in ended and slot.time not in kept]
    ends = {slot: seen[slot.time].record for slot in gone}
    after, over = limit_history(
        after,
        [slot for slot, end in ends.items() if end.state is not State.FAILED and end.reason is not Reason.WITHDRAWN],
        [slot for slot, end in ends.items() if end.state is State.FAILED],
    )
    return msgspec.structs.replace(after, last=find_last(plan, seen)), chosen, over


def find_last(plan: Plan, seen: dict[int, Entry]) -> Slot | None:
    """The newest slot that is due and was not withdrawn."""
    due = [
        slot
        for slot in (*plan.slots, *plan.old)
        if slot.time in seen and seen[slot.time].record.reason is not Reason.WITHDRAWN
    ]
    return max([*due, *([] if plan.last is None else [plan.last])], default=None)


def _find_known(found: StoredPlan | None, plan: Plan) -> set[int]:
    """The slots that this very generation has dealt with: a complete record named them."""
    if found is None or not found.plan.complete or found.plan.generation != plan.generation:
        return set()
    return {slot.time for slot in found.plan.slots}


def _is_planned(last: Entry, plan: Plan) -> bool:
    """Tell whether this generation's own `scheduled` stands, whose planner may have died before it put the hint."""
    record = last.record
    return record.state is State.SCHEDULED and record.generation == plan.generation and record.payload_seq is None


def _patience() -> Backoff:
    return Backoff(patience_seconds=PATIENCE_SECONDS, unanswered_only=True)


async def _gather(items: Iterable[T], do: Callable[[T], Awaitable[R]]) -> list[R]:
    """Do it for each, so many at once; in order. The first error ends it, once all that had begun has ended."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> R:
        async with room:
            return await do(item)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
