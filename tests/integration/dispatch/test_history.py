"""What a person asks of deliveries, and does about them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from jetmill.errors import JobNotFoundError, JobStateError, NotFoundError
from jetmill.protocol.state import State
from jetmill_operator.dispatch.history import (
    enable_webhook,
    list_webhooks,
    read_delivery,
    recover,
    redeliver,
    send_test,
)
from support.dispatch import Office, make_webhook
from support.receiver import Receiver, hang, reply
from support.wait import eventually

pytestmark = pytest.mark.integration
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def test_a_delivery_is_shown_with_its_event_and_each_attempt(office: Office) -> None:
    async with Receiver.serve(reply(500)) as receiver:
        await office.declare("orders", make_webhook(receiver.url))
        event_id = await office.publish(amount=7)
        [status] = await office.ended()
        delivery = await read_delivery(office.bus, status.id, webhook="orders")
        assert (delivery.webhook, delivery.state, delivery.reason) == ("orders", State.FAILED, "exhausted")
        assert delivery.event is not None
        assert (delivery.event.id, delivery.event.type) == (event_id, "order.paid")
        assert delivery.body == receiver.requests[0].body.decode()
        assert [log.status for log in delivery.attempts] == [500, 500, 500]
        with pytest.raises(JobNotFoundError):
            await read_delivery(office.bus, status.id, webhook="other")


async def test_an_event_that_is_too_large_for_the_ledger_is_sent_and_shown_all_the_same(office: Office) -> None:
    async with Receiver.serve() as receiver:
        await office.declare("orders", make_webhook(receiver.url))
        await office.publish(text='"' * 400_000)
        [status] = await office.ended()
        delivery = await read_delivery(office.bus, status.id)
        assert delivery.body == receiver.requests[0].body.decode()
        assert msgspec.json.decode(delivery.body)["data"]["text"] == '"' * 400_000


async def test_a_dead_delivery_is_sent_again_under_its_id_and_one_under_way_is_not(office: Office) -> None:
    async with Receiver.serve(reply(500)) as receiver:
        await office.declare("orders", make_webhook(receiver.url))
        await office.publish(amount=7)
        [status] = await office.ended()
        receiver.answer = reply(200)
        await redeliver(office.client, status.id, webhook="orders")
        requests = await receiver.received(4)
        [again] = await office.ended()
        assert (again.state, {one.id for one in requests}) == (State.SUCCEEDED, {status.id})
        assert [log.status for log in (await read_delivery(office.bus, status.id)).attempts] == [500, 500, 500, 200]
        receiver.answer = hang
        await redeliver(office.client, status.id)
        await receiver.received(5)
        with pytest.raises(JobStateError):
            await redeliver(office.client, status.id)


async def test_a_delivery_that_waits_for_its_next_attempt_has_it_at_once(office: Office) -> None:
    async with Receiver.serve(reply(500)) as receiver:
        await office.declare("orders", make_webhook(receiver.url, delays=[3_600.0]))
        await office.publish(amount=7)

        async def waiting() -> str:
            found = await office.deliveries()
            return found[0].id if found and found[0].state is State.RETRYING else ""

        delivery = await eventually(waiting)
        receiver.answer = reply(200)
        await redeliver(office.client, delivery)
        [status] = await office.ended()
        assert (status.id, status.state) == (delivery, State.SUCCEEDED)
        assert [log.status for log in (await read_delivery(office.bus, delivery)).attempts] == [500, 200]


async def test_a_test_event_goes_to_its_webhook_alone_whatever_that_subscribes_to(office: Office) -> None:
    async with Receiver.serve() as receiver, Receiver.serve() as other:
        await office.declare("orders", make_webhook(receiver.url, events=["nothing"]))
        await office.declare("all", make_webhook(other.url, events=["*"]))
        delivery_id = await send_test(office.client, "orders")
        [request] = await receiver.received()
        assert (request.id, request.headers["ce-type"]) == (delivery_id, "webhook.test")
        assert msgspec.json.decode(request.body)["data"] == {"webhook": "orders"}
        assert other.requests == []
        with pytest.raises(NotFoundError):
            await send_test(office.client, "nobody")


async def test_recovery_sends_what_failed_or_was_left_out_and_nothing_twice(office: Office) -> None:
    async with Receiver.serve() as receiver:
        webhook = make_webhook(receiver.url, delays=[])
        await office.declare("orders", webhook)
        await office.publish(amount=1)
        await office.ended(1)
        receiver.answer = reply(410)
        await office.publish(amount=2)
        await office.ended(2)
        await eventually(lambda: any(hook.state and hook.state.disabled for hook in office.hooks.all()))
        await office.publish(amount=3)
        await office.publish("mail.sent", amount=4)
        receiver.answer = reply(200)
        await eventually(lambda: len(office.router.recent) == 5)  # webhook.disabled is one, too
        assert await enable_webhook(office.bus, "orders")
        assert not await enable_webhook(office.bus, "orders")
        found = await recover(office.client, "orders", since=LONG_AGO)
        assert (found.events, found.created, found.reopened, found.left) == (3, 1, 1, 1)
        requests = await receiver.received(4)
        assert sorted(msgspec.json.decode(one.body)["data"]["amount"] for one in requests) == [1, 2, 2, 3]
        await office.ended(3)
        again = await recover(office.client, "orders", since=LONG_AGO)
        assert (again.events, again.left) == (3, 3)


async def test_recovery_keeps_to_its_stretch_of_time(office: Office) -> None:
    async with Receiver.serve() as receiver:
        await office.declare("orders", make_webhook(receiver.url, events=["nothing"]))
        await office.publish(amount=1)
        now = datetime.fromtimestamp(office.bus.link.now() / 1e6, tz=UTC)
        since = await office.last_time() + 1
        await office.declare("orders", make_webhook(receiver.url, since=since), generation=2)
        late = await recover(office.client, "orders", since=now + timedelta(minutes=1))
        early = await recover(office.client, "orders", since=LONG_AGO, until=now - timedelta(minutes=1))
        assert (late.events, early.events) == (0, 0)
        assert (await recover(office.client, "orders", since=now - timedelta(minutes=1))).created == 1


async def test_every_webhook_is_listed_with_how_it_fares(office: Office) -> None:
    async with Receiver.serve() as receiver:
        await office.declare("b-hook", make_webhook(receiver.url))
        await office.declare("a-hook", make_webhook(receiver.url, events=["nothing"]))
        await office.publish(amount=1)
        await office.ended(1)

        async def said() -> bool:
            found = await list_webhooks(office.bus)
            return [one.job for one, _ in found] == ["wh--a-hook", "wh--b-hook"] and all(
                state is not None and (state.last is not None) == (one.job == "wh--b-hook") for one, state in found
            )

        await eventually(said)
