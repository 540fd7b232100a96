"""A browser on the dashboard: the machine's Chromium, which nothing may complain in.

Every console message that is an error, every error that a script leaves, every request that goes elsewhere and every
breach of the page's policy is kept as a fault; `Window.check` demands that there were none.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from support.wait import eventually

ROOT = Path(__file__).parents[2]
AXE = ROOT / "operator/ui/node_modules/axe-core/axe.min.js"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WAIT_MS = 60_000
_WATCH = """
window.addEventListener('securitypolicyviolation', (event) =>
  console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI));
"""


def find_chromium() -> str:
    """The machine's Chromium; skips the test without."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        pytest.skip("there is no Chromium: on Debian, apt-get install chromium")
    return found


@dataclass
class Window:
    """One page of a browser, and what went wrong in it."""

    page: Any
    """Playwright's page, of no type here: mypy does not see what only `make browser` installs."""
    origin: str
    faults: list[str] = field(default_factory=list)
    allowed: list[str] = field(default_factory=list)
    """Parts of faults that the test brings about."""

    async def open(self, path: str = "") -> None:
        """Go to an address below the gateway's."""
        await self.page.goto(f"{self.origin}/{path}")

    async def enter(self, token: str) -> None:
        """Log in."""
        self.allowed.append("401")
        await self.open("settings")
        await self.page.get_by_label("Kubernetes token").fill(token)
        await self.press("Sign in")
        await self.see("Signed in as")

    async def see(self, text: str, *, exact: bool = False) -> None:
        """Wait until a text is to be seen."""
        await self.page.get_by_text(text, exact=exact).first.wait_for(timeout=WAIT_MS)

    async def find(self, selector: str, text: str | None = None) -> Any:
        """Wait for an element; the first of them."""
        found = self.page.locator(selector, **({} if text is None else {"has_text": text})).first
        await found.wait_for(timeout=WAIT_MS)
        return found

    async def reach(self, address: str) -> None:
        """Wait until the address ends so."""
        await eventually(lambda: self.page.url.endswith(address), what=f"{address}, is {self.page.url}")

    async def count(self, number: int, what: Any) -> None:
        """Wait until a locator (or what a selector finds) is so many elements: a page is drawn when it comes to it."""
        found = self.page.locator(what) if isinstance(what, str) else what

        async def same() -> bool:
            return bool(await found.count() == number)

        await eventually(same, every_seconds=0.05, what=f"{number} of {what}, are {await found.count()}")

    async def press(self, name: str, *, role: str = "button", within: Any = None) -> None:
        """Press what has a name, once it can be pressed."""
        await (within or self.page).get_by_role(role, name=name).first.click(timeout=WAIT_MS)

    async def check(self) -> None:
        """Demand that nothing went wrong, but for what the test brought about."""
        faults = [fault for fault in self.faults if not any(part in fault for part in self.allowed)]
        assert not faults, "\n".join(faults)

    async def check_access(self) -> None:
        """Demand that axe finds nothing that keeps somebody from using the page as it stands."""
        if not AXE.is_file():
            pytest.skip("axe-core is not installed: make page")
        found = await self.page.evaluate(AXE.read_text() + "; axe.run(document, {resultTypes: ['violations']})")
        told = [
            f"{one['id']}: {one['help']}: {json.dumps([node['html'][:200] for node in one['nodes']][:4])}"
            for one in found["violations"]
        ]
        assert not told, "\n".join(told)

    async def check_width(self, what: str) -> None:
        """Demand that nothing is wider than the window; a telephone would show all smaller, and say it fits."""
        wide = await self.page.evaluate("document.documentElement.scrollWidth") - self.page.viewport_size["width"]
        assert wide <= 0, f"{what} is {wide} pixels wider than the window"

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self.faults.append(f"console: {message.text} {message.location.get('url', '')}")

    def _note_request(self, request: Any) -> None:
        found = urlsplit(request.url)
        if f"{found.scheme}://{found.netloc}" != self.origin:
            self.faults.append(f"request elsewhere: {request.url}")

    def _note_socket(self, socket: Any) -> None:
        if urlsplit(socket.url).netloc != urlsplit(self.origin).netloc:
            self.faults.append(f"socket elsewhere: {socket.url}")


@asynccontextmanager
async def open_window(browser: Any, origin: str, **options: Any) -> AsyncIterator[Window]:
    """A window with cookies of its own; at the end nothing may have gone wrong."""
    given = {"viewport": {"width": 1440, "height": 900}, "locale": "en-GB", "timezone_id": "Europe/Berlin"} | options
    context = await browser.new_context(**given)
    try:
        await context.add_init_script(_WATCH)
        page = await context.new_page()
        page.set_default_timeout(WAIT_MS)
        window = Window(page, origin)
        page.on("console", window._hear)
        page.on("pageerror", lambda error: window.faults.append(f"script: {error}"))
        page.on("request", window._note_request)
        page.on("websocket", window._note_socket)
        yield window
        await window.check()
    finally:
        await context.close()
