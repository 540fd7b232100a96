"""Webhooks on a page: real deliveries by a real dispatcher to a receiver on loopback."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest

from browser.conftest import Open, Stage
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import WEBHOOK
from support.dispatch import Office, make_webhook, open_office
from support.gateway import NAMESPACE, RunningGateway
from support.receiver import Receiver, reply
from support.wait import eventually

SECRET = "whsec_c2VjcmV0IG9mIHRoZSBzaG9wIGFuZCBpdHMgcmVjZWl2ZXI="


@pytest.fixture
async def office(stage: Stage) -> AsyncIterator[Office]:
    async with open_office(stage.nats.url, namespace=NAMESPACE) as office:
        office.secrets["hook-secret"] = {"secret": SECRET.encode()}
        yield office


async def declare(office: Office, cluster: LocalCluster, url: str, **settings: Any) -> None:
    """Both what the cluster shows and what the dispatcher goes by."""
    spec = {"events": ["order.*"], "url": url, "secretRef": {"name": "hook-secret", "key": "secret"}}
    head = {"apiVersion": "jetmill.dev/v1alpha1", "kind": "Webhook"}
    body = {**head, "metadata": {"name": "crm", "namespace": NAMESPACE}, "spec": spec}
    await cluster.apply(WEBHOOK, body, manager="kubectl")
    await office.declare("crm", make_webhook(url, **settings))


async def fares_badly(office: Office) -> bool:
    state = await office.state("crm")
    return state is not None and state.failing_since is not None


def is_disabled(office: Office) -> bool:
    [hook] = office.hooks.all()
    return hook.state is not None and hook.state.disabled is not None


async def run_snippet(text: str) -> str:
    """What somebody sees who pastes the snippet into his shell."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", text, env={**os.environ, "SECRET": SECRET}, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode().strip()


async def test_a_delivery_that_failed_shows_each_attempt_and_is_sent_again(
    stage: Stage, local: RunningGateway, cluster: LocalCluster, office: Office, window_on: Open
) -> None:
    async with Receiver.serve(reply(500, b"the crm is on holiday", x_request_id="r-1")) as receiver:
        await declare(office, cluster, receiver.url)
        await office.publish(amount=700)
        [status] = await office.ended()
        await eventually(lambda: fares_badly(office), what="the dispatcher to tell how it fares")
        async with window_on(local) as window:
            await window.open("webhooks")
            row = await window.find("tr", "crm")
            await row.get_by_text("500", exact=True).wait_for()
            await row.get_by_text("0 %", exact=True).wait_for()
            await window.check_access()
            await window.press("crm", role="link")
            await window.find("tr", "it answered 500")
            await window.check_access()
            await window.page.get_by_role("region", name="Table of deliveries").get_by_role("link").first.click()
            await window.reach(f"webhooks/crm/{status.id}")
            await window.find("h1", "order.paid")
            await window.count(3, ".tries > li")
            await window.find("pre[aria-label='Answer to attempt 3']", "the crm is on holiday")
            await window.find(".tries > li:last-child dt", "x-request-id")
            await window.check_access()
            assert SECRET not in await window.page.content()
            snippet = await (await window.find("pre[aria-label=Verification]")).inner_text()
            if shutil.which("openssl"):
                assert await run_snippet(snippet) == receiver.requests[-1].headers["webhook-signature"]
            receiver.answer = reply(200, b"thanks")
            await window.press("Redeliver")
            await window.find(".title [data-state=succeeded]")
            await window.find("pre[aria-label='Answer to attempt 4']", "thanks")
            assert receiver.requests[-1].id == status.id


async def test_a_test_event_is_sent_and_a_stretch_of_time_recovered(
    stage: Stage, local: RunningGateway, cluster: LocalCluster, office: Office, window_on: Open
) -> None:
    async with Receiver.serve(reply(500)) as receiver:
        await declare(office, cluster, receiver.url, delays=[])
        await office.publish(amount=1)
        await office.ended()
        receiver.answer = reply(200)
        async with window_on(local) as window:
            await window.open("webhooks/crm")
            await window.press("Send a test")
            await window.press("Send", within=await window.find("dialog"))
            await window.find("h1", "webhook.test")
            await window.find(".title [data-state=succeeded]")
            await window.press("crm", role="link")
            await window.find("[aria-label=Deliveries] [data-state=failed]")
            await window.press("Recover")
            dialog = await window.find("dialog")
            await window.check_access()
            await dialog.get_by_label("Which events").select_option("1h")
            await window.press("Recover", within=dialog)
            await window.see("1 sent again")
            await eventually(lambda: len(receiver.requests) == 3)
            await window.page.locator("[aria-label=Deliveries] [data-state=failed]").wait_for(state="detached")


async def test_one_whose_receiver_wants_nothing_more_is_disabled_until_somebody_enables_it(
    stage: Stage, local: RunningGateway, cluster: LocalCluster, office: Office, window_on: Open
) -> None:
    async with Receiver.serve(reply(410)) as receiver:
        await declare(office, cluster, receiver.url)
        await office.publish(amount=1)
        await office.ended()
        await eventually(lambda: is_disabled(office), what="the dispatcher to hear of it")
        async with window_on(local) as window:
            await window.open("webhooks/crm")
            await window.see("Its receiver answered 410")
            await window.check_access()
            receiver.answer = reply(200)
            await window.press("Enable")
            await window.see("It is sent to again")
            await window.page.get_by_role("alert").wait_for(state="detached")
            await eventually(lambda: not is_disabled(office), what="the dispatcher to hear of it")
            await office.publish(amount=2)
            await window.find("[aria-label=Deliveries] [data-state=succeeded]")


async def test_who_may_only_look_is_offered_nothing_that_would_be_refused(
    gateway: RunningGateway, cluster: LocalCluster, office: Office, reviewer: Any, window_on: Open
) -> None:
    reviewer.allow("viewer", "list webhooks", "get webhooks", "list webhooks/deliveries", "get webhooks/deliveries")
    async with Receiver.serve(reply(200)) as receiver:
        await declare(office, cluster, receiver.url)
        async with window_on(gateway) as window:
            await window.enter("token-of-viewer")
            await window.open("webhooks/crm")
            for name, what in (("Send a test", "test"), ("Recover", "recover")):
                button = await window.find("button:disabled", name)
                assert await button.get_attribute("title") == f"You may not {what} webhooks in this namespace"
            await window.check_access()


async def test_one_that_is_not_declared_is_said_to_be_none(local: RunningGateway, window_on: Open) -> None:
    async with window_on(local) as window:
        window.allowed.append("404")
        await window.open("webhooks/nobody")
        await window.see("No Webhook nobody is declared in shop")
        await window.check_access()
        await window.open("webhooks/nobody/0199f3c2-0000-7000-8000-000000000000")
        await window.see("There is no such delivery here")
