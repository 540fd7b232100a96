"""Gateways and servers that go away: the page says so, comes back by itself, and tells what it missed."""

from __future__ import annotations

from typing import Any

import pytest

from browser.conftest import Open, Stage
from jetmill_operator.cluster.local import LocalCluster
from support.gateway import NAMESPACE, serve
from support.nats import find_free_port


async def test_what_happens_while_the_gateway_is_away_is_shown_when_it_is_back(
    stage: Stage, cluster: LocalCluster, window_on: Open
) -> None:
    await stage.start_worker()
    handle = await stage.client.enqueue("import-orders")
    port = find_free_port()
    settings: dict[str, Any] = {"namespaces": (NAMESPACE,), "port": port, "cluster": cluster}
    async with serve(stage.nats.url, None, **settings) as first:
        opened = window_on(first)
        window = await opened.__aenter__()
        window.allowed += ["ERR_CONNECTION_REFUSED", "WebSocket connection"]
        await window.open(f"jobs/{handle.id}")
        await window.find(".title [data-state=running]")
        await window.find(".live[data-state=open]")
    await window.see("Not connected for")
    await window.check_access()
    stage.gate.set()
    await handle.wait(120)
    async with serve(stage.nats.url, None, **settings):
        await window.find(".title [data-state=succeeded]")
        await window.find(".live[data-state=open]")
        await window.see("Connected again")
        await opened.__aexit__(None, None, None)


@pytest.mark.parametrize("path", ["", "jobs", "dead", "workers", "schedules", "events", "webhooks"])
async def test_a_page_that_the_gateway_cannot_answer_says_why_and_recovers(
    stage: Stage, cluster: LocalCluster, window_on: Open, path: str
) -> None:
    async with (
        serve(stage.nats.url, None, cluster=cluster, namespaces=(NAMESPACE,)) as running,
        window_on(running) as window,
    ):
        refused = True

        async def refuse(route: object) -> None:
            problem = {"title": "NATS cannot be reached", "status": 503, "detail": "no answer", "cure": "start it"}
            await (route.fulfill(status=503, json=problem) if refused else route.continue_())  # type: ignore[attr-defined]

        window.allowed.append("503")
        await window.page.route("**/api/v1/jobs**", refuse)
        refusing = ("stats", "groups", "deadletters", "count", "events", "webhooks", "declarations/*s")
        for name in refusing:
            await window.page.route(f"**/api/v1/{name}**", refuse)
        await window.open(path)
        await window.find(".content h1")
        if path != "workers":  # which come by the stream
            await window.see("NATS cannot be reached")
            await window.see("start it")
        await window.check_access()
        refused = False
        if path != "workers":
            await window.press("Try again")
            await window.page.get_by_role("alert").first.wait_for(state="detached")
