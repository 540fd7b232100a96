"""The port `Subscriptions`, and following events by pattern and time: what every adapter promises."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing

import pytest

from conformance.place import Place
from jetmill.bus.ports import Bus, DeadMessage, EventDelivery, EventMessage
from jetmill.errors import InvalidNameError, NotFoundError
from jetmill.protocol.event import EventPattern
from support.wait import eventually, soon

pytestmark = pytest.mark.conformance


class Taker:
    """Takes from one subscription, one at a time as it is asked."""

    def __init__(self, bus: Bus, name: str = "mails") -> None:
        self.missing = 0
        self._came: asyncio.Queue[EventDelivery] = asyncio.Queue()
        self.pull = bus.subscriptions.pull(name, self._came.put_nowait, on_missing=self._miss)

    def _miss(self) -> None:
        self.missing += 1

    async def take(self) -> EventDelivery:
        self.pull.want(1)
        return await soon(self._came.get())

    @property
    def has_any(self) -> bool:
        return not self._came.empty()


async def note_time(bus: Bus, taker: Taker) -> tuple[EventDelivery, int]:
    """The next delivery, and when it came."""
    return await taker.take(), bus.link.now()


async def dead_are(bus: Bus, *letters: tuple[str, int, bytes], name: str | None = None) -> None:
    """Wait until these are the dead letters, oldest first; a list may come from a replica that lags."""

    async def same() -> bool:
        return named(await bus.subscriptions.dead(name)) == list(letters)

    await eventually(same, what=f"{letters}, is {named(await bus.subscriptions.dead(name))}")


def named(found: Iterable[DeadMessage]) -> list[tuple[str, int, bytes]]:
    return [(dead.subscription, dead.seq, dead.data) for dead in found]


def patterns(*texts: str) -> list[EventPattern]:
    return [EventPattern(text) for text in texts]


async def publish(bus: Bus, *types: str) -> None:
    first = await bus.events.last_seq()
    for number, event_type in enumerate(types, first + 1):
        await bus.events.publish(event_type, b'{"n":%d}' % number, event_id=f"e{number}")


async def subscribe(bus: Bus, *texts: str, start: int = 1, name: str = "mails") -> Taker:
    await bus.subscriptions.apply(name, patterns=patterns(*texts), start=start)
    return Taker(bus, name)


async def find(bus: Bus, name: str = "mails") -> tuple[int, int]:
    [info] = [one for one in await bus.subscriptions.all() if one.name == name]
    return info.waiting, info.in_hand


async def test_a_subscription_gets_the_events_of_its_patterns_in_order(bus: Bus) -> None:
    await publish(bus, "doc.created", "order.placed", "doc.page.created", "docs.created")
    taker = await subscribe(bus, "doc.*")
    first, second = await taker.take(), await taker.take()
    assert [(one.seq, one.data, one.attempt) for one in (first, second)] == [(1, b'{"n":1}', 1), (3, b'{"n":3}', 1)]
    assert abs(first.time - bus.link.now()) < 60_000_000
    first.ack()
    second.ack()
    await publish(bus, "doc.changed")
    assert (await taker.take()).seq == 5


async def test_patterns_that_overlap_give_each_event_once(bus: Bus) -> None:
    taker = await subscribe(bus, "doc.created", "doc.*", "order.placed", "*")
    await publish(bus, "doc.created", "order.placed", "x")
    assert [(await taker.take()).seq for _ in range(3)] == [1, 2, 3]
    assert (await find(bus)) == (0, 3)


async def test_it_begins_where_it_is_told_to(bus: Bus) -> None:
    await publish(bus, "doc.created", "doc.created", "doc.created")
    taker = await subscribe(bus, "*", start=3)
    assert (await taker.take()).seq == 3


async def test_what_is_acked_never_comes_again_and_the_place_outlives_its_taker(bus: Bus, place: Place) -> None:
    await publish(bus, "doc.created", "doc.created")
    taker = await subscribe(bus, "*")
    (await taker.take()).ack()
    taker.pull.stop()

    async def acked() -> bool:
        return await find(bus) == (1, 0)

    await eventually(acked)
    await bus.link.close()
    other = await place.connect()
    again = await subscribe(other, "*", start=1)
    assert (await again.take()).seq == 2, "a start counts only when a subscription is made"


async def test_takers_share_a_subscription(bus: Bus, place: Place) -> None:
    one = await subscribe(bus, "*")
    two = Taker(await place.connect())
    await publish(bus, *["doc.created"] * 4)
    seqs = [(await taker.take()).seq for taker in (one, two, one, two)]
    assert sorted(seqs) == [1, 2, 3, 4]


async def test_subscriptions_do_not_share_with_each_other(bus: Bus) -> None:
    mails, audit = await subscribe(bus, "*"), await subscribe(bus, "*", name="audit")
    await publish(bus, "doc.created")
    assert (await mails.take()).seq == (await audit.take()).seq == 1


async def test_what_is_given_back_comes_again_counted(bus: Bus, place: Place) -> None:
    taker = await subscribe(bus, "*")
    await publish(bus, "doc.created")
    (await taker.take()).nak()
    again = await taker.take()
    assert (again.seq, again.attempt) == (1, 2)
    begin = bus.link.now()
    again.nak(2.0)
    coming = asyncio.ensure_future(note_time(bus, taker))
    await place.pass_time(2.0)
    third, time = await soon(coming)
    assert (third.seq, third.attempt, third.data) == (1, 3, b'{"n":1}')
    assert time - begin >= 2_000_000, "not before its rest is over"


async def test_what_waits_for_its_next_attempt_is_counted_as_in_hand(bus: Bus) -> None:
    taker = await subscribe(bus, "*")
    await publish(bus, "doc.created")
    (await taker.take()).nak(60)
    assert await find(bus) == (0, 1)


async def test_a_subscription_that_is_not_there_is_missed_until_it_is(bus: Bus) -> None:
    taker = Taker(bus)
    coming = asyncio.ensure_future(taker.take())
    await eventually(lambda: taker.missing)
    await publish(bus, "doc.created")
    await bus.subscriptions.apply("mails", patterns=patterns("*"))
    assert (await soon(coming)).seq == 1


async def test_patterns_can_be_changed_and_the_place_is_kept(bus: Bus) -> None:
    await publish(bus, "doc.created", "order.placed", "doc.created")
    taker = await subscribe(bus, "doc.*")
    (await taker.take()).ack()
    await bus.subscriptions.apply("mails", patterns=patterns("order.*", "doc.*"))
    await publish(bus, "order.placed")
    seqs = [(await taker.take()).seq for _ in range(2)]
    assert seqs in ([3, 4], [2, 3]), "what it had passed over may count as seen"
    [info] = await bus.subscriptions.all()
    assert info.patterns == ("order.*", "doc.*")


async def test_a_subscription_is_made_once_however_often_it_is_applied(bus: Bus, place: Place) -> None:
    other = await place.connect()
    await asyncio.gather(
        *(one.subscriptions.apply("mails", patterns=patterns("doc.*")) for one in (bus, other) for _ in range(4))
    )
    assert [info.name for info in await bus.subscriptions.all()] == ["mails"]


async def test_a_removed_subscription_is_gone_with_its_dead_letters(bus: Bus) -> None:
    await subscribe(bus, "*")
    await subscribe(bus, "*", name="audit")
    for name in ("mails", "audit"):
        await bus.subscriptions.bury(name, 1, b"{}")
    await dead_are(bus, ("mails", 1, b"{}"), ("audit", 1, b"{}"))
    await bus.subscriptions.remove("mails")
    await bus.subscriptions.remove("mails")
    assert [info.name for info in await bus.subscriptions.all()] == ["audit"]
    await dead_are(bus, ("audit", 1, b"{}"))


async def test_the_last_dead_letter_of_an_event_counts_and_they_are_read_oldest_first(bus: Bus) -> None:
    await publish(bus, "doc.created")
    await bus.subscriptions.bury("mails", 7, b"seven")
    await bus.subscriptions.bury("audit", 5, b"five")
    await bus.subscriptions.bury("mails", 7, b"again")
    await bus.subscriptions.bury("mails", 3, b"three")
    await dead_are(bus, ("audit", 5, b"five"), ("mails", 7, b"again"), ("mails", 3, b"three"))
    await dead_are(bus, ("mails", 7, b"again"), ("mails", 3, b"three"), name="mails")
    assert len(await bus.subscriptions.dead(limit=1)) == 1
    assert abs((await bus.subscriptions.dead())[0].time - bus.link.now()) < 60_000_000


async def test_dead_letters_are_no_events(bus: Bus) -> None:
    taker = await subscribe(bus, "*")
    await bus.subscriptions.bury("mails", 1, b"dead")
    await publish(bus, "doc.created")
    assert (await taker.take()).data != b"dead"
    assert [event.type for event in await follow(bus, 1)] == ["doc.created"]


async def test_a_dead_letter_is_handed_out_once_more_from_its_first_attempt(bus: Bus) -> None:
    await publish(bus, "doc.created", "doc.created")
    mails, audit = await subscribe(bus, "doc.*"), await subscribe(bus, "doc.*", name="audit")
    for taker in (mails, audit):
        for _ in range(2):
            (await taker.take()).ack()
    await bus.subscriptions.bury("mails", 2, b"dead")
    await bus.subscriptions.resolve("mails", 2, again=b'{"n":2}')
    again = await mails.take()
    assert (again.seq, again.attempt, again.data) == (2, 1, b'{"n":2}')
    await dead_are(bus)
    await publish(bus, "doc.changed")
    assert (await audit.take()).data != b'{"n":2}', "the others do not get it again"


async def test_a_dead_letter_can_be_given_up(bus: Bus) -> None:
    await bus.subscriptions.bury("mails", 2, b"dead")
    await bus.subscriptions.resolve("mails", 2, again=None)
    await dead_are(bus)
    with pytest.raises(NotFoundError):
        await bus.subscriptions.resolve("mails", 2, again=None)


@pytest.mark.parametrize("name", ["", "Mails", "a.b", "a*", "x" * 59])
async def test_a_name_that_could_be_a_subject_is_refused(bus: Bus, name: str) -> None:
    with pytest.raises(InvalidNameError):
        await bus.subscriptions.apply(name, patterns=patterns("*"))
    with pytest.raises(InvalidNameError):
        await bus.subscriptions.bury(name, 1, b"")


async def test_without_a_namespace_nothing_can_be_subscribed_to(raw_bus: Bus) -> None:
    with pytest.raises(NotFoundError):
        await raw_bus.subscriptions.apply("mails", patterns=patterns("*"))


async def test_namespaces_are_apart(bus: Bus, place: Place) -> None:
    other = await place.connect(namespace=f"{place.namespace}-2")
    await other.admin.apply_namespace(replicas=place.replicas)
    taker, stranger = await subscribe(bus, "*"), await subscribe(other, "*")
    await publish(bus, "doc.created")
    await bus.subscriptions.bury("mails", 1, b"dead")
    assert (await taker.take()).seq == 1
    stranger.pull.want(1)
    assert await other.subscriptions.dead() == []
    assert await find(other) == (0, 0)
    assert not stranger.has_any


# --- following by pattern and from a time


async def follow(bus: Bus, count: int, *, start: int = 1, pattern: str | None = None) -> list[EventMessage]:
    found: list[EventMessage] = []
    lists = bus.events.follow(start=start, pattern=None if pattern is None else EventPattern(pattern))
    async with asyncio.timeout(60), aclosing(lists):  # type: ignore[type-var]  # every adapter's is a generator
        async for events in lists:
            found += events
            if len(found) >= count:
                break
    return found


@pytest.mark.parametrize(
    ("pattern", "seqs"), [("doc.created", [1]), ("doc.*", [1, 3, 5]), ("*", [1, 2, 3, 4, 5]), (None, [1, 2, 3, 4, 5])]
)
async def test_events_are_followed_by_pattern(bus: Bus, pattern: str | None, seqs: list[int]) -> None:
    await publish(bus, "doc.created", "order.placed", "doc.page.created", "docs.created", "doc.changed")
    assert [event.seq for event in await follow(bus, len(seqs), pattern=pattern)] == seqs


async def test_a_pattern_is_followed_live_past_what_it_does_not_want(bus: Bus, place: Place) -> None:
    coming = asyncio.ensure_future(follow(bus, 2, pattern="doc.*"))
    other = await place.connect()
    await publish(other, "order.placed", "doc.created", "order.placed", "doc.changed")
    assert [event.seq for event in await soon(coming)] == [2, 4]


async def test_a_time_is_found_as_a_sequence(bus: Bus, place: Place) -> None:
    assert await bus.events.seq_at(bus.link.now() - 60_000_000) == 1
    await publish(bus, "doc.created", "doc.created")
    await place.pass_time(0.05)
    await publish(bus, "doc.created")
    _, second, third = await follow(bus, 3)
    between = (second.time + third.time) // 2

    async def found() -> bool:
        """Any replica may answer, one that lags as well."""
        return [await bus.events.seq_at(time) for time in (between - 3_600_000_000, between)] == [1, 3]

    await eventually(found)
    assert await bus.events.seq_at(bus.link.now() + 60_000_000) == 4
