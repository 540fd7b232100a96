"""The port `Queue`: what every adapter promises of hints, deliveries and demand."""

from __future__ import annotations

import asyncio

import pytest

from conformance.hint import depth_is, publish
from conformance.place import Place
from factories import JOB, make_hint, make_settings
from jetmill.bus.ports import Bus, Delivery, Flow
from jetmill.errors import BusError, NotFoundError
from support.taker import Taker
from support.wait import eventually, soon

pytestmark = pytest.mark.conformance

LATER = 2_000_000
"""µs; far enough for a test to do something before."""
FAR = 3600 * 1_000_000
"""µs; not in this test."""


@pytest.fixture
async def queue(bus: Bus) -> Bus:
    """A bus with the queue of one Job, of which no lease lapses in a test."""
    await bus.admin.apply_job(make_settings(JOB, lease_seconds=600.0))
    return bus


async def note_time(bus: Bus, taker: Taker) -> tuple[Delivery, int]:
    """The next delivery, and when it came."""
    return await taker.next(), bus.link.now()


async def flow_is(bus: Bus, *, ready: int, in_flight: int) -> Flow:
    async def same() -> Flow | None:
        flow = await bus.queue.flow(JOB)
        return flow if (flow.ready, flow.in_flight) == (ready, in_flight) else None

    flow = await eventually(same)
    assert isinstance(flow, Flow)
    return flow


async def test_the_flow_counts_what_is_ready_what_is_in_hand_and_what_came(queue: Bus) -> None:
    assert await queue.queue.flow(JOB) == Flow(ready=0, in_flight=0, stored=0, offered=0)
    await publish(queue, 3)
    await publish(queue, 2, band="high")
    assert await flow_is(queue, ready=5, in_flight=0) == Flow(5, 0, stored=5, offered=5)
    delivery = await Taker(queue, want=1).next()
    assert await flow_is(queue, ready=4, in_flight=1) == Flow(4, 1, stored=5, offered=5)
    delivery.ack()
    assert await flow_is(queue, ready=4, in_flight=0) == Flow(4, 0, stored=5, offered=5)


async def test_what_comes_again_is_offered_again_and_stored_once(queue: Bus) -> None:
    await publish(queue)
    taker = Taker(queue, want=2)
    (await taker.next()).nak()
    await taker.next()
    assert await flow_is(queue, ready=0, in_flight=1) == Flow(0, 1, stored=1, offered=2)


async def test_what_is_delayed_is_stored_and_not_offered_until_it_is_due(queue: Bus, place: Place) -> None:
    await publish(queue, due=queue.link.now() + FAR)
    assert await flow_is(queue, ready=0, in_flight=0) == Flow(ready=0, in_flight=0, stored=1, offered=0, delayed=1)
    await publish(queue, due=queue.link.now() - 1_000_000)
    assert (await flow_is(queue, ready=1, in_flight=0)).offered == 1


async def test_the_tail_of_a_queue_grows_with_what_comes_and_with_what_becomes_due(bus: Bus, place: Place) -> None:
    await bus.admin.apply_namespace()
    jobs = [f"job-{number:03}" for number in range(3)]
    for job in jobs:
        await bus.admin.apply_job(make_settings(job))
    assert await bus.queue.tails() == dict.fromkeys(jobs, 0)
    await bus.queue.publish(make_hint(job=jobs[1]))
    await bus.queue.publish(make_hint(job=jobs[2], due=bus.link.now() + FAR))
    assert await bus.queue.tails() == {jobs[0]: 0, jobs[1]: 1, jobs[2]: 1}
    await bus.queue.publish(make_hint(job=jobs[2], due=bus.link.now() + 500_000))
    await place.pass_time(0.5)

    async def has_become_due() -> bool:
        return await bus.queue.tails() == {jobs[0]: 0, jobs[1]: 1, jobs[2]: 3}

    await eventually(has_become_due)


async def test_a_hint_arrives_as_it_was_published(queue: Bus) -> None:
    before = queue.link.now()
    taker = Taker(queue, want=1)
    [hint] = await publish(queue, body=b'{"v":1,"x":"\xc3\xa4"}', seq=42)
    delivery = await taker.next()
    assert (delivery.id, delivery.job, delivery.band) == (hint.id, JOB, "normal")
    assert (delivery.body, delivery.seq, delivery.deliveries) == (hint.body, 42, 1)
    assert before - 1_000_000 <= delivery.time <= queue.link.now() + 1_000_000


async def test_a_hint_may_have_no_sequence(queue: Bus) -> None:
    taker = Taker(queue, want=1)
    await publish(queue, seq=None)
    assert (await taker.next()).seq is None


async def test_a_publish_is_answered_on_a_later_turn_of_the_loop(queue: Bus) -> None:
    future = queue.queue.publish(make_hint())
    assert not future.done()
    await future


async def test_a_hint_that_was_there_before_the_pull_arrives(queue: Bus) -> None:
    [hint] = await publish(queue)
    assert (await Taker(queue, want=1).next()).id == hint.id


async def test_nothing_comes_before_it_is_wanted_and_never_more_than_that(queue: Bus) -> None:
    await publish(queue, 5)
    idle, taker = Taker(queue), Taker(queue, want=2)
    await taker.several(2)
    await depth_is(queue, ready=3, in_flight=2)
    taker.pull.want(1)
    await taker.next()
    await depth_is(queue, ready=2, in_flight=3)
    assert len(taker.taken) == 3
    assert idle.taken == []


async def test_outstanding_counts_what_was_wanted_and_has_not_come(queue: Bus) -> None:
    taker = Taker(queue)
    assert taker.pull.outstanding == 0
    taker.pull.want(3)
    taker.pull.want(2)
    assert taker.pull.outstanding == 5
    await publish(queue, 2)
    await taker.several(2)
    assert taker.pull.outstanding == 3


async def test_demand_can_be_renewed_from_within_a_delivery(queue: Bus) -> None:
    await publish(queue, 50)
    done = asyncio.Event()
    ids: list[str] = []

    def take(delivery: object) -> None:
        delivery.ack()  # type: ignore[attr-defined]
        ids.append(delivery.id)  # type: ignore[attr-defined]
        pull.want(1)
        if len(ids) == 50:
            done.set()

    pull = queue.queue.pull(JOB, "normal", take)
    pull.want(3)
    await soon(done.wait())
    assert len(set(ids)) == 50


async def test_bands_are_apart(queue: Bus) -> None:
    high, low = Taker(queue, band="high", want=5), Taker(queue, band="low", want=5)
    [first] = await publish(queue, band="high")
    [second] = await publish(queue, band="low")
    await publish(queue, band="normal")
    assert (await high.next()).id == first.id
    assert (await low.next()).id == second.id
    assert (len(high.taken), len(low.taken)) == (1, 1)


async def test_hints_of_a_band_come_in_order(queue: Bus) -> None:
    hints = await publish(queue, 20)
    taker = Taker(queue, want=20)
    await taker.several(20)
    assert taker.ids == [hint.id for hint in hints]


async def test_two_thousand_hints_of_one_turn_all_come_once(queue: Bus, place: Place) -> None:
    hints = await publish(queue, 2000)
    one = Taker(queue, want=1500, ack=True)
    two = Taker(await place.connect(), want=1500, ack=True)
    await eventually(lambda: len(one.taken) + len(two.taken) >= 2000, seconds=180)
    assert sorted(one.ids + two.ids) == sorted(hint.id for hint in hints)


async def test_a_pull_waits_for_a_queue_that_is_not_there_yet(bus: Bus) -> None:
    taker = Taker(bus, want=1)
    await bus.admin.apply_job(make_settings(JOB))
    [hint] = await publish(bus)
    assert (await taker.next()).id == hint.id


async def test_a_pull_outlives_its_queue(queue: Bus) -> None:
    taker = Taker(queue, want=2, ack=True)
    await publish(queue)
    await taker.next()
    await queue.admin.remove_job(JOB)
    await queue.admin.apply_job(make_settings(JOB))
    [hint] = await publish(queue)
    assert (await taker.next()).id == hint.id


async def test_an_acked_hint_leaves_the_queue(queue: Bus) -> None:
    await publish(queue)
    delivery = await Taker(queue, want=1).next()
    await depth_is(queue, in_flight=1)
    delivery.ack()
    await depth_is(queue)

    async def gone() -> bool:
        return await queue.queue.hinted(JOB) == set()

    await eventually(gone)


async def test_a_hint_given_back_comes_again_and_is_counted(queue: Bus) -> None:
    [hint] = await publish(queue)
    taker = Taker(queue, want=2)
    first = await taker.next()
    first.nak()
    second = await taker.next()
    assert (second.id, second.deliveries, second.seq, second.time) == (hint.id, 2, first.seq, first.time)


async def test_a_hint_given_back_with_a_delay_rests_that_long(queue: Bus, place: Place) -> None:
    await publish(queue)
    taker = Taker(queue, want=1)
    first = await taker.next()
    begin = queue.link.now()
    first.nak(2.0)
    taker.pull.want(1)
    coming = asyncio.ensure_future(note_time(queue, taker))
    await place.pass_time(2.0)
    second, time = await soon(coming)
    assert (second.id, second.deliveries) == (first.id, 2)
    assert time - begin >= 2_000_000


async def test_a_hint_that_rests_holds_up_no_other(queue: Bus) -> None:
    await publish(queue)
    taker = Taker(queue, want=2)
    (await taker.next()).nak(600.0)
    [other] = await publish(queue)
    assert (await taker.next()).id == other.id


async def test_a_delayed_hint_comes_when_it_is_due(queue: Bus, place: Place) -> None:
    taker = Taker(queue, want=1)
    [hint] = await publish(queue, due=queue.link.now() + FAR, seq=9)
    await depth_is(queue, delayed=1)
    assert taker.taken == []
    due = queue.link.now() + LATER
    await publish(queue, id=hint.id, due=due, seq=9, band="normal")
    await place.pass_time(LATER / 1e6)
    delivery = await taker.next()
    assert (delivery.id, delivery.seq, delivery.body, delivery.deliveries) == (hint.id, 9, hint.body, 1)
    assert delivery.time >= due
    await depth_is(queue, in_flight=1)


async def test_a_delayed_hint_comes_in_its_band(queue: Bus, place: Place) -> None:
    taker = Taker(queue, band="low", want=1)
    [hint] = await publish(queue, due=queue.link.now() + 500_000, band="low", seq=None)
    await place.pass_time(0.5)
    delivery = await taker.next()
    assert (delivery.id, delivery.band, delivery.seq) == (hint.id, "low", None)


async def test_a_delayed_hint_whose_time_has_passed_comes_at_once(queue: Bus) -> None:
    taker = Taker(queue, want=1)
    [hint] = await publish(queue, due=queue.link.now() - 60_000_000)
    assert (await taker.next()).id == hint.id


async def test_a_delayed_hint_replaces_the_earlier_one(queue: Bus, place: Place) -> None:
    now = queue.link.now()
    [hint] = await publish(queue, due=now + FAR, body=b"1")
    await publish(queue, id=hint.id, due=now + FAR + LATER, body=b"2")
    await depth_is(queue, delayed=1)
    await publish(queue, id=hint.id, due=queue.link.now() + 500_000, body=b"3")
    taker = Taker(queue, want=2)
    await place.pass_time(0.5)
    assert (await taker.next()).body == b"3"
    await depth_is(queue, in_flight=1)


async def test_a_delayed_hint_put_off_does_not_come_at_its_first_time(queue: Bus, place: Place) -> None:
    now = queue.link.now()
    [hint] = await publish(queue, due=now + LATER, body=b"1")
    await publish(queue, id=hint.id, due=now + LATER + 1_000_000, body=b"2")
    taker = Taker(queue, want=2)
    await place.pass_time(LATER / 1e6 + 1.0)
    delivery = await taker.next()
    assert delivery.body == b"2"
    assert delivery.time >= now + LATER + 1_000_000
    assert len(taker.taken) == 1


async def test_a_job_may_have_a_delayed_and_a_ready_hint(queue: Bus) -> None:
    [hint] = await publish(queue, due=queue.link.now() + FAR)
    await publish(queue, id=hint.id)
    await depth_is(queue, ready=1, delayed=1)


async def test_hinted_knows_ready_held_and_delayed_hints(queue: Bus) -> None:
    [held] = await publish(queue)
    await Taker(queue, want=1).next()
    [ready] = await publish(queue, band="low")
    [delayed] = await publish(queue, due=queue.link.now() + FAR)
    assert await queue.queue.hinted(JOB) == {held.id, ready.id, delayed.id}


async def test_depth_counts_over_all_bands(queue: Bus) -> None:
    await publish(queue, 2, band="high")
    await publish(queue, 3, band="low")
    await publish(queue, 4, due=queue.link.now() + FAR)
    await Taker(queue, band="high", want=1).next()
    await depth_is(queue, ready=4, in_flight=1, delayed=4)


async def test_a_job_that_is_not_declared_has_no_queue(bus: Bus) -> None:
    with pytest.raises(NotFoundError):
        await bus.queue.depth("nobody")
    with pytest.raises(NotFoundError):
        await bus.queue.flow("nobody")
    with pytest.raises(BusError):
        await soon(bus.queue.publish(make_hint(job="nobody")))


async def test_the_last_sequence_grows_with_every_hint(queue: Bus) -> None:
    assert await queue.queue.last_seq(JOB) == 0
    await publish(queue, 2)
    two = await queue.queue.last_seq(JOB)
    await publish(queue, due=queue.link.now() + FAR)
    assert await queue.queue.last_seq(JOB) > two >= 2


async def test_a_purge_removes_ready_and_delayed_hints_of_one_job(queue: Bus) -> None:
    [hint] = await publish(queue)
    await publish(queue, id=hint.id, band="low")
    await publish(queue, id=hint.id, due=queue.link.now() + FAR)
    [other] = await publish(queue)
    last = await queue.queue.last_seq(JOB)
    await queue.queue.purge(JOB, hint.id, up_to=last + 1)
    assert await queue.queue.hinted(JOB) == {other.id}
    await depth_is(queue, ready=1)
    taker = Taker(queue, want=2)
    assert (await taker.next()).id == other.id


async def test_a_purge_keeps_hints_put_after_its_bound(queue: Bus) -> None:
    """A person's retry may have put the hint of the next enqueueing meanwhile."""
    [hint] = await publish(queue, body=b"1")
    last = await queue.queue.last_seq(JOB)
    await publish(queue, id=hint.id, body=b"2")
    await publish(queue, id=hint.id, body=b"3", due=queue.link.now() + FAR)
    await queue.queue.purge(JOB, hint.id, up_to=last + 1)
    await depth_is(queue, ready=1, delayed=1)
    assert (await Taker(queue, want=2).next()).body == b"2"


async def test_purging_what_is_not_there_is_no_error(queue: Bus) -> None:
    await queue.queue.purge(JOB, make_hint().id, up_to=100)


async def test_a_fired_hint_has_a_sequence_of_its_own(queue: Bus) -> None:
    """So a purge bounded before the fire leaves it."""
    taker = Taker(queue, want=1)
    [hint] = await publish(queue, due=queue.link.now() - 1_000_000)
    await taker.next()
    await queue.queue.purge(JOB, hint.id, up_to=2)
    assert await queue.queue.hinted(JOB) == {hint.id}


async def test_renewing_asks_for_no_more_than_was_wanted(queue: Bus) -> None:
    taker = Taker(queue, want=3)
    hints = await publish(queue, 1)
    await taker.next()
    taker.pull.renew()
    assert taker.pull.outstanding == 2
    hints += await publish(queue, 4)
    taker.pull.renew()
    await taker.several(2)
    assert taker.pull.outstanding == 0

    async def nothing_is_lost() -> bool:
        """What the server had sent to the old request when it was withdrawn may count as in flight."""
        depth = await queue.queue.depth(JOB)
        return depth.ready + depth.in_flight == 5

    await eventually(nothing_is_lost)
    assert len(set(taker.ids)) == 3
    assert set(taker.ids) < {hint.id for hint in hints}
