"""Getting in: what a stranger sees, whom a token makes one, and what he is then shown."""

from __future__ import annotations

from browser.conftest import Open
from support.gateway import RunningGateway


async def test_a_stranger_gives_a_token_and_is_in_without_the_page_keeping_it(
    gateway: RunningGateway, window_on: Open
) -> None:
    async with window_on(gateway) as window:
        window.allowed.append("401")
        await window.open()
        await window.see("Sign in to Jetmill")
        await window.check_access()
        await window.page.get_by_label("Kubernetes token").fill("token-of-nobody")
        await window.press("Sign in")
        await window.see("Nobody knows who asks")
        await window.page.get_by_label("Kubernetes token").fill("token-of-viewer")
        await window.press("Sign in")
        await window.see("Signed in as viewer")
        kept = await window.page.evaluate(
            "JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie"
        )
        assert "token-of-viewer" not in kept
        await window.press("Settings", role="link")
        await window.press("Sign out")
        await window.see("Sign in to Jetmill")
