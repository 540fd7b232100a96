"""The bus on a page: what comes, what is kept, one event whole, and what came while nobody could hear it."""

from __future__ import annotations

from typing import Any

from browser.conftest import Open, Stage
from jetmill.protocol.event import Event
from jetmill_operator.cluster.local import LocalCluster
from support.gateway import NAMESPACE, RunningGateway, serve
from support.nats import find_free_port
from support.wait import eventually


async def test_events_are_searched_by_pattern_and_text_and_followed_as_they_come(
    stage: Stage, local: RunningGateway, window_on: Open
) -> None:
    await stage.client.publish("order.placed", {"customer": "Ada"}, subject="4711")
    await stage.client.publish("order.paid", {"customer": "Grace"}, subject="4712")
    await stage.client.publish("doc.created", {"title": "Ada's notes"})
    async with window_on(local) as window:
        await window.open("events")
        await window.find("[role=row]", "doc.created")
        await window.page.get_by_placeholder("order.*").fill("order.*")
        await window.page.get_by_role("searchbox").fill("ada")
        await window.press("Search")
        await window.page.locator("[role=row]", has_text="order.paid").wait_for(state="detached")
        await window.find("[role=row]", "order.placed")
        await window.reach("events?type=order.*&text=ada")
        await window.count(2, "[role=row]")
        await stage.client.publish("order.placed", {"customer": "ADA again"}, subject="4713")
        await stage.client.publish("order.placed", {"customer": "Linus"}, subject="4714")
        await stage.client.publish("order.shipped", {"customer": "ada"}, subject="4715")
        await window.find("[role=row]", "4715")
        await window.find("[role=row]", "4713")
        await window.count(4, "[role=row]")
        await window.check_access()


async def test_a_pattern_that_is_none_is_not_asked_for(local: RunningGateway, window_on: Open) -> None:
    async with window_on(local) as window:
        await window.open("events")
        field = window.page.get_by_placeholder("order.*")
        await field.fill("order.>")
        await window.find("input[aria-invalid=true]")
        await window.find("button:disabled", "Search")
        await window.check_access()


async def test_what_comes_while_it_is_paused_is_counted_and_shown_when_it_is_wanted(
    stage: Stage, local: RunningGateway, window_on: Open
) -> None:
    await stage.client.publish("order.placed", {}, subject="before")
    async with window_on(local) as window:
        await window.open("events")
        await window.find("[role=row]", "before")
        await window.press("Pause")
        for number in range(3):
            await stage.client.publish("order.placed", {}, subject=f"meanwhile-{number}")
        await window.see("3 events since: show")
        assert await window.page.locator("[role=row]", has_text="meanwhile").count() == 0
        await window.check_access()
        await window.press("3 events since: show")
        await window.find("[role=row]", "meanwhile-2")
        await window.press("Go on")
        await stage.client.publish("order.placed", {}, subject="after")
        await window.find("[role=row]", "after")


async def test_one_event_is_shown_whole_and_its_address_can_be_sent_to_somebody(
    stage: Stage, local: RunningGateway, window_on: Open
) -> None:
    await stage.client.publish("order.placed", {"customer": {"name": "Ada"}}, subject="4711")
    async with window_on(local) as window:
        await window.open("events")
        await window.press("order.placed", role="link")
        await window.find("pre[aria-label=Event]", '"name": "Ada"')
        await window.check_access()
        address = window.page.url
        await window.open()
        await window.find("h1", "Overview")
        await window.page.goto(address)
        await window.find("pre[aria-label=Event]", '"subject": "4711"')
        await window.press("Others of this type", role="link")
        await window.find("[role=row]", "4711")
        await window.reach("events?type=order.placed")


async def test_the_keyboard_walks_the_events_and_opens_one(
    stage: Stage, local: RunningGateway, window_on: Open
) -> None:
    for number in range(3):
        await stage.client.publish("order.placed", {"number": number}, subject=f"order-{number}")
    async with window_on(local) as window:
        await window.open()
        await window.find("h1", "Overview")
        await window.page.keyboard.press("g")
        await window.page.keyboard.press("e")
        await window.find("[role=row]", "order-0")
        grid = await window.find("[role=grid]")
        await grid.focus()
        await window.page.keyboard.press("ArrowDown")
        await window.page.keyboard.press("ArrowDown")
        await window.page.keyboard.press("Enter")
        await window.find("pre[aria-label=Event]", '"number": 1')


async def test_events_that_came_while_the_gateway_was_away_are_told_when_it_is_back(
    stage: Stage, cluster: LocalCluster, window_on: Open
) -> None:
    await stage.client.publish("order.placed", {}, subject="before")
    settings: dict[str, Any] = {"namespaces": (NAMESPACE,), "port": find_free_port(), "cluster": cluster}
    async with serve(stage.nats.url, None, **settings) as first:
        opened = window_on(first)
        window = await opened.__aenter__()
        window.allowed += ["ERR_CONNECTION_REFUSED", "WebSocket connection"]
        await window.open("events?type=order.*")
        await window.find("[role=row]", "before")
        await window.find(".live[data-state=open][role=status]")
    await window.see("Not connected for")
    for number in range(2):
        await stage.client.publish("order.placed", {}, subject=f"meanwhile-{number}")
    async with serve(stage.nats.url, None, **settings):
        await window.find("[role=row]", "meanwhile-0")
        await window.find("[role=row]", "meanwhile-1")
        await window.see("Connected again: 2 events caught up, none lost.")
        await opened.__aexit__(None, None, None)


async def test_a_page_without_the_right_to_read_events_says_which_it_takes(
    gateway: RunningGateway, window_on: Open
) -> None:
    async with window_on(gateway) as window:
        window.allowed.append("403")
        await window.enter("token-of-viewer")
        await window.open("events")
        await window.find("[role=alert]", "list jobs/events")
        await window.check_access()


async def test_an_event_that_a_subscription_gave_up_is_tried_again_or_let_go(
    stage: Stage, local: RunningGateway, window_on: Open
) -> None:
    async def refuse(event: Event) -> None:
        raise LookupError(f"no order {event.subject}")

    async def both_dead() -> bool:
        return len(await stage.client.events.dead("billing")) == 2

    subscription = await stage.client.subscribe("order.*", refuse, durable="billing", retry=0)
    for number in ("4711", "4712"):
        await stage.client.publish("order.placed", {}, subject=number)
    await eventually(both_dead)
    await subscription.stop()
    async with window_on(local) as window:
        await window.open("events")
        await window.find("section[aria-label='Events that subscriptions gave up'] tr", "no order 4711")
        await window.check_access()
        row = await window.find("tr", "no order 4711")
        await window.press("Retry", within=row)
        await window.see("billing gets it once more")
        await row.wait_for(state="detached")
        await window.press("Discard", within=await window.find("tr", "no order 4712"))
        await window.press("Discard", within=await window.find("dialog"))
        await window.see("It is given up for good")
        await window.page.get_by_text("Given up by subscriptions").wait_for(state="detached")
    assert await stage.client.events.dead("billing") == []
