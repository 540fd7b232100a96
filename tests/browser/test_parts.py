"""The program comes in parts: what is not looked at is not fetched, and a part that cannot be had says so."""

from __future__ import annotations

import pytest

from browser.conftest import Open
from support.gateway import RunningGateway

LOADED = """
performance.getEntriesByType('resource')
  .filter((entry) => entry.name.endsWith('.js'))
  .map((entry) => [entry.name.split('/').at(-1).replace(/-.{8}\\.js$/, ''), entry.encodedBodySize])
"""


async def test_the_first_page_fetches_at_most_sixty_kilobytes_and_no_other_page(
    local: RunningGateway, window_on: Open
) -> None:
    async with window_on(local) as window:
        await window.open()
        await window.find("h1", "Overview")
        await window.find(".chart canvas")
        loaded = dict(await window.page.evaluate(LOADED))
        assert sum(loaded.values()) <= 60_000, loaded
        assert loaded.keys() & {"jobs", "job", "declaration", "dead", "settings"} == set()
        await window.press("Dead letters", role="link", within=window.page.get_by_role("navigation", name="Pages"))
        await window.find("h1", "Dead letters")
        assert "dead" in dict(await window.page.evaluate(LOADED))


@pytest.mark.parametrize("status", [404, 503])
async def test_a_part_that_cannot_be_fetched_says_so_and_the_page_loaded_anew_has_it(
    local: RunningGateway, window_on: Open, status: int
) -> None:
    async with window_on(local) as window:
        await window.open()
        await window.find("h1", "Overview")
        gone = True

        async def refuse(route: object) -> None:
            await (route.fulfill(status=status, body="") if gone else route.continue_())  # type: ignore[attr-defined]

        window.allowed.append(str(status))
        await window.page.route("**/assets/settings-*.js", refuse)
        await window.press("Settings", role="link", within=window.page.get_by_role("navigation", name="Pages"))
        await window.see("This part of the page could not be fetched")
        await window.check_access()
        gone = False
        await window.press("Load anew")
        await window.find("h1", "Settings")
        await window.reach("/settings")
