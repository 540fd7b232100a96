"""A Webhook that is sent nothing more is told of: once for each time, before it is noted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from factories import make_settings
from jetmill.bus.memory import MemoryWorld
from jetmill.bus.ports import Bus
from jetmill.protocol.event import decode_event
from jetmill.protocol.record import WebhookSettings
from jetmill_operator.dispatch.desk import add_to_note
from jetmill_operator.dispatch.hook import Hook
from jetmill_operator.policy.endpoint import Seen


@pytest.fixture
def world() -> MemoryWorld:
    return MemoryWorld("shop")


@pytest.fixture
async def bus(world: MemoryWorld) -> AsyncIterator[Bus]:
    bus = world.connect()
    await bus.admin.apply_namespace()
    yield bus
    await bus.link.close()


def make_hook(generation: int = 1) -> Hook:
    webhook = WebhookSettings(events=["*"], url="https://hooks.example.com")
    settings = make_settings("wh--orders", uid="u-1", generation=generation, webhook=webhook)
    return Hook(settings, webhook, lambda: None)  # type: ignore[arg-type, return-value]  # nothing is sent


def gone() -> Seen:
    return Seen(failed=1, gone=True)


async def test_it_is_told_once_when_an_endpoint_is_gone_and_again_when_that_happens_again(
    world: MemoryWorld, bus: Bus
) -> None:
    for _ in range(2):
        state = await add_to_note(bus, make_hook(), gone())
        assert state.disabled == "gone"
    await add_to_note(bus, make_hook(2), Seen(failed=1))
    await add_to_note(bus, make_hook(2), gone())
    events = [decode_event(stored.data) for stored in world.events.published]
    assert [(event.type, event.subject, event.data) for event in events] == [
        ("webhook.disabled", "orders", {"webhook": "orders", "reason": "gone"})
    ] * 2
    assert len({event.id for event in events}) == 2
