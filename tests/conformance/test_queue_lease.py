"""The port `Queue` again: what becomes of a delivery in hand, kept by signs of life or lapsed with its lease."""

from __future__ import annotations

import pytest

from conformance.hint import depth_is, publish
from conformance.place import Place
from factories import JOB, make_settings
from jetmill.bus.ports import Bus
from support.taker import Taker

pytestmark = pytest.mark.conformance

LEASE_SECONDS = 1.0
KEPT_SECONDS = 3.0


@pytest.fixture
async def lapsing(bus: Bus) -> Bus:
    """A bus with the queue of one Job, whose lease time is short."""
    await bus.admin.apply_job(make_settings(JOB, lease_seconds=LEASE_SECONDS))
    return bus


@pytest.fixture
async def kept(bus: Bus) -> Bus:
    """A bus with the queue of one Job, whose leases outlast a pause between signs of life where all is slow."""
    await bus.admin.apply_job(make_settings(JOB, lease_seconds=KEPT_SECONDS))
    return bus


async def test_a_hint_in_hand_lapses_after_the_lease_time(lapsing: Bus, place: Place) -> None:
    await publish(lapsing)
    taker = Taker(lapsing, want=2)
    first = await taker.next()
    await place.pass_time(LEASE_SECONDS)
    second = await taker.next()
    assert (second.id, second.deliveries) == (first.id, 2)


async def test_a_lapsed_hint_goes_to_another_who_asks(lapsing: Bus, place: Place) -> None:
    await publish(lapsing)
    first = await Taker(lapsing, want=1).next()
    other = Taker(await place.connect(), want=1)
    await place.pass_time(LEASE_SECONDS)
    assert (await other.next()).id == first.id


async def test_working_keeps_a_hint_in_hand(kept: Bus, place: Place) -> None:
    await publish(kept)
    delivery = await Taker(kept, want=1).next()
    other = Taker(kept, want=1)
    for _ in range(5):
        kept.queue.working(delivery.token)
        await place.pass_time(KEPT_SECONDS / 4)
    assert other.taken == []
    await place.pass_time(KEPT_SECONDS)
    assert (await other.next()).deliveries == 2


async def test_working_may_be_said_over_another_connection(kept: Bus, place: Place) -> None:
    await publish(kept)
    delivery = await Taker(kept, want=1).next()
    other, heartbeat = Taker(kept, want=1), await place.connect()
    for _ in range(5):
        heartbeat.queue.working(delivery.token)
        await place.pass_time(KEPT_SECONDS / 4)
    assert other.taken == []


async def test_an_ack_counts_even_if_the_hint_is_in_other_hands_by_now(lapsing: Bus, place: Place) -> None:
    """Acks are no fence: that is what the ledger is for."""
    await publish(lapsing)
    taker = Taker(lapsing, want=2)
    first = await taker.next()
    await place.pass_time(LEASE_SECONDS)
    await taker.next()
    first.ack()
    await depth_is(lapsing)


async def test_what_is_under_way_when_a_pull_stops_goes_to_another(lapsing: Bus) -> None:
    one, two = Taker(lapsing, want=10), Taker(lapsing)
    one.pull.stop()
    one.pull.stop()
    hints = await publish(lapsing, 5)
    two.pull.want(5)
    await two.several(5)
    assert set(two.ids) == {hint.id for hint in hints}
    assert one.taken == []
    one.pull.want(1)
    await publish(lapsing)
    await depth_is(lapsing, ready=1, in_flight=5)


async def test_what_a_closed_connection_held_comes_again(lapsing: Bus, place: Place) -> None:
    leaver = await place.connect()
    [hint] = await publish(lapsing)
    await Taker(leaver, want=1).next()
    await leaver.link.close()
    taker = Taker(lapsing, want=1)
    await place.pass_time(LEASE_SECONDS)
    delivery = await taker.next()
    assert (delivery.id, delivery.deliveries) == (hint.id, 2)


async def test_a_purged_hint_in_hand_does_not_come_again(kept: Bus, place: Place) -> None:
    [hint] = await publish(kept)
    taker = Taker(kept, want=3)
    delivery = await taker.next()
    await kept.queue.purge(JOB, hint.id, up_to=await kept.queue.last_seq(JOB) + 1)
    await place.pass_time(KEPT_SECONDS * 1.5)
    delivery.ack()
    [other] = await publish(kept)
    assert (await taker.next()).id == other.id
    await depth_is(kept, in_flight=1)
