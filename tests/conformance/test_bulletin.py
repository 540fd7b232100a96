"""Publishing, subscribing and reading again, by the client and by a worker: the same on every adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conformance.place import MemoryPlace, Place
from jetmill import BaseEvent, Event, NonRetryable, Registry, RetryAfter, RetryPolicy, Worker, job, on, on_event
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.errors import InputError, InvalidNameError, NotFoundError, PayloadTooLargeError
from support.wait import eventually, soon

pytestmark = pytest.mark.conformance
AT_ONCE = RetryPolicy(max_retries=3, initial_delay_seconds=0)


class OrderPlaced(BaseEvent, type="order.placed", subject="order"):
    order: int
    amount: float = 0.0


class Heard:
    """A handler that keeps what it gets, and fails as often as it is told to."""

    def __init__(self, *, failures: int = 0, error: Callable[[], Exception] = lambda: ValueError("no")) -> None:
        self.events: list[Event] = []
        self._failures = failures
        self._error = error

    async def __call__(self, event: Event) -> None:
        self.events.append(event)
        if len(self.events) <= self._failures:
            raise self._error()

    @property
    def numbers(self) -> list[Any]:
        return [event.data["n"] for event in self.events]

    async def wait(self, count: int) -> list[Event]:
        await eventually(lambda: len(self.events) >= count, what=f"{count} events")
        return self.events


@pytest.fixture
async def client(bus: Bus) -> Client:
    client = Client(bus=bus, registry=Registry())
    await client.connect()
    return client


async def publish(client: Client, count: int, event_type: str = "doc.created", *, first: int = 1) -> list[str]:
    return [await client.publish(event_type, {"n": number}) for number in range(first, first + count)]


async def test_what_is_published_is_heard_as_it_was(client: Client) -> None:
    heard = Heard()
    async with await client.subscribe("doc.*", heard):
        event_id = await client.publish("doc.created", {"n": 1}, subject="T-1", user="ada", extensions={"tenant": "a"})
        await client.publish("order.placed", {"n": 2})
        await client.publish("doc.changed", {"n": 3})
        event, later = await heard.wait(2)
    assert (event.id, event.type, event.subject, event.user, event.data, event.extensions) == (
        event_id,
        "doc.created",
        "T-1",
        "ada",
        {"n": 1},
        {"tenant": "a"},
    )
    assert event.time is not None
    assert abs(event.time - datetime.now(UTC)) < timedelta(minutes=1)
    assert later.type == "doc.changed"


async def test_the_same_id_again_is_heard_once(client: Client) -> None:
    heard = Heard()
    async with await client.subscribe("*", heard):
        for number in (1, 2):
            await client.publish("doc.created", {"n": number}, id="once")
        await client.publish("doc.created", {"n": 3})
        await heard.wait(2)
    assert heard.numbers == [1, 3]


async def test_a_live_subscription_hears_what_comes_from_now_on_in_order(client: Client) -> None:
    await publish(client, 3)
    heard = Heard(failures=1)
    async with await client.subscribe("*", heard, retry=AT_ONCE):
        await publish(client, 20, first=4)
        await heard.wait(21)
    assert heard.numbers == [4, *range(4, 24)], "one that failed is tried again before the next"


async def find_between(client: Client, first: int, second: int) -> datetime:
    """A time between two events, by the clock of who stored them."""
    bus = await client.connect()
    times: dict[int, int] = {}
    async with asyncio.timeout(60), aclosing(bus.events.follow()) as lists:  # type: ignore[type-var]
        async for events in lists:
            times |= {event.seq: event.time for event in events}
            if second in times:
                break
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=(times[first] + times[second]) // 2)


async def test_it_begins_where_one_wants(client: Client, place: Place) -> None:
    await publish(client, 2)
    await place.pass_time(0.05)
    await publish(client, 2, first=3)
    between = await find_between(client, 2, 3)
    starts: list[tuple[Any, list[int]]] = [("all", [1, 2, 3, 4]), (2, [2, 3, 4]), ("2", [2, 3, 4]), (between, [3, 4])]
    for start, wanted in [*starts, (between.isoformat(), [3, 4]), (timedelta(hours=1), [1, 2, 3, 4])]:
        heard = Heard()
        async with await client.subscribe("*", heard, start=start):
            await heard.wait(len(wanted))
        assert heard.numbers == wanted, start


@pytest.mark.parametrize("start", [0, -1, "yesterday", "2026-01-01T00:00:00"])
async def test_a_start_that_means_nothing_is_refused(client: Client, start: Any) -> None:
    with pytest.raises(InputError):
        await client.subscribe("*", Heard(), start=start)


async def test_what_can_be_no_event_is_refused_before_it_is_sent(client: Client) -> None:
    with pytest.raises(InvalidNameError):
        await client.publish("doc.*", {})
    with pytest.raises(PayloadTooLargeError):
        await client.publish("doc.created", "x" * 300_000)
    with pytest.raises(InputError):
        await client.publish("doc.created", {"n": float("nan")})
    assert await (await client.connect()).events.last_seq() == 0


async def test_a_durable_subscription_goes_on_where_it_was(client: Client, place: Place) -> None:
    first = Heard()
    async with await client.subscribe("doc.*", first, durable="mails", start="all"):
        await publish(client, 2)
        await first.wait(2)
    await publish(client, 2, first=3)
    other = Client(bus=await place.connect(), registry=Registry())
    second = Heard()
    async with await other.subscribe("doc.*", second, durable="mails", start="all"):
        await second.wait(2)
    assert second.numbers == [3, 4]


async def test_those_who_share_a_name_share_its_events(client: Client, place: Place) -> None:
    other = Client(bus=await place.connect(), registry=Registry())
    one, two = Heard(), Heard()
    async with (
        await client.subscribe("*", one, durable="mails", start="all", concurrency=4),
        await other.subscribe("*", two, durable="mails", start="all", concurrency=4),
    ):
        count = 0
        async with asyncio.timeout(60):
            while not (one.events and two.events):
                await publish(client, 10, first=count + 1)
                count += 10
        await eventually(lambda: len(one.events) + len(two.events) >= count, seconds=180)
    assert sorted(one.numbers + two.numbers) == list(range(1, count + 1))


async def test_what_fails_is_tried_again_and_the_others_do_not_wait(client: Client) -> None:
    heard = Heard(failures=2)
    async with await client.subscribe("*", heard, durable="mails", start="all", retry=AT_ONCE) as subscription:
        await publish(client, 1)
        await heard.wait(3)
        await eventually(lambda: subscription.handled == 1)
    assert heard.numbers == [1, 1, 1]
    assert await client.events.dead() == []


async def nothing_is_dead(client: Client) -> None:
    """Wait until no list has dead letters; one may come from a replica that lags."""

    async def same() -> bool:
        return await client.events.dead() == []

    await eventually(same, what="no dead letters")


async def test_what_fails_for_good_is_a_dead_letter_that_can_be_tried_again(client: Client) -> None:
    heard = Heard(failures=2)
    retry = RetryPolicy(max_retries=1, initial_delay_seconds=0)
    async with await client.subscribe("*", heard, durable="mails", start="all", retry=retry):
        await publish(client, 1)

        async def is_dead() -> Any:
            return await client.events.dead("mails")

        [dead] = await eventually(is_dead)
        assert (dead.subscription, dead.seq, dead.attempts) == ("mails", 1, 2)
        assert dead.error.type == "ValueError"
        assert dead.event is not None
        assert dead.event["data"] == {"n": 1}
        await deal_with("mails", client.events.retry)
        await heard.wait(3)
    await nothing_is_dead(client)
    with pytest.raises(NotFoundError):
        await client.events.retry("mails", 1)


async def deal_with(name: str, how: Callable[[str, int], Awaitable[None]]) -> None:
    """Do it to the dead letter of the first event, once it is there: a list may still show the one before."""

    async def done() -> bool:
        try:
            await how(name, 1)
        except NotFoundError:
            return False
        return True

    await eventually(done, what="a dead letter")


async def test_a_dead_letter_that_fails_again_is_one_again(client: Client) -> None:
    heard = Heard(failures=9)
    async with await client.subscribe("*", heard, durable="mails", start="all", retry=0):
        await publish(client, 1)
        for attempt in (1, 2, 3):
            await heard.wait(attempt)
            [dead] = await eventually(client.events.dead)
            assert dead.seq == 1
            assert len(heard.events) == attempt
            await deal_with("mails", client.events.retry if attempt < 3 else client.events.discard)
    await nothing_is_dead(client)


async def test_what_is_useless_is_not_tried_again(client: Client) -> None:
    heard = Heard(failures=9, error=lambda: NonRetryable("never"))
    async with await client.subscribe("*", heard, durable="mails", start="all", retry=9):
        await publish(client, 1)
        [dead] = await eventually(client.events.dead)
    assert dead.attempts == 1
    assert len(heard.events) == 1


async def test_a_handler_may_say_when(client: Client, place: Place) -> None:
    bus = await client.connect()
    times: list[int] = []

    async def hear(event: Event) -> None:
        times.append(bus.link.now())
        if len(times) == 1:
            raise RetryAfter(0.3)

    async with await client.subscribe("*", hear, durable="mails", start="all", retry=9):
        await publish(client, 1)
        await eventually(lambda: len(times) == 1)
        await place.pass_time(0.5)
        await eventually(lambda: len(times) == 2)
    assert times[1] - times[0] >= 300_000


async def test_what_is_no_event_is_a_dead_letter_at_once(client: Client) -> None:
    heard = Heard()
    bus = await client.connect()
    async with await client.subscribe("*", heard, durable="mails", start="all"):
        await bus.events.publish("doc.created", b"\xff no json", event_id="bad")
        await publish(client, 1)
        [dead] = await eventually(client.events.dead)
        await heard.wait(1)
    assert dead.event is None
    assert dead.error.type.endswith("CodecError")


async def test_a_handler_that_runs_while_it_is_stopped_ends_or_gives_back(client: Client, place: Place) -> None:
    begun = asyncio.Event()

    async def stuck(event: Event) -> None:
        begun.set()
        await asyncio.Event().wait()

    subscription = await client.subscribe("*", stuck, durable="mails", start="all")
    await publish(client, 1)
    await soon(begun.wait())
    await subscription.stop(grace_seconds=0.05)
    heard = Heard()
    async with await client.subscribe("*", heard, durable="mails"):
        await heard.wait(1)


async def test_a_subscription_that_was_removed_is_made_again_behind_what_was_seen(client: Client) -> None:
    heard = Heard()
    async with await client.subscribe("*", heard, durable="mails", start="all"):
        await publish(client, 2)
        await heard.wait(2)
        await client.events.unsubscribe("mails")
        await publish(client, 2, first=3)
        await eventually(lambda: set(heard.numbers) >= {3, 4})
    assert sorted(set(heard.numbers)) == [1, 2, 3, 4], "at least once: a server may bring back what it forgot to forget"


async def test_subscriptions_are_listed_with_how_far_they_are(client: Client) -> None:
    bus = await client.connect()
    async with await client.subscribe(["doc.*", OrderPlaced], Heard(), durable="mails", start="all"):
        pass
    await publish(client, 3)

    async def all_wait() -> bool:
        [info] = await client.events.subscriptions()
        assert (info.name, info.patterns) == ("mails", ("doc.*", "order.placed"))
        return (info.waiting, info.in_hand) == (3, 0)

    await eventually(all_wait)  # in a cluster the consumer's leader hears of the events after the publisher
    assert bus.link.connected


async def test_classes_are_published_and_handled_as_they_are(client: Client) -> None:
    got: list[OrderPlaced] = []

    def take(event: OrderPlaced) -> None:
        got.append(event)

    async with await client.subscribe(OrderPlaced, take, durable="orders", start="all", retry=AT_ONCE):
        placed = OrderPlaced(order=7, amount=12.5, user="ada")
        await client.publish(placed)
        await client.publish("order.placed", {"colour": "red"})
        await eventually(client.events.dead)
        await eventually(lambda: got)  # in a thread
    assert got == [placed]


async def reads(client: Client, wanted: list[int], *args: Any, **options: Any) -> None:
    """Wait until that is read; any replica may answer, one that lags as well."""

    async def same() -> bool:
        return [event.data["n"] async for event in client.events.read(*args, **options)] == wanted

    await eventually(same, what=f"{args} {options} to be read")


async def test_events_are_read_again(client: Client, place: Place) -> None:
    await publish(client, 2)
    await place.pass_time(0.05)
    await publish(client, 2, "order.placed", first=3)
    await publish(client, 600, "order.paid", first=5)
    between = await find_between(client, 2, 3)
    await reads(client, list(range(1, 605)))
    await reads(client, [1, 2], "doc.*")
    await reads(client, [1, 2, 3, 4], ["doc.created", "order.placed"])
    await reads(client, [2, 3], start=2, until=3)
    await reads(client, [1, 2], until=between)
    await reads(client, [3, 4], "order.placed", start=between)
    await reads(client, [], start=9999)


# --- handlers that a worker runs


@asynccontextmanager
async def working(place: Place, registry: Registry) -> AsyncIterator[Worker]:
    bus = await place.connect()
    for name in registry.names():
        handler = registry.get(name)
        assert handler is not None
        await bus.admin.apply_job(handler.settings(), replicas=place.replicas)
    async with Worker(registry=registry, bus=bus, health_port=None, url=place.url, namespace=place.namespace) as worker:
        yield worker


async def test_a_worker_hands_events_to_what_was_declared(client: Client, place: Place) -> None:
    registry, heard = Registry(), Heard(failures=1)

    @on("doc.*", name="mails", retry=AT_ONCE, registry=registry)
    async def tell(event: Event) -> None:
        await heard(event)

    await publish(client, 2)
    async with working(place, registry):
        await heard.wait(3)
        await publish(client, 1, first=3)
        await heard.wait(4)
    assert sorted(set(heard.numbers)) == [1, 2, 3]


async def test_an_event_enqueues_a_job_once(client: Client, place: Place) -> None:
    registry = Registry()
    shipped: list[int] = []

    @on_event(OrderPlaced, when=lambda event: event.data["amount"] > 100, registry=registry)
    @job("ship", registry=registry)
    async def ship(event: OrderPlaced) -> int:
        shipped.append(event.order)
        return event.order

    async with working(place, registry):
        await client.publish(OrderPlaced(order=1, amount=500), id="e1")
        await client.publish(OrderPlaced(order=2, amount=50), id="e2")
        if isinstance(place, MemoryPlace):
            await place.pass_time(121)  # the bus has forgotten the id: it stores the event again
            await client.publish(OrderPlaced(order=1, amount=500), id="e1")
        await client.publish(OrderPlaced(order=3, amount=101), id="e3")
        await eventually(lambda: {1, 3} <= set(shipped))  # in whichever order
    assert sorted(shipped) == [1, 3]
    assert len(await client.list(job="ship")) == 2
