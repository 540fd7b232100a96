"""Event classes, handlers of events, and the hooks of a repository: all that needs no bus."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from jetmill import (
    BaseEvent,
    DocCreated,
    DocumentEvents,
    DocUpdated,
    Event,
    Registry,
    RetryPolicy,
    job,
    on,
    on_event,
)
from jetmill.client.desk import make_event
from jetmill.client.handling import bind_handler, make_trigger_id, read_patterns
from jetmill.errors import ConfigError, InputError, InvalidNameError, InvalidPayloadError
from jetmill.protocol.event import decode_event, encode_event

NOON = 1_780_000_000_000_000


class OrderPlaced(BaseEvent, type="order.placed", subject="order"):
    order: int
    amount: float = 0.0


class Nameless(BaseEvent):
    n: int = 0


def make(event: Any, data: Any = None, **attributes: Any) -> Event:
    return make_event(event, data, attributes, namespace="shop", now=NOON)  # type: ignore[arg-type]


def test_a_class_becomes_an_event_and_is_made_of_one_again() -> None:
    placed = OrderPlaced(order=7, amount=12.5, user="ada")
    event = decode_event(encode_event(make(placed)))
    assert (event.type, event.subject, event.user, event.data) == (
        "order.placed",
        "7",
        "ada",
        {"order": 7, "amount": 12.5},
    )
    assert OrderPlaced.from_event(event) == placed


def test_fields_that_a_class_does_not_know_are_passed_over_and_missing_ones_named() -> None:
    newer = Event(id="1", type="order.placed", source="/shop", data={"order": 7, "colour": "red"})
    assert OrderPlaced.from_event(newer).order == 7
    with pytest.raises(InvalidPayloadError, match="order: Field required"):
        OrderPlaced.from_event(Event(id="1", type="order.placed", source="/shop", data=None))


def test_a_job_that_was_triggered_can_take_the_class() -> None:
    registry = Registry()

    @job("ship", registry=registry)
    async def ship(event: OrderPlaced) -> int:
        return event.order

    event = make(OrderPlaced(order=7))
    decoded = ship.binding.decode(msgspec.json.encode({"event": event.document}))
    assert decoded["event"].order == 7
    assert decoded["event"].timestamp == event.time


def test_a_class_that_cannot_be_an_event_is_found_out_where_it_is_written() -> None:
    with pytest.raises(InvalidNameError):
        type("Bad", (BaseEvent,), {}, type="Order Placed")
    with pytest.raises(ConfigError, match="no field 'order'"):
        type("Bad", (BaseEvent,), {}, type="order.placed", subject="order")
    with pytest.raises(ConfigError, match="Nameless has no type"):
        read_patterns(Nameless)


def test_what_is_given_outranks_the_class() -> None:
    event = make(OrderPlaced(order=7), id="mine", subject="x", source="/till/3", extensions={"tenant": "a"})
    assert (event.id, event.subject, event.source, event.extensions) == ("mine", "x", "/till/3", {"tenant": "a"})
    with pytest.raises(InputError, match="has its own"):
        make(OrderPlaced(order=7), {"order": 8})
    with pytest.raises(InputError, match="is no event"):
        make(7)


def test_ids_differ_and_grow() -> None:
    ids = [make("order.placed").id for _ in range(100)]
    assert len(set(ids)) == 100


async def test_a_handler_gets_what_its_parameter_says() -> None:
    got: list[Any] = []

    async def typed(event: OrderPlaced) -> None:
        got.append(event.order)

    def plain(event: Event) -> None:
        got.append(event.type)

    def whole(document: dict[str, Any]) -> None:
        got.append(document["specversion"])

    def bare(event) -> None:
        got.append(event.data)

    event = make(OrderPlaced(order=7))
    for handler in (typed, plain, whole, bare):
        await bind_handler(handler)(event)
    assert got == [7, "order.placed", "1.0", {"order": 7, "amount": 0.0}]


def test_a_handler_of_two_things_is_refused_where_it_is_declared() -> None:
    with pytest.raises(ConfigError, match="one parameter"):

        @on("doc.*", registry=Registry())
        def two(event: Event, other: int) -> None: ...


def test_handlers_are_kept_by_the_name_of_their_subscription() -> None:
    registry = Registry()

    @on("doc.*", name="mails", retry=5, concurrency=2, registry=registry)
    def tell(event: Event) -> None: ...

    @on([OrderPlaced, "doc.created"], registry=registry)
    def count(event: Event) -> None: ...

    two, one = registry.event_handlers()
    assert (one.name, one.retry.max_retries, one.concurrency) == ("mails", 5, 2)
    assert two.name.endswith("count")
    assert len(two.name) <= 58
    assert [pattern.text for pattern in two.patterns] == ["order.placed", "doc.created"]
    with pytest.raises(ConfigError, match="declared twice"):
        on("doc.*", name="mails", registry=registry)(lambda event: None)


@pytest.mark.parametrize("pattern", ["doc.>", "", ">", "doc.**"])
def test_a_pattern_that_is_none_is_refused_where_it_is_declared(pattern: str) -> None:
    with pytest.raises(InvalidNameError):
        on(pattern, registry=Registry())(lambda event: None)


def test_on_event_leaves_the_job_what_it_was() -> None:
    registry = Registry()

    @on_event(OrderPlaced, registry=registry)
    @job("ship", registry=registry)
    async def ship(event: OrderPlaced) -> None: ...

    assert registry.get("ship") is ship
    [declared] = registry.event_handlers()
    assert declared.name == "trigger-ship"
    assert declared.job is ship


def test_an_event_enqueues_one_job_of_a_job() -> None:
    event = make("order.placed", id="e1")
    assert make_trigger_id("ship", event) == make_trigger_id("ship", make("order.placed", {"n": 2}, id="e1"))
    others = {
        make_trigger_id("bill", event),
        make_trigger_id("ship", make("order.placed", id="e2")),
        make_trigger_id("ship", make("order.placed", id="e1", source="/other")),
    }
    assert len(others | {make_trigger_id("ship", event)}) == 4


class Desk:
    def __init__(self) -> None:
        self.published: list[tuple[BaseEvent, str | None]] = []

    async def publish(self, event: BaseEvent, /, *, id: str | None = None) -> str:  # noqa: A002 - the port's name
        self.published.append((event, id))
        return id or "made"


async def test_a_repository_tells_what_it_did() -> None:
    desk = Desk()
    hooks = DocumentEvents("Todo", desk)
    await hooks.after_insert("T-1", values={"title": "milk"}, user="ada")
    await hooks.after_update("T-1", before={"title": "milk", "done": False}, values={"title": "milk", "done": True})
    await hooks.after_submit("T-1")
    await hooks.after_cancel("T-1")
    await hooks.after_delete("T-1")
    events = [event for event, _ in desk.published]
    assert [event.type for event in events] == [
        "doc.created",
        "doc.updated",
        "doc.submitted",
        "doc.cancelled",
        "doc.deleted",
    ]
    created, updated, *_ = events
    assert isinstance(created, DocCreated)
    assert (created.doctype, created.subject, created.user) == ("Todo", "T-1", "ada")
    assert isinstance(updated, DocUpdated)
    assert updated.changed == ["done"]


async def test_a_hook_that_runs_twice_for_a_version_tells_one_event() -> None:
    desk = Desk()
    hooks = DocumentEvents("Todo", desk)
    for version in ("1", "1", "2"):
        await hooks.after_update("T-1", version=version)
    one, again, other = (event_id for _, event_id in desk.published)
    assert one == again != other
    await hooks.after_delete("T-1")
    assert desk.published[-1][1] is None


def test_a_policy_is_taken_as_it_is() -> None:
    registry = Registry()
    on("doc.*", name="a", retry=RetryPolicy(max_retries=9), registry=registry)(lambda event: None)
    assert registry.event_handlers()[0].retry.max_retries == 9


def test_times_of_classes_have_a_zone() -> None:
    assert OrderPlaced(order=1).timestamp.tzinfo is not None
    assert make(OrderPlaced(order=1, timestamp=datetime(2026, 1, 1, tzinfo=UTC))).time == datetime(
        2026, 1, 1, tzinfo=UTC
    )
