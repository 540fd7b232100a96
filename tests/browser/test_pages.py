"""Every page, with data, empty and broken, light and dark, wide and narrow: nothing in the console, nothing that axe
finds, nothing wider than the window.
"""

from __future__ import annotations

from typing import Any

import pytest

from browser.conftest import Open, Stage
from support.browser import Window
from support.gateway import RunningGateway
from support.wait import eventually

PAGES = {
    "": "Overview",
    "jobs": "Jobs",
    "declarations": "Declarations",
    "schedules": "Schedules",
    "events": "Events",
    "webhooks": "Webhooks",
    "workers": "Workers",
    "dead": "Dead letters",
    "settings": "Settings",
}
NARROW = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "narrow": {**NARROW, "reduced_motion": "reduce"},
}


async def fill(stage: Stage) -> None:
    """A few jobs of every kind."""
    await stage.start_worker()
    handles = [
        await stage.client.enqueue("send-email", {"to": f"{number}@example.com"}, labels={"tenant": "acme"}, user="ada")
        for number in range(12)
    ]
    handles += [await stage.client.enqueue("charge", {"card": card}, max_retries=0) for card in ("4711", "4712")]
    await stage.client.enqueue("import-orders", {"lines": 3})
    await stage.client.enqueue("send-email", {"to": "later@example.com"}, delay=3600)
    await stage.client.publish("order.placed", {"customer": "Ada", "lines": ["a very long line"] * 20}, subject="4711")

    async def settled() -> bool:
        return all([(await handle.status()).final for handle in handles])

    await eventually(settled)


async def look_at_all(window: Window) -> None:
    """Go through the pages by the menu."""
    await window.open()
    for path, name in PAGES.items():
        await window.press(name, role="link", within=window.page.get_by_role("navigation", name="Pages"))
        await window.page.get_by_role("heading", level=1, name=name, exact=True).wait_for()
        await window.page.locator("[aria-label=Loading]").first.wait_for(state="detached")
        await window.check_access()
        await window.check_width(path or "overview")


@pytest.mark.parametrize("look", LOOKS)
async def test_every_page_with_data(stage: Stage, local: RunningGateway, window_on: Open, look: str) -> None:
    await fill(stage)
    async with window_on(local, **LOOKS[look]) as window:
        await look_at_all(window)
        await window.open("jobs")
        assert await window.page.evaluate("document.documentElement.dataset.theme") == (
            "dark" if look == "dark" else "light"
        )


async def test_every_page_without_data(local: RunningGateway, window_on: Open) -> None:
    async with window_on(local) as window:
        await look_at_all(window)
        await window.open("jobs")
        await window.see("No job yet")
        await window.open("dead")
        await window.see("Nothing has failed for good")
        await window.open("schedules")
        await window.see("No schedule is declared in this namespace")
        await window.open("events")
        await window.see("No event yet")
        await window.open("webhooks")
        await window.see("No webhook is declared in this namespace")
        await window.open("workers")
        await window.see("No worker is present")


async def test_an_address_that_is_no_page_is_said_to_be_none(local: RunningGateway, window_on: Open) -> None:
    async with window_on(local) as window:
        await window.open("jobs")
        await window.page.evaluate(
            "history.pushState(null, '', 'nowhere'); dispatchEvent(new PopStateEvent('popstate'))"
        )
        await window.see("There is no such page")


async def test_the_keyboard_alone_goes_everywhere(local: RunningGateway, window_on: Open) -> None:
    async with window_on(local) as window:
        await window.open()
        await window.page.get_by_role("heading", level=1, name="Overview").wait_for()
        await window.page.keyboard.press("g")
        await window.page.keyboard.press("w")
        await window.page.get_by_role("heading", level=1, name="Workers").wait_for()
        await window.page.keyboard.press("Control+k")
        await window.page.get_by_role("combobox").wait_for()
        await window.check_access()
        await window.page.keyboard.type("dead")
        await window.page.keyboard.press("Enter")
        await window.page.get_by_role("heading", level=1, name="Dead letters").wait_for()
        await window.page.keyboard.press("?")
        await window.find("dialog[aria-label=Keyboard]")
        await window.check_access()
        await window.page.keyboard.press("Escape")
        await window.page.locator("dialog").wait_for(state="detached")
