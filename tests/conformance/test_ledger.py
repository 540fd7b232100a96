"""The port `Ledger`: what every adapter promises."""

from __future__ import annotations

import asyncio

import pytest

from conformance.place import Place
from factories import NOON, make_data, make_holder, make_job_id, make_plan, make_record
from jetmill.bus.ports import Bus
from jetmill.errors import BusError, CodecError, InvalidNameError, NotFoundError, RefusedError
from jetmill.protocol.codec import encode
from jetmill.protocol.record import Entry
from jetmill.protocol.state import State
from support.wait import eventually, soon

pytestmark = pytest.mark.conformance


async def append_many(bus: Bus, count: int, *, data: bytes | None = None) -> list[int]:
    """Append `count` first records in one turn; their sequences."""
    futures = [bus.ledger.append(make_job_id(), data or make_data(), expected=0) for _ in range(count)]
    return list(await soon(asyncio.gather(*futures)))


async def collect(bus: Bus, **options: int | str) -> list[Entry]:
    """Everything that a bounded `follow` gives."""
    found: list[Entry] = []
    async with asyncio.timeout(60):
        async for entries in bus.ledger.follow(**options):  # type: ignore[arg-type]
            found.extend(entries)
    return found


async def test_a_first_record_lands_and_is_read_back_as_it_was(bus: Bus) -> None:
    job_id = make_job_id()
    record = make_record(attempt=3, reason="interrupted", payload=None)
    seq = await bus.ledger.append(job_id, encode(record), expected=0)
    entry = await bus.ledger.read(job_id)
    assert entry is not None
    assert (entry.id, entry.seq, entry.record) == (job_id, seq, record)
    assert seq >= 1


async def test_an_append_is_answered_on_a_later_turn_of_the_loop(bus: Bus) -> None:
    future = bus.ledger.append(make_job_id(), make_data(), expected=0)
    assert not future.done()
    await future


async def test_an_append_with_a_stale_sequence_is_refused(bus: Bus) -> None:
    """Whoever holds an old sequence is fenced out."""
    job_id = make_job_id()
    first = await bus.ledger.append(job_id, make_data(), expected=0)
    second = await bus.ledger.append(job_id, make_data(State.RUNNING), expected=first)
    with pytest.raises(RefusedError) as refused:
        await bus.ledger.append(job_id, make_data(State.CANCELLED), expected=first)
    assert refused.value.code == 10071
    entry = await bus.ledger.read(job_id)
    assert entry is not None
    assert (entry.seq, entry.record.state) == (second, State.RUNNING)


async def test_a_chain_begins_only_once(bus: Bus) -> None:
    job_id = make_job_id()
    await bus.ledger.append(job_id, make_data(), expected=0)
    with pytest.raises(RefusedError):
        await bus.ledger.append(job_id, make_data(), expected=0)


async def test_an_append_after_a_record_that_never_was_is_refused(bus: Bus) -> None:
    with pytest.raises(RefusedError):
        await bus.ledger.append(make_job_id(), make_data(), expected=5)


async def test_of_writers_at_the_same_place_one_wins(bus: Bus, place: Place) -> None:
    job_id = make_job_id()
    first = await bus.ledger.append(job_id, make_data(), expected=0)
    buses = [bus, await place.connect(), await place.connect()]
    answers = await asyncio.gather(
        *(b.ledger.append(job_id, make_data(State.RUNNING, lease=str(n)), expected=first) for n, b in enumerate(buses)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, int) for answer in answers) == 1
    assert sum(isinstance(answer, RefusedError) for answer in answers) == 2
    assert len(await bus.ledger.read_chain(job_id)) == 2


async def test_sequences_count_over_all_jobs(bus: Bus) -> None:
    first, second = await append_many(bus, 2)
    assert second > first
    with pytest.raises(RefusedError):
        await bus.ledger.append(make_job_id(), make_data(), expected=second)


async def test_a_thousand_appends_of_one_turn_all_land(bus: Bus) -> None:
    sequences = await append_many(bus, 1000)
    assert len(set(sequences)) == 1000
    assert await bus.ledger.last_seq() == max(sequences)


async def test_a_refused_append_leaves_those_sent_with_it_alone(bus: Bus) -> None:
    taken = {make_job_id() for _ in range(3)}
    await asyncio.gather(*(bus.ledger.append(job_id, make_data(), expected=0) for job_id in taken))
    fresh = [make_job_id() for _ in range(297)]
    everyone = [*fresh[:100], *taken, *fresh[100:]]
    answers = await soon(
        asyncio.gather(
            *(bus.ledger.append(job_id, make_data(), expected=0) for job_id in everyone), return_exceptions=True
        )
    )
    refused = {job_id for job_id, answer in zip(everyone, answers, strict=True) if isinstance(answer, RefusedError)}
    assert refused == taken
    assert all(isinstance(answer, int | RefusedError) for answer in answers)
    for job_id in fresh[95:105]:
        assert len(await bus.ledger.read_chain(job_id)) == 1


async def test_an_unknown_job_has_no_record(bus: Bus) -> None:
    assert await bus.ledger.read(make_job_id()) is None
    assert await bus.ledger.read_chain(make_job_id()) == []


async def test_a_read_sees_every_write_that_was_answered_before(bus: Bus, place: Place) -> None:
    other, job_id, seq = await place.connect(), make_job_id(), 0
    for attempt in range(1, 20):
        seq = await bus.ledger.append(job_id, make_data(attempt=attempt), expected=seq)
        entry = await other.ledger.read(job_id)
        assert entry is not None
        assert (entry.seq, entry.record.attempt) == (seq, attempt)


async def test_a_record_is_found_by_its_sequence(bus: Bus) -> None:
    job_id = make_job_id()
    seq = await bus.ledger.append(job_id, make_data(attempt=2), expected=0)
    entry = await bus.ledger.read_at(seq)
    assert entry is not None
    assert (entry.id, entry.seq, entry.record.attempt) == (job_id, seq, 2)
    assert await bus.ledger.read_at(seq + 1000) is None


async def test_a_chain_is_read_oldest_first(bus: Bus) -> None:
    job_id = make_job_id()
    sequences = [await bus.ledger.append(job_id, make_data(), expected=0)]
    await append_many(bus, 3)
    for state in (State.RUNNING, State.SUCCEEDED):
        sequences.append(await bus.ledger.append(job_id, make_data(state), expected=sequences[-1]))
    chain = await bus.ledger.read_chain(job_id)
    assert [entry.seq for entry in chain] == sequences
    assert [entry.record.state for entry in chain] == [State.QUEUED, State.RUNNING, State.SUCCEEDED]
    assert all(entry.id == job_id for entry in chain)


async def test_a_record_carries_the_servers_time(bus: Bus) -> None:
    before = bus.link.now()
    job_id = make_job_id()
    await bus.ledger.append(job_id, make_data(), expected=0)
    entry = await bus.ledger.read(job_id)
    assert entry is not None
    assert before - 1_000_000 <= entry.time <= bus.link.now() + 1_000_000


async def test_an_empty_ledger_ends_at_zero(bus: Bus) -> None:
    assert await bus.ledger.last_seq() == 0


async def test_the_newest_sequence_is_that_of_the_last_append(bus: Bus) -> None:
    sequences = await append_many(bus, 5)
    assert await bus.ledger.last_seq() == sequences[-1]


async def test_following_gives_what_is_there_and_then_what_comes(bus: Bus) -> None:
    old = await append_many(bus, 3)
    seen: list[int] = []
    caught_up = asyncio.Event()
    all_there = asyncio.Event()

    async def read() -> None:
        async for entries in bus.ledger.follow():
            seen.extend(entry.seq for entry in entries)
            if len(seen) >= 3:
                caught_up.set()
            if len(seen) == 6:
                all_there.set()

    task = asyncio.create_task(read())
    await soon(caught_up.wait())
    assert seen == old
    new = await append_many(bus, 3)
    await soon(all_there.wait())
    assert seen == old + new
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_following_begins_where_it_is_told(bus: Bus) -> None:
    sequences = await append_many(bus, 10)
    found = await collect(bus, start=sequences[4], until=sequences[-1])
    assert [entry.seq for entry in found] == sequences[4:]


async def test_following_ends_at_a_sequence(bus: Bus) -> None:
    sequences = await append_many(bus, 10)
    found = await collect(bus, until=sequences[6])
    assert [entry.seq for entry in found] == sequences[:7]


async def test_following_an_empty_ledger_up_to_its_end_gives_nothing(bus: Bus) -> None:
    assert await collect(bus, until=await bus.ledger.last_seq()) == []


async def test_following_ends_although_the_last_record_was_purged(bus: Bus) -> None:
    sequences = await append_many(bus, 3)
    job_id = make_job_id()
    last = await bus.ledger.append(job_id, make_data(), expected=0)
    await bus.ledger.purge(job_id, up_to=last + 1)
    found = await collect(bus, until=last)
    assert [entry.seq for entry in found] == sequences


async def test_following_waits_for_a_sequence_that_is_still_to_come(bus: Bus) -> None:
    sequences = await append_many(bus, 2)
    task = asyncio.create_task(collect(bus, until=sequences[-1] + 2))
    more = await append_many(bus, 3)
    found = await soon(task)
    assert [entry.seq for entry in found] == sequences + more[:2]


async def test_following_one_job_gives_only_its_records(bus: Bus) -> None:
    job_id = make_job_id()
    first = await bus.ledger.append(job_id, make_data(), expected=0)
    await append_many(bus, 5)
    second = await bus.ledger.append(job_id, make_data(State.RUNNING), expected=first)
    await append_many(bus, 5)
    found = await collect(bus, job_id=job_id, until=await bus.ledger.last_seq())
    assert [entry.seq for entry in found] == [first, second]


async def test_one_job_is_followed_live(bus: Bus) -> None:
    job_id = make_job_id()
    seq = await bus.ledger.append(job_id, make_data(), expected=0)
    states: list[State] = []
    async with asyncio.timeout(60):
        async for entries in bus.ledger.follow(job_id=job_id):
            states.extend(entry.record.state for entry in entries)
            if states[-1] is State.QUEUED:
                await append_many(bus, 2)
                seq = await bus.ledger.append(job_id, make_data(State.RUNNING), expected=seq)
            elif states[-1] is State.RUNNING:
                await bus.ledger.append(job_id, make_data(State.SUCCEEDED), expected=seq)
            else:
                break
    assert states == [State.QUEUED, State.RUNNING, State.SUCCEEDED]


async def test_following_gives_long_ledgers_in_lists_of_at_most_two_thousand(bus: Bus) -> None:
    sequences = await append_many(bus, 4500, data=make_data())
    sizes: list[int] = []
    seen: list[int] = []
    async with asyncio.timeout(60):
        async for entries in bus.ledger.follow(until=sequences[-1]):
            sizes.append(len(entries))
            seen.extend(entry.seq for entry in entries)
    assert seen == sorted(sequences)
    assert max(sizes) <= 2000


async def test_a_record_that_cannot_be_decoded_is_named_after_all_before_it_was_given(bus: Bus) -> None:
    before = await append_many(bus, 2)
    bad = await bus.ledger.append(make_job_id(), b'{"v":99}', expected=0)
    after = await append_many(bus, 1)
    seen: list[int] = []

    async def read() -> None:
        async for entries in bus.ledger.follow(until=after[-1]):
            seen.extend(entry.seq for entry in entries)

    with pytest.raises(CodecError) as failed:
        await soon(read())
    assert seen == before
    assert failed.value.seq == bad
    assert [entry.seq for entry in await collect(bus, start=bad + 1, until=after[-1])] == after


async def test_reading_a_record_that_cannot_be_decoded_is_a_codec_error(bus: Bus) -> None:
    job_id = make_job_id()
    seq = await bus.ledger.append(job_id, b"not json", expected=0)
    with pytest.raises(CodecError):
        await bus.ledger.read(job_id)
    with pytest.raises(CodecError):
        await bus.ledger.read_at(seq)


async def test_a_purged_chain_is_gone_whole_and_others_stay(bus: Bus) -> None:
    job_id, other = make_job_id(), make_job_id()
    first = await bus.ledger.append(job_id, make_data(), expected=0)
    await bus.ledger.append(other, make_data(), expected=0)
    last = await bus.ledger.append(job_id, make_data(State.CANCELLED), expected=first)
    await bus.ledger.purge(job_id, up_to=last + 1)
    assert await bus.ledger.read(job_id) is None
    assert await bus.ledger.read_chain(job_id) == []
    assert await bus.ledger.read_at(first) is None
    assert len(await bus.ledger.read_chain(other)) == 1


async def test_a_purge_keeps_what_was_appended_meanwhile(bus: Bus) -> None:
    job_id = make_job_id()
    first = await bus.ledger.append(job_id, make_data(), expected=0)
    last = await bus.ledger.append(job_id, make_data(State.CANCELLED), expected=first)
    reopened = await bus.ledger.append(job_id, make_data(enqueueing=2), expected=last)
    await bus.ledger.purge(job_id, up_to=last + 1)
    assert [entry.seq for entry in await bus.ledger.read_chain(job_id)] == [reopened]
    await bus.ledger.append(job_id, make_data(State.RUNNING), expected=reopened)


async def test_an_id_whose_chain_was_purged_can_begin_anew(bus: Bus) -> None:
    job_id = make_job_id()
    seq = await bus.ledger.append(job_id, make_data(), expected=0)
    await bus.ledger.purge(job_id, up_to=seq + 1)
    again = await bus.ledger.append(job_id, make_data(), expected=0)
    assert again > seq


async def test_a_holder_is_written_by_compare_and_set(bus: Bus) -> None:
    first, second = make_holder(), make_holder(enqueueing=2)
    seq = await bus.ledger.append_holder("abc123", first, expected=0)
    assert await bus.ledger.read_holder("abc123") == (seq, first)
    with pytest.raises(RefusedError):
        await bus.ledger.append_holder("abc123", second, expected=0)
    later = await bus.ledger.append_holder("abc123", second, expected=seq)
    assert await bus.ledger.read_holder("abc123") == (later, second)


async def test_a_gate_that_nobody_held_has_no_holder(bus: Bus) -> None:
    assert await bus.ledger.read_holder("abc123") is None


async def test_holders_are_no_records_of_jobs(bus: Bus) -> None:
    sequences = await append_many(bus, 1)
    holder = await bus.ledger.append_holder("abc123", make_holder(), expected=0)
    sequences += await append_many(bus, 1)
    found = await collect(bus, until=await bus.ledger.last_seq())
    assert [entry.seq for entry in found] == sequences
    assert sequences[0] < holder < sequences[1]


async def test_following_ends_behind_a_holder(bus: Bus) -> None:
    sequences = await append_many(bus, 1)
    holder = await bus.ledger.append_holder("abc123", make_holder(), expected=0)
    found = await collect(bus, until=holder)
    assert [entry.seq for entry in found] == sequences


async def test_a_full_ledger_gives_the_writer_an_error_and_stores_nothing(bus: Bus, place: Place) -> None:
    job_id = make_job_id()
    await bus.ledger.append(job_id, make_data(), expected=0)
    await place.fill_ledger(bus)
    other = make_job_id()
    with pytest.raises(BusError) as full:
        await soon(bus.ledger.append(other, make_data(), expected=0))
    assert not isinstance(full.value, RefusedError)
    assert await bus.ledger.read(other) is None
    assert await bus.ledger.read(job_id) is not None


async def test_without_its_namespace_an_append_is_an_error_and_no_wait(raw_bus: Bus) -> None:
    with pytest.raises(BusError):
        await soon(raw_bus.ledger.append(make_job_id(), make_data(), expected=0))
    with pytest.raises(NotFoundError):
        await soon(raw_bus.ledger.read(make_job_id()))


UID = "0f0e6c3c-0000-4000-8000-00000000000"


async def test_a_plan_is_written_by_compare_and_set_and_read_back_as_it_was(bus: Bus) -> None:
    uid, plan = f"{UID}1", make_plan(slots=[NOON + 1, NOON + 2], old=[NOON + 3])
    assert await bus.ledger.read_plan(uid) is None
    seq = await bus.ledger.append_plan(uid, plan, expected=0)
    with pytest.raises(RefusedError) as refused:
        await bus.ledger.append_plan(uid, plan, expected=0)
    assert refused.value.code == 10071
    stored = await bus.ledger.read_plan(uid)
    assert stored is not None
    assert (stored.uid, stored.seq, stored.plan) == (uid, seq, plan)
    assert abs(stored.time - bus.link.now()) < 60_000_000
    assert await bus.ledger.append_plan(uid, make_plan(generation=2), expected=seq) > seq


async def test_a_plan_of_a_uid_that_can_be_none_is_refused(bus: Bus) -> None:
    for uid in ("*", "a.b", ""):
        with pytest.raises(InvalidNameError):
            bus.ledger.append_plan(uid, make_plan(), expected=0)
        with pytest.raises(InvalidNameError):
            await bus.ledger.read_plan(uid)


async def test_all_plans_are_listed_with_their_last_record(bus: Bus) -> None:
    assert await bus.ledger.plans() == []
    first = await bus.ledger.append_plan(f"{UID}1", make_plan(), expected=0)
    await bus.ledger.append_plan(f"{UID}2", make_plan(schedule="hourly"), expected=0)
    last = await bus.ledger.append_plan(f"{UID}1", make_plan(generation=2), expected=first)

    async def settled() -> bool:
        return [(one.uid, one.plan.generation) for one in await bus.ledger.plans()] == [(f"{UID}1", 2), (f"{UID}2", 1)]

    await eventually(settled)
    await bus.ledger.purge_plan(f"{UID}1", up_to=last)
    stored = await bus.ledger.read_plan(f"{UID}1")
    assert stored is not None
    assert (stored.seq, stored.plan.generation) == (last, 2)
    await bus.ledger.purge_plan(f"{UID}1", up_to=last + 1)
    assert await bus.ledger.read_plan(f"{UID}1") is None


async def test_a_plan_is_no_record_of_a_job(bus: Bus) -> None:
    """Who follows the ledger passes it over."""
    seq = await bus.ledger.append_plan(f"{UID}1", make_plan(), expected=0)
    assert await bus.ledger.read_at(seq) is None
    [after] = await append_many(bus, 1)
    assert [entry.seq for entry in await collect(bus, until=after)] == [after]
