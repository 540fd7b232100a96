"""A Webhook from its declaration to its queue, its status and its end; and each field, by what its receiver gets."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from jetmill.errors import NotFoundError
from jetmill.protocol.delivery import name_note
from jetmill.protocol.name import name_deliveries
from jetmill.protocol.state import State
from jetmill_operator.cluster.ports import EVENT, WEBHOOK
from jetmill_operator.dispatch.history import read_delivery
from jetmill_operator.resources.label import FINALIZER, RELEASE
from support.dispatch import SECRET, open_office
from support.nats import NatsServer
from support.raw import Raw
from support.receiver import Received, Receiver, hang, is_signed, reply
from support.shelf import NAME, Shelf
from support.wait import eventually

pytestmark = pytest.mark.integration
QUEUE = name_deliveries(NAME)


@pytest.fixture
def shelf(trunk) -> Shelf:
    """Without a dispatcher."""
    return Shelf(trunk, namespace=f"o-{secrets.token_hex(6)}")


@pytest.fixture
async def served(trunk, nats_server: NatsServer) -> AsyncIterator[Shelf]:
    """With a dispatcher."""
    namespace = f"o-{secrets.token_hex(6)}"
    async with open_office(nats_server.url, namespace=namespace) as office:
        yield Shelf(trunk, namespace=namespace, office=office)


async def publish(shelf: Shelf, event_type: str = "order.paid", **data: Any) -> str:
    assert shelf.office is not None
    return await shelf.office.publish(event_type, **data)


def amounts(requests: list[Received]) -> list[int]:
    return [msgspec.json.decode(one.body)["data"]["amount"] for one in requests]


# Its queue and its status


async def test_a_webhook_gets_its_queue_and_waits_for_a_dispatcher(shelf: Shelf) -> None:
    await shelf.declare()
    settings = await shelf.settings()
    assert settings is not None
    assert settings.webhook is not None
    assert (settings.webhook.url, settings.uid) == (
        "https://hooks.example.com/a",
        (await shelf.body())["metadata"]["uid"],
    )
    assert (await shelf.bus.queue.depth(QUEUE)).ready == 0
    assert FINALIZER in (await shelf.body())["metadata"]["finalizers"]
    conditions = await shelf.conditions()
    assert conditions == {
        "Ready": "False NoDispatcher",
        "Reconciling": "True NoDispatcher",
        "Degraded": "Unknown NoDispatcher",
        "Disabled": "Unknown Enabled",
        "Suspended": "False NotSuspended",
    }
    assert await shelf.cluster.list(EVENT) == [], "that nobody serves it yet is worth no warning"


async def test_a_second_pass_writes_nothing(shelf: Shelf) -> None:
    await shelf.declare()
    shelf.hands.writes.clear()
    before = await shelf.bus.admin.settings(QUEUE)
    await shelf.settle()
    await shelf.later(100)
    assert shelf.hands.writes == []
    assert await shelf.bus.admin.settings(QUEUE) == before


@pytest.mark.field("Webhook.status.observedGeneration", "Webhook.status.conditions.observedGeneration")
@pytest.mark.field("Webhook.status.conditions.type", "Webhook.status.conditions.status")
@pytest.mark.field("Webhook.status.conditions.reason", "Webhook.status.conditions.lastTransitionTime")
async def test_it_is_ready_once_a_dispatcher_serves_it(served: Shelf) -> None:
    await served.declare()
    await served.settle()
    first = {one["type"]: one["lastTransitionTime"] for one in (await served.status())["conditions"]}
    await eventually(lambda: is_ready(served), what="Ready")
    conditions = await served.conditions()
    assert (conditions["Ready"], "Reconciling" in conditions) == ("True Delivering", False)
    await served.later()
    await served.declare(timeoutSeconds=5)
    await served.later()
    status = await served.status()
    assert status["observedGeneration"] == (await served.body())["metadata"]["generation"] == 2
    assert {one["observedGeneration"] for one in status["conditions"]} == {2}
    later = {one["type"]: one["lastTransitionTime"] for one in status["conditions"]}
    assert later["Suspended"] == first["Suspended"], "it did not turn"


async def is_ready(shelf: Shelf) -> bool:
    await shelf.settle()
    return (await shelf.conditions())["Ready"].startswith("True")


@pytest.mark.field("Webhook.status.conditions.message")
async def test_a_filter_that_is_no_expression_stalls_it_and_what_was_in_force_stays(shelf: Shelf) -> None:
    await shelf.declare(filter={"expression": "event.data.amount > 1"})
    before = await shelf.settings()
    await shelf.declare(filter={"expression": "event.data.amount >"})
    conditions = await shelf.conditions()
    assert (conditions["Ready"], conditions["Stalled"]) == (
        "False InvalidExpression",
        "True InvalidExpression",
    )
    assert (await shelf.message()).startswith("spec.filter.expression: ")
    assert await shelf.settings() == before
    await shelf.declare(filter={"expression": "event.data.amount > 2"})
    assert "Stalled" not in await shelf.conditions()


async def test_what_its_model_refuses_stalls_it(shelf: Shelf) -> None:
    await shelf.bus.admin.apply_namespace()
    await shelf.declare(headers={"Host": "evil"})
    conditions = await shelf.conditions()
    assert (conditions["Ready"], conditions["Stalled"]) == ("False InvalidSpec", "True InvalidSpec")
    assert "headers.Host" in await shelf.message("Stalled")
    assert await shelf.settings() is None


async def test_a_stream_of_its_name_that_is_not_ours_is_left_alone(shelf: Shelf, nats_server: NatsServer) -> None:
    await shelf.bus.admin.apply_namespace()
    stream = shelf.bus.subjects.queue_stream(QUEUE)
    async with Raw.connect(nats_server.url) as raw:
        await raw.ask(f"STREAM.CREATE.{stream}", {"name": stream, "subjects": [f"foreign.{shelf.namespace}"]})
        await shelf.declare()
        assert (await shelf.conditions())["Stalled"] == "True Conflict"
        await shelf.cluster.delete(WEBHOOK, shelf.namespace, NAME)
        await shelf.settle()
        assert await shelf.cluster.get(WEBHOOK, shelf.namespace, NAME) is None
        assert "config" in await raw.ask(f"STREAM.INFO.{stream}")


@pytest.mark.field("Webhook.status.backlog.ready", "Webhook.status.backlog.inFlight", "Webhook.status.backlog.delayed")
async def test_its_status_counts_what_waits(served: Shelf) -> None:
    async with Receiver.serve(hang) as receiver:
        await served.declare(receiver.url, concurrency=1, timeoutSeconds=100)
        await publish(served, amount=1)
        await receiver.received()
        await publish(served, amount=2)
        await publish(served, amount=3)

        async def look() -> object:
            await served.later()
            backlog = (await served.status())["backlog"]
            # one is under way, and one more may have been taken that waits for its slot
            return backlog["inFlight"] >= 1 and sum(backlog.values()) == 3 and backlog["delayed"] == 0

        await eventually(look)
        await served.declare(receiver.url, suspend=True)
    async with Receiver.serve(reply(500)) as receiver:
        await served.declare(receiver.url, concurrency=10, retry={"maxRetries": 5, "initialDelaySeconds": 500})

        async def look_again() -> object:
            await served.later()
            return (await served.status())["backlog"]["delayed"] >= 2

        await eventually(look_again)


@pytest.mark.field("Webhook.status.attempts.delivered", "Webhook.status.attempts.failed")
@pytest.mark.field("Webhook.status.attempts.successPercent", "Webhook.status.failingSince")
@pytest.mark.field("Webhook.status.lastDelivery.time", "Webhook.status.lastDelivery.delivered")
@pytest.mark.field("Webhook.status.lastDelivery.status", "Webhook.status.lastDelivery.error")
async def test_its_status_says_how_its_receiver_fares(served: Shelf) -> None:
    async with Receiver.serve() as receiver:
        await served.declare(receiver.url, retry={"maxRetries": 0})
        await publish(served, amount=1)
        status = await seen(served, lambda status: status["attempts"]["delivered"] == 1)
        assert (status["attempts"], "failingSince" in status) == (
            {"delivered": 1, "failed": 0, "successPercent": 100},
            False,
        )
        assert status["lastDelivery"]["delivered"] is True
        assert status["lastDelivery"]["status"] == 200
        receiver.answer = reply(503)
        for number in range(2):
            await publish(served, amount=number)
        status = await seen(served, lambda status: status["attempts"]["failed"] == 2)
        assert status["attempts"]["successPercent"] == 33
        assert {key: value for key, value in status["lastDelivery"].items() if key != "time"} == {
            "delivered": False,
            "status": 503,
            "error": "it answered 503",
        }
        assert status["failingSince"] <= status["lastDelivery"]["time"]
        conditions = await served.conditions()
        assert (conditions["Ready"], conditions["Degraded"]) == ("True Delivering", "True Failing")
        receiver.answer = reply(200)
        await publish(served, amount=1)
        status = await seen(served, lambda status: "failingSince" not in status)
        assert (await served.conditions())["Degraded"] == "False Healthy"


async def seen(shelf: Shelf, fits) -> dict[str, Any]:
    """The status once it is so."""

    async def look() -> dict[str, Any] | None:
        await shelf.later()
        status = await shelf.status()
        return status if "attempts" in status and fits(status) else None

    found: dict[str, Any] = await eventually(look)
    return found


@pytest.mark.field("Webhook.status.filterErrors")
async def test_its_status_counts_events_that_its_filter_cannot_judge(served: Shelf) -> None:
    async with Receiver.serve() as receiver:
        await served.declare(receiver.url, filter={"expression": "event.data.amount > 100"})
        await publish(served, other=1)
        await publish(served, amount=500)
        await receiver.received()
        status = await seen(served, lambda status: "filterErrors" in status)
        assert status["filterErrors"] == 1


async def test_a_receiver_that_is_gone_disables_it_and_an_edit_enables_it(served: Shelf) -> None:
    async with Receiver.serve(reply(410)) as receiver:
        await served.declare(receiver.url)
        await publish(served, amount=1)
        await eventually(lambda: has(served, "Disabled", "True Gone"))
        assert (await served.conditions())["Ready"] == "False Gone"
        assert [event["reason"] for event in await served.cluster.list(EVENT)][-1] == "Gone"
        receiver.answer = reply(200)
        await served.declare(receiver.url, method="PUT")
        await eventually(lambda: has(served, "Disabled", "False Enabled"))
        await publish(served, amount=2)
        assert amounts(await receiver.received(2)) == [1, 2]


async def has(shelf: Shelf, kind: str, value: str) -> bool:
    await shelf.later()
    return (await shelf.conditions()).get(kind) == value


# Its end


async def test_its_deletion_cancels_what_waits_and_takes_queue_settings_and_note(served: Shelf) -> None:
    office = served.office
    assert office is not None
    async with Receiver.serve(reply(500)) as receiver:
        await served.declare(receiver.url, retry={"maxRetries": 5, "initialDelaySeconds": 500})
        for number in range(5):
            await publish(served, amount=number)
        await eventually(lambda: seen(served, lambda status: status["backlog"]["delayed"] == 5))
        await served.cluster.delete(WEBHOOK, served.namespace, NAME)

        async def is_gone() -> bool:
            await served.settle()
            return await served.cluster.get(WEBHOOK, served.namespace, NAME) is None

        await eventually(is_gone)
        assert Counter(one.state for one in await office.deliveries()) == {State.CANCELLED: 5}
        assert await served.settings() is None
        assert await served.bus.notes.read(name_note(NAME)) is None
        with pytest.raises(NotFoundError):
            await served.bus.queue.depth(QUEUE)
        receiver.answer = reply(200)
        served.passed_seconds = 0  # events count from when it is created, by the server's clock, to the second
        await asyncio.sleep(1.1)
        await served.declare(receiver.url)
        await publish(served, amount=9)
        await receiver.received(6)
        status = await seen(served, lambda status: status["attempts"]["delivered"] == 1)
        assert status["attempts"]["failed"] == 0, "another object of the name begins anew"


async def test_of_a_webhook_that_is_another_by_now_nothing_is_cleaned_up(shelf: Shelf) -> None:
    await shelf.declare()
    settings = await shelf.settings()
    assert settings is not None
    await shelf.bus.admin.apply_job(msgspec.structs.replace(settings, uid="another"))
    await shelf.cluster.delete(WEBHOOK, shelf.namespace, NAME)
    await shelf.settle()
    assert await shelf.cluster.get(WEBHOOK, shelf.namespace, NAME) is None
    there = await shelf.settings()
    assert there is not None
    assert there.uid == "another"


async def test_a_release_lets_it_go_and_leaves_its_queue(shelf: Shelf) -> None:
    await shelf.declare()
    patch = {"metadata": {"annotations": {RELEASE: "true"}}}
    await shelf.cluster.patch(WEBHOOK, shelf.namespace, NAME, patch, manager="kubectl")
    await shelf.cluster.delete(WEBHOOK, shelf.namespace, NAME)
    await shelf.settle()
    assert await shelf.cluster.get(WEBHOOK, shelf.namespace, NAME) is None
    assert await shelf.settings() is not None


# Each field, by what its receiver gets


@pytest.mark.field("Webhook.spec.events", "Webhook.spec.url", "Webhook.spec.filter.jobs")
@pytest.mark.field("Webhook.spec.filter.expression")
async def test_events_and_filter_choose_what_is_sent_to_the_url(served: Shelf) -> None:
    async with Receiver.serve() as receiver:
        chosen = {"jobs": ["mail"], "expression": "event.data.amount > 100"}
        await served.declare(receiver.url, events=["order.*", "job.failed"], filter=chosen)
        await publish(served, "stock.low", amount=500, job="mail")
        await publish(served, "job.failed", amount=500, job="print")
        await publish(served, "job.failed", amount=5, job="mail")
        await publish(served, "job.failed", amount=501, job="mail")
        await publish(served, "order.paid", amount=502, job="mail")
        requests = await receiver.received(2)
        assert sorted(amounts(requests)) == [501, 502]
        assert {one.path for one in requests} == {"/hook"}


@pytest.mark.field("Webhook.spec.method", "Webhook.spec.headers")
@pytest.mark.field("Webhook.spec.secretRef.name", "Webhook.spec.secretRef.key", "Webhook.spec.signature")
async def test_method_headers_secret_and_signature_make_the_request(served: Shelf) -> None:
    office = served.office
    assert office is not None
    office.secrets["team"] = {"other": b"wrong", "hook": SECRET}
    async with Receiver.serve() as receiver:
        signed = {"method": "PUT", "headers": {"X-Team": "shop"}, "secretRef": {"name": "team", "key": "hook"}}
        await served.declare(receiver.url, **signed)
        await publish(served, amount=1)
        [request] = await receiver.received()
        assert (request.method, request.headers["x-team"]) == ("PUT", "shop")
        assert is_signed(request, SECRET)
        assert "x-signature" not in request.headers
        await served.declare(receiver.url, **signed, signature="plain")
        await publish(served, amount=2)
        request = (await receiver.received(2))[-1]
        assert request.headers["x-signature"] == "sha256=" + hmac.new(SECRET, request.body, hashlib.sha256).hexdigest()
        assert "webhook-signature" not in request.headers


@pytest.mark.field("Webhook.spec.timeoutSeconds", "Webhook.spec.retry.maxRetries")
@pytest.mark.field("Webhook.spec.retry.initialDelaySeconds", "Webhook.spec.retry.factor")
@pytest.mark.field("Webhook.spec.retry.maxDelaySeconds")
async def test_timeout_and_retry_say_when_it_is_tried_again(served: Shelf) -> None:
    office = served.office
    assert office is not None
    async with Receiver.serve(hang) as receiver:
        retry = {"maxRetries": 3, "initialDelaySeconds": 0.4, "factor": 3, "maxDelaySeconds": 0.8}
        await served.declare(receiver.url, timeoutSeconds=1, retry=retry)
        await publish(served, amount=1)
        [status] = await office.ended()
        assert (status.state, status.attempt, len(receiver.requests)) == (State.FAILED, 4, 4)
        logs = (await read_delivery(office.bus, status.id)).attempts
        assert {log.error for log in logs} == {"no whole answer within 1 s"}
        waits = await read_waits(served, status.id)
        # each is up to a fifth longer or shorter
        assert 0.4 * 0.8 <= waits[0] <= 0.4 * 1.2
        assert all(0.8 * 0.8 <= wait <= 0.8 * 1.2 for wait in waits[1:])


async def read_waits(shelf: Shelf, delivery_id: str) -> list[float]:
    """After how many seconds a delivery was to be tried again, each time, as the ledger says it."""
    chain = [entry.record for entry in await shelf.bus.ledger.read_chain(delivery_id)]
    return [(one.due - one.time) / 1e6 for one in chain if one.state is State.RETRYING and one.due is not None]


@pytest.mark.field("Webhook.spec.retry.preset")
async def test_a_preset_says_when_it_is_tried_again(served: Shelf) -> None:
    async with Receiver.serve(reply(500)) as receiver:
        office = served.office
        assert office is not None
        for preset in ("short", None):
            await served.declare(receiver.url, **({"retry": {"preset": preset}} if preset else {}))
            settings = await served.settings()
            assert settings is not None
            assert settings.max_retries == (3 if preset else 9)
            before = {one.id for one in await office.deliveries()}
            await publish(served, amount=1)

            async def find_wait(before: set[str] = before) -> float:
                new = [one.id for one in await office.deliveries() if one.id not in before]
                waits = await read_waits(served, new[0]) if new else []
                return waits[0] if waits else 0.0

            assert 4.0 <= await eventually(find_wait) <= 6.0, "five seconds, and a fifth more or less"


@pytest.mark.field("Webhook.spec.concurrency")
async def test_so_many_requests_are_under_way_at_once(served: Shelf) -> None:
    async with Receiver.serve(hang) as receiver:
        await served.declare(receiver.url, concurrency=3, timeoutSeconds=100)
        for number in range(10):
            await publish(served, amount=number)
        await receiver.received(3)
        await asyncio.sleep(0.5)
        assert len(receiver.requests) == 3


@pytest.mark.field("Webhook.spec.ratePerSecond")
async def test_a_rate_is_kept(served: Shelf) -> None:
    async with Receiver.serve() as receiver:
        await served.declare(receiver.url, ratePerSecond=20)
        for number in range(41):
            await publish(served, amount=number)
        requests = await receiver.received(41)
        assert requests[-1].time - requests[0].time >= 1.0, "it takes two seconds, if the first is not late"


@pytest.mark.field("Webhook.spec.serial")
async def test_of_one_subject_one_delivery_at_a_time_is_under_way(served: Shelf) -> None:
    office = served.office
    assert office is not None
    async with Receiver.serve(hang) as receiver:
        await served.declare(receiver.url, serial="subject", timeoutSeconds=100)
        for number in range(4):
            event = {"specversion": "1.0", "id": str(number), "source": "/shop", "type": "order.paid"}
            event["subject"] = f"order-{number % 2}"
            await office.bus.events.publish("order.paid", msgspec.json.encode(event), event_id=str(number))
        requests = await receiver.received(2)
        await asyncio.sleep(0.5)
        assert sorted(one.headers["ce-subject"] for one in requests) == ["order-0", "order-1"]


@pytest.mark.field("Webhook.spec.disableAfterSeconds")
async def test_nothing_but_failures_for_so_long_disables_it(served: Shelf) -> None:
    async with Receiver.serve(reply(500)) as receiver:
        retry = {"maxRetries": 100, "initialDelaySeconds": 0.5, "factor": 1}
        await served.declare(receiver.url, disableAfterSeconds=1, retry=retry)
        await publish(served, amount=1)
        await eventually(lambda: has(served, "Disabled", "True Failing"))
        assert len(receiver.requests) >= 2
        await served.declare(receiver.url, disableAfterSeconds=0, retry=retry)
        await eventually(lambda: has(served, "Disabled", "False Enabled"))
        count = len(receiver.requests)
        await publish(served, amount=2)
        await receiver.received(count + 4)
        assert await has(served, "Disabled", "False Enabled"), "0 is never"


@pytest.mark.field("Webhook.spec.suspend")
async def test_suspended_it_keeps_what_comes_and_sends_it_later(served: Shelf) -> None:
    async with Receiver.serve() as receiver:
        await served.declare(receiver.url, suspend=True)
        await publish(served, amount=1)

        async def waits() -> bool:
            return (await served.bus.queue.depth(QUEUE)).ready == 1

        await eventually(waits)
        await eventually(lambda: has(served, "Ready", "True Suspended"))
        assert receiver.requests == []
        await served.declare(receiver.url)
        assert amounts(await receiver.received()) == [1]
