"""Both clients again: what they publish, hear, and read of events."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conformance.field import AnyClient, Field
from jetmill.client.client import Client
from jetmill.client.desk import DeadEvent
from jetmill.client.event import BaseEvent
from jetmill.errors import (
    InputError,
    InvalidNameError,
    NotFoundError,
)
from jetmill.protocol.event import Event, encode_event
from jetmill.protocol.retry import RetryPolicy
from support.wait import eventually

pytestmark = [pytest.mark.conformance, pytest.mark.integration]


async def test_events_are_published_alike_by_type_by_class_and_whole(client: AnyClient, field: Field) -> None:
    class Placed(BaseEvent, type="order.placed", subject="order"):
        order: int

    given = datetime(2030, 1, 1, tzinfo=UTC)
    ids = [
        await client.publish("order.paid", {"n": 1}, id="e-1", subject="7", extensions={"tenant": "a"}),
        await client.publish(Placed(order=7)),
        await client.publish(Event(id="e-3", type="order.sent", source="/shop", time=given)),
    ]
    assert await client.publish("order.paid", {"n": 1}, id="e-1", subject="7") == "e-1", "the same again is one"
    found = [one async for one in Client(bus=field.bus).events.read("order.*")]
    assert [one.id for one in found] == ids
    assert [one.type for one in found] == ["order.paid", "order.placed", "order.sent"]
    assert [one.source for one in found] == [f"/jetmill/{field.namespace}"] * 2 + ["/shop"]
    assert (found[0].data, found[0].subject, found[0].extensions) == ({"n": 1}, "7", {"tenant": "a"})
    assert (found[1].data, found[1].subject, found[2].time) == ({"order": 7}, "7", given)
    for bad in ("Order", "a..b"):
        with pytest.raises((InputError, InvalidNameError)):
            await client.publish(bad)
    with pytest.raises(InputError):
        await client.publish("order.paid", "x" * 300_000)


async def test_events_are_handed_to_a_function_in_order_from_where_it_says(client: AnyClient) -> None:
    before = datetime.now(UTC) - timedelta(minutes=5)
    heard: dict[str, list[Any]] = {"new": [], "all": [], "two": [], "time": []}
    await client.publish("doc.made", 1)
    subscriptions = [
        await client.subscribe("doc.*", lambda event: heard["new"].append(event.data)),
        await client.subscribe("*", lambda event: heard["all"].append((event.type, event.data)), start="all"),
        await client.subscribe(
            ["doc.made", "order.*"], lambda event: heard["two"].append(event.data), start=timedelta(minutes=5)
        ),
        await client.subscribe("doc.made", lambda event: heard["time"].append(event.data), start=before),
    ]
    for number, kind in enumerate(["doc.made", "order.made", "doc.gone"], start=2):
        await client.publish(kind, number)
    everything = [("doc.made", 1), ("doc.made", 2), ("order.made", 3), ("doc.gone", 4)]
    wanted = {"new": [2, 4], "all": everything, "two": [1, 2, 3], "time": [1, 2]}
    await eventually(lambda: heard == wanted)
    await eventually(lambda: [one.handled for one in subscriptions] == [2, 4, 3, 2])
    for subscription in subscriptions:
        await subscription.stop()


async def test_an_event_that_a_function_cannot_take_is_handed_out_again(client: AnyClient) -> None:
    tried: list[int] = []

    def take(event: Event) -> None:
        tried.append(event.data)
        if tried.count(event.data) < 2:
            raise ValueError("not yet")

    policy = RetryPolicy(max_retries=2, initial_delay_seconds=0.01, jitter=False)
    async with await client.subscribe("doc.made", take, retry=policy) as subscription:
        await client.publish("doc.made", 1)
        await client.publish("doc.made", 2)
        await eventually(lambda: tried == [1, 1, 2, 2])
    assert subscription.failed == 2


async def test_events_are_read_again_from_and_until_where_one_says(client: AnyClient, field: Field) -> None:
    before = datetime.now(UTC) - timedelta(minutes=5)
    for number in range(450):
        event = Event(id=f"{number}", type="doc.made" if number % 3 else "order.made", source="/shop", data=number)
        await field.bus.events.publish(event.type, encode_event(event), event_id=event.id)
    await field.bus.events.publish("doc.made", b"no event at all", event_id="none")

    async def read(pattern: Any = "*", **bounds: Any) -> list[Any]:
        async with aclosing(client.events.read(pattern, **bounds)) as events:
            return [event.data async for event in events]

    assert await read() == list(range(450))
    assert await read("order.*") == list(range(0, 450, 3))
    assert await read(["doc.made", "order.made"], start=11, until=13) == [10, 11, 12]
    assert await read("doc.*", start=before, until=before) == []
    assert await read(start=before, until=datetime.now(UTC) + timedelta(minutes=5)) == list(range(450))
    assert await read("doc.*", start=449) == [448, 449]
    assert await read("nothing.*") == await read(start=10_000) == []
    with pytest.raises(InputError):
        await read(start=0)
    with pytest.raises(InvalidNameError):
        await read("No Type")


async def test_events_are_followed_from_where_one_says(client: AnyClient) -> None:
    for number in range(3):
        await client.publish("doc.made", number)
    heard: list[Any] = []
    async with aclosing(client.events.follow("doc.*", start=2)) as events:
        async for event in events:
            heard.append(event.data)
            if event.data == 2:
                await client.publish("order.made", "not asked for")
                await client.publish("doc.made", 3)
            if event.data == 3:
                break
    assert heard == [1, 2, 3]


async def test_events_that_a_subscription_gave_up_are_looked_after(client: AnyClient, field: Field) -> None:
    tried: list[int] = []

    def fail(event: Event) -> None:
        tried.append(event.data)
        raise ValueError("no such thing")

    async def find_dead() -> list[DeadEvent]:
        return await client.events.dead("mails")

    over_nats = Client(bus=field.bus)
    async with await over_nats.subscribe("doc.*", fail, durable="mails", start="all", retry=0):
        await client.publish("doc.made", 7)
        [dead] = await eventually(find_dead)
        assert (dead.subscription, dead.attempts, dead.error.type) == ("mails", 1, "ValueError")
        assert (dead.event or {})["data"] == 7
        [info] = await client.events.subscriptions()
        assert (info.name, info.patterns, info.waiting) == ("mails", ("doc.*",), 0)
        await client.events.retry("mails", dead.seq)
        await eventually(lambda: tried == [7, 7])
        await eventually(find_dead)
    assert await client.events.dead() == await find_dead()
    await client.events.discard("mails", dead.seq)
    assert await find_dead() == []
    for resolve in (client.events.discard, client.events.retry):
        with pytest.raises(NotFoundError):
            await resolve("mails", dead.seq)
    await client.events.unsubscribe("mails")
    assert await client.events.subscriptions() == []
    await client.events.unsubscribe("mails")
