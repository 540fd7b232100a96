"""`jetmill dev` sends events to Webhooks: from a manifest to a receiver on this machine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.protocol.record import Entry
from support.dev import Dev
from support.receiver import Receiver, is_signed, reply
from support.wait import eventually

pytestmark = pytest.mark.integration
Start = Callable[..., Awaitable[Dev]]

MANIFEST = """\
apiVersion: jetmill.dev/v1alpha1
kind: Webhook
metadata: {{name: orders}}
spec:
  events: ["order.*"]
  filter: {{expression: "event.data.amount > 100"}}
  url: {url}
  headers: {{X-Team: shop}}
  secretRef: {{name: hook-secret, key: secret}}
---
apiVersion: v1
kind: Secret
metadata: {{name: hook-secret}}
stringData: {{secret: "correct horse battery staple"}}
"""


async def publish(url: str, event_type: str, **data: object) -> None:
    bus = await connect(BusOptions(url=url))
    try:
        event_id = f"{event_type}-{data}"
        event = {"specversion": "1.0", "id": event_id, "source": "/shop", "type": event_type, "data": data}
        await bus.events.publish(event_type, msgspec.json.encode(event), event_id=event_id)
    finally:
        await bus.link.close()


async def test_an_event_of_an_application_reaches_the_receiver_signed(start: Start, folder: Path) -> None:
    async with Receiver.serve() as receiver:
        (folder / "hook.yaml").write_text(MANIFEST.format(url=receiver.url))
        dev = await start()
        url = await dev.ready()
        await dev.says("Webhook orders Delivering")
        await publish(url, "order.paid", amount=7)
        await publish(url, "mail.sent", amount=700)
        await publish(url, "order.paid", amount=700)
        [request] = await receiver.received()
        assert (request.method, request.path, request.headers["x-team"]) == ("POST", "/hook", "shop")
        assert (request.headers["ce-type"], request.headers["ce-source"]) == ("order.paid", "/shop")
        assert msgspec.json.decode(request.body)["data"] == {"amount": 700}
        assert is_signed(request, b"correct horse battery staple")
        (folder / "hook.yaml").unlink()
        await dev.says("Webhook orders deleted")


async def test_a_webhook_that_left_the_folder_while_nobody_looked_is_sent_to_no_more(
    start: Start, folder: Path
) -> None:
    """Its settings, and a delivery that would be tried again for days, stood in the data of the last run."""
    async with Receiver.serve(reply(500)) as receiver:
        manifest = folder / "hook.yaml"
        manifest.write_text(MANIFEST.format(url=receiver.url))
        dev = await start()
        url = await dev.ready()
        await dev.says("Webhook orders Delivering")
        await publish(url, "order.paid", amount=700)
        await receiver.received()
        await will_be_tried_again(url)
        await dev.close()

        manifest.write_text("kind: {")  # nobody can tell whether it is still declared
        dev = await start()
        bus = await connect(BusOptions(url=await dev.ready()))
        assert await bus.admin.settings("wh--orders") is not None
        await bus.link.close()
        await dev.close()

        manifest.unlink()
        dev = await start()
        bus = await connect(BusOptions(url=await dev.ready()))
        try:
            assert [one.job for one in await bus.admin.all_settings()] == ["greet"]
            assert await bus.notes.read("hook.orders") is None
            delivery = await read_delivery(bus)
            assert delivery is not None
            assert delivery.record.state == "cancelled"
        finally:
            await bus.link.close()


async def will_be_tried_again(url: str) -> None:
    """Wait until what the receiver answered is in the ledger."""
    bus = await connect(BusOptions(url=url))

    async def waits() -> bool:
        delivery = await read_delivery(bus)
        return delivery is not None and delivery.record.state == "retrying"

    try:
        await eventually(waits, what="the delivery to wait for its next attempt")
    finally:
        await bus.link.close()


async def read_delivery(bus: Bus) -> Entry | None:
    """The last entry of the one delivery."""
    last: Entry | None = None
    async for entries in bus.ledger.follow(until=await bus.ledger.last_seq()):
        last = next((entry for entry in reversed(entries) if entry.record.job == "wh--orders"), last)
    return last
