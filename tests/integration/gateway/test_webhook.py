"""Webhooks over REST: what was sent and answered, and what a person does about it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from jetmill.bus.connect import BusOptions, connect_trunk
from jetmill.client.status import JobStatus
from support.dispatch import SECRET, Office, make_webhook, open_office
from support.gateway import serve
from support.nats import NatsServer
from support.receiver import Receiver, is_signed, reply
from support.wait import eventually

pytestmark = pytest.mark.integration


@asynccontextmanager
async def working(nats: NatsServer) -> AsyncIterator[tuple[Office, httpx.AsyncClient]]:
    """A dispatcher and a gateway in a namespace of their own."""
    namespace = f"t-{secrets.token_hex(6)}"
    trunk = await connect_trunk(BusOptions(url=nats.url))
    async with (
        open_office(nats.url, namespace=namespace) as office,
        serve(nats.url, trunk=trunk, namespaces=(namespace,)) as gateway,
        gateway.client() as http,
    ):
        yield office, http


async def get(http: httpx.AsyncClient, path: str, **params: Any) -> Any:
    response = await http.get(f"/api/v1/{path}", params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def post(http: httpx.AsyncClient, path: str, status: int, **body: Any) -> Any:
    response = await http.post(f"/api/v1/{path}", json=body or None)
    assert response.status_code == status, response.text
    return response.json()


async def test_a_delivery_is_shown_with_the_signed_request_and_each_answer(nats: NatsServer) -> None:
    async with working(nats) as (office, http), Receiver.serve(reply(500, b"no")) as receiver:
        await office.declare("orders", make_webhook(receiver.url))
        event_id = await office.publish(amount=7)
        [status] = await office.ended()

        async def listed() -> Any:
            return (await get(http, "webhooks/orders/deliveries", state="failed"))["items"]

        [row] = await eventually(listed)
        assert (row["id"], row["state"], row["reason"], row["attempt"]) == (status.id, "failed", "exhausted", 3)
        assert row["eventType"] == "order.paid"
        shown = await get(http, f"webhooks/orders/deliveries/{status.id}")
        assert (shown["webhook"], shown["eventId"], shown["eventType"]) == ("orders", event_id, "order.paid")
        assert [one["status"] for one in shown["attempts"]] == [500, 500, 500]
        assert (shown["attempts"][0]["body"], shown["attempts"][0]["error"]) == ("no", "it answered 500")
        assert shown["body"].encode() == receiver.requests[0].body
        sent = shown["attempts"][2]["requestHeaders"]
        assert sent["webhook-signature"] == receiver.requests[2].headers["webhook-signature"]
        assert SECRET.decode() not in msgspec.json.encode(shown).decode()


async def test_a_person_sends_again_tests_enables_and_recovers(nats: NatsServer) -> None:
    async with working(nats) as (office, http), Receiver.serve(reply(410)) as receiver:
        await office.declare("orders", make_webhook(receiver.url))
        await office.publish(amount=1)
        [status] = await office.ended()

        async def disabled() -> bool:
            return bool((await get(http, "webhooks/orders")).get("disabled") == "gone")

        await eventually(disabled)
        await office.publish(amount=2)
        await eventually(lambda: len(office.router.recent) == 3)  # two orders, and webhook.disabled
        receiver.answer = reply(200)
        assert (await post(http, "webhooks/orders/enable", 200))["changed"]
        assert not (await post(http, "webhooks/orders/enable", 200))["changed"]
        await post(http, f"webhooks/orders/deliveries/{status.id}/redeliver", 202)
        await receiver.received(2)
        since = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
        found = await post(http, "webhooks/orders/recover", 200, since=since)
        assert found["events"] == 2
        assert found["created"] == 1
        test = await post(http, "webhooks/orders/test", 202)
        requests = await receiver.received(4)
        assert is_signed(next(one for one in requests if one.id == test["id"]), SECRET)
        deliveries = await office.ended(3)
        assert {one.state for one in deliveries} == {"succeeded"}


async def test_what_is_not_there_is_not_found_and_what_waits_is_sent_at_once_if_told_so(nats: NatsServer) -> None:
    async with working(nats) as (office, http), Receiver.serve(reply(500)) as receiver:
        await office.declare("orders", make_webhook(receiver.url, delays=[60.0]))
        await office.publish(amount=1)
        await receiver.received()

        async def is_waiting() -> JobStatus | None:
            [found] = await office.deliveries()
            return found if found.state == "retrying" else None

        status = await eventually(is_waiting)
        for path in ("webhooks/nobody", "webhooks/orders/deliveries/nothing", f"webhooks/other/deliveries/{status.id}"):
            assert (await http.get(f"/api/v1/{path}")).status_code == 404
        assert (await http.post("/api/v1/webhooks/nobody/test")).status_code == 404
        again = await http.post(f"/api/v1/webhooks/orders/deliveries/{status.id}/redeliver")
        assert again.status_code == 202
        assert len({request.id for request in await receiver.received(2)}) == 1
        assert (await http.post("/api/v1/webhooks/orders/recover", json={"since": "yesterday"})).status_code == 400


async def test_deliveries_are_in_no_list_of_jobs_unless_they_are_asked_for(nats: NatsServer) -> None:
    async with working(nats) as (office, http), Receiver.serve() as receiver:
        await office.declare("orders", make_webhook(receiver.url))
        await office.publish(amount=1)
        [status] = await office.ended()

        async def known() -> Any:
            return (await get(http, "jobs", job="wh--orders", state="succeeded"))["items"]

        assert [one["id"] for one in await eventually(known)] == [status.id]
        assert (await get(http, "jobs"))["items"] == []
        assert (await get(http, "count"))["count"] == 0
        assert (await get(http, "groups", by="job"))["items"] == []
        assert (await get(http, "queues"))["items"] == []
        stats = await get(http, "stats")
        assert (stats["states"], sum(one["succeeded"] for one in stats["items"])) == ({}, 0)
        assert sum(one["succeeded"] for one in (await get(http, "stats", job="wh--orders"))["items"]) == 1
        assert await office.client.list() == []
        assert await office.client.jobs() == []
        assert [one.id for one in await office.client.list(job="wh--orders")] == [status.id]


async def test_nobody_enqueues_what_a_receiver_would_take_for_an_event(nats: NatsServer) -> None:
    async with working(nats) as (office, http), Receiver.serve() as receiver:
        await office.declare("orders", make_webhook(receiver.url))
        forged = {"job": "wh--orders", "payload": {"event": '{"id": "1", "type": "order.paid"}'}}
        assert (await http.post("/api/v1/jobs", json=forged)).status_code == 422
        bulk = (await http.post("/api/v1/jobs/bulk", json={"jobs": [forged]})).json()
        assert bulk["items"][0]["problem"]["status"] == 422
        assert await office.deliveries() == []
