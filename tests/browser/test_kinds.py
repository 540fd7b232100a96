"""The pages of schedules, events and webhooks as they are met: below a prefix, light and dark and narrow, among many
jobs, and while the gateway is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from browser.conftest import Open, Stage
from browser.test_pages import LOOKS
from factories import make_data, make_job_id, make_plan
from jetmill.protocol.plan import make_slot_id
from jetmill.protocol.state import State
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import SCHEDULED_JOB, WEBHOOK
from support.browser import Window, open_window
from support.dispatch import Office, make_webhook, open_office
from support.gateway import NAMESPACE, RunningGateway, serve
from support.nats import find_free_port
from support.prefix import PrefixProxy
from support.receiver import Receiver, reply
from support.wait import eventually

MANY = 100_000
UID = "0f0e6c3c-0000-4000-8000-000000000001"
HEAD = {"apiVersion": "jetmill.dev/v1alpha1"}
HOUR = 3_600_000_000


@pytest.fixture
async def shop(stage: Stage, cluster: LocalCluster) -> AsyncIterator[Office]:
    """A schedule that ran and will run, a webhook whose receiver takes one event and refuses another, and events."""
    spec = {"jobRef": {"name": "send-email"}, "schedule": "0 * * * *", "timeZone": "Europe/Berlin"}
    await cluster.apply(
        SCHEDULED_JOB,
        {**HEAD, "kind": "ScheduledJob", "metadata": {"name": "hourly", "namespace": NAMESPACE}, "spec": spec},
        manager="kubectl",
    )
    now = stage.bus.link.now()
    last, coming = now // HOUR * HOUR, now // HOUR * HOUR + HOUR
    plan = make_plan(schedule="hourly", job="send-email", expression="0 * * * *", slots=[last, coming], complete=True)
    await stage.bus.ledger.append_plan(UID, plan, expected=0)
    ran = {"job": "send-email", "schedule": "hourly", "generation": 1}
    seq = await stage.bus.ledger.append(make_slot_id(UID, last), make_data(State.QUEUED, **ran), expected=0)
    seq = await stage.bus.ledger.append(make_slot_id(UID, last), make_data(State.RUNNING, **ran), expected=seq)
    await stage.bus.ledger.append(make_slot_id(UID, last), make_data(State.SUCCEEDED, **ran), expected=seq)
    async with Receiver.serve(reply(204, b"")) as receiver, open_office(stage.nats.url, namespace=NAMESPACE) as office:
        await _declare_hook(office, cluster, receiver.url)
        await stage.client.publish("order.placed", {"customer": "Ada", "lines": ["long"] * 60}, subject="4711")

        await office.ended()
        yield office


async def _declare_hook(office: Office, cluster: LocalCluster, url: str) -> None:
    spec = {"events": ["order.*"], "url": url}
    body = {**HEAD, "kind": "Webhook", "metadata": {"name": "crm", "namespace": NAMESPACE}, "spec": spec}
    await cluster.apply(WEBHOOK, body, manager="kubectl")
    await office.declare("crm", make_webhook(url))


PAGES = {
    "schedules": "hourly",
    "schedules/hourly": "Next runs",
    "events": "order.placed",
    "webhooks": "crm",
    "webhooks/crm": "Deliveries",
}


async def look(window: Window, base: str = "") -> None:
    """Each page of these kinds, its delivery and its event whole: nothing that axe finds, nothing too wide."""
    for path, text in PAGES.items():
        await window.open(f"{base}{path}")
        await window.find(".content h1")
        await window.see(text)
        await window.page.locator("[aria-label=Loading]").first.wait_for(state="detached")
        await check(window, path)
    await window.page.get_by_role("region", name="Table of deliveries").get_by_role("link").first.click()
    await window.see("Attempt 1")
    await check(window, "a delivery")
    await window.open(f"{base}events?type=order.*")
    await window.press("order.placed", role="link")
    await window.find("pre[aria-label=Event]")
    await check(window, "an event")


async def check(window: Window, what: str) -> None:
    await window.check_access()
    await window.check_width(what)


@pytest.mark.parametrize("looks", LOOKS)
async def test_what_is_declared_can_be_read_by_everybody_in_every_light(
    shop: Office, local: RunningGateway, window_on: Open, looks: str
) -> None:
    async with window_on(local, **LOOKS[looks]) as window:
        await look(window)


async def test_below_a_prefix_every_page_is_reached_loaded_anew_and_live(
    stage: Stage, shop: Office, local: RunningGateway, browser: Any
) -> None:
    async with PrefixProxy(local.url, "/tools/jetmill") as proxy:
        parts = urlsplit(proxy.url)
        async with open_window(browser, f"{parts.scheme}://{parts.netloc}") as window:
            await look(window, "tools/jetmill/")
            for name in ("Schedules", "Events", "Webhooks"):
                await window.press(name, role="link", within=window.page.get_by_role("navigation", name="Pages"))
                await window.page.get_by_role("heading", level=1, name=name, exact=True).wait_for()
                await window.reach(f"{parts.netloc}{parts.path}/{name.lower()}")
            await window.open("tools/jetmill/events")
            await window.find(".live[data-state=open]")
            await stage.client.publish("order.paid", {}, subject="just-now")
            await window.find("[role=row]", "just-now")
            await window.open("tools/jetmill/schedules/hourly")
            await window.press("Trigger")
            await window.press("Trigger", within=await window.find("dialog"))
            await window.see("Triggered: this is its job")
            assert window.page.url.startswith(f"{proxy.url}/jobs/")
        assert proxy.elsewhere == []


async def add_many(stage: Stage, count: int) -> None:
    """Jobs of the schedule's Job, and of the schedule, that wait."""
    data = make_data(State.QUEUED, job="send-email", schedule="hourly", generation=1)
    for _ in range(0, count, 2_000):
        await asyncio.gather(*(stage.bus.ledger.append(make_job_id(), data, expected=0) for _ in range(2_000)))


async def test_among_a_hundred_thousand_jobs_the_pages_are_as_quick_and_hold_as_little(
    stage: Stage, shop: Office, local: RunningGateway, window_on: Open
) -> None:
    await add_many(stage, MANY)
    projection, last = local.parts.projection, await stage.bus.ledger.last_seq()
    assert projection is not None
    await eventually(lambda: projection.seq(NAMESPACE) >= last, seconds=120)
    async with window_on(local) as window:
        await look(window)
        await window.open("jobs")
        await window.see("100,0")
        grid = await window.find("[role=grid]")
        for _ in range(12):
            await grid.press("PageDown")
        assert await window.page.locator("[role=row]").count() < 200
        await window.check_access()
        await window.open("schedules/hourly")
        assert await window.page.get_by_role("region", name="Table of runs").locator("tbody tr").count() <= 12


@pytest.mark.parametrize("path", ["schedules/hourly", "webhooks/crm"])
async def test_what_was_shown_stays_while_the_gateway_is_away(
    stage: Stage, shop: Office, cluster: LocalCluster, window_on: Open, path: str
) -> None:
    settings: dict[str, Any] = {"namespaces": (NAMESPACE,), "port": find_free_port(), "cluster": cluster}
    async with serve(stage.nats.url, None, **settings) as first:
        opened = window_on(first)
        window = await opened.__aenter__()
        window.allowed += ["ERR_CONNECTION_REFUSED", "WebSocket connection"]
        await window.open(path)
        await window.see(PAGES[path])
        await window.find(".live[data-state=open][role=status]")
    await window.see("Not connected for")
    await window.see(PAGES[path])
    await window.check_access()
    async with serve(stage.nats.url, None, **settings):
        await window.see("Connected again")
        await opened.__aexit__(None, None, None)
