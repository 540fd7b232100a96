"""From events to requests, and what becomes of them, whatever the receiver does."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook

from jetmill.protocol.delivery import AttemptLog, EndpointState
from jetmill.protocol.state import State
from jetmill_operator.dispatch.history import read_delivery
from jetmill_operator.policy.endpoint import Phase, find_phase
from support.dispatch import SECRET, Office, make_webhook, open_office
from support.nats import NatsServer
from support.receiver import Received, Receiver, babble, drip, flood, hang, is_signed, reply, reset
from support.wait import eventually

pytestmark = pytest.mark.integration


async def read_logs(office: Office, delivery_id: str) -> list[AttemptLog]:
    """The logs of a delivery's attempts, in order."""
    return (await read_delivery(office.bus, delivery_id)).attempts


def state_of(office: Office) -> EndpointState:
    """What the dispatcher knows of its one endpoint."""
    [hook] = office.hooks.all()
    return hook.state or EndpointState(uid="")


async def test_an_event_is_sent_signed_and_its_log_is_kept(office: Office) -> None:
    async with Receiver.serve(reply(201, b"taken", x_trace="abc")) as receiver:
        await office.declare("orders", make_webhook(receiver.url, headers={"X-Team": "shop"}))
        event_id = await office.publish(amount=7)
        [request] = await receiver.received()
        assert (request.method, request.headers["content-type"]) == (
            "POST",
            "application/cloudevents+json; charset=utf-8",
        )
        assert (request.headers["x-team"], request.headers["ce-id"]) == ("shop", event_id)
        whsec = "whsec_" + base64.b64encode(SECRET).decode()
        assert Webhook(whsec).verify(request.body, request.headers)["data"] == {"amount": 7}
        [status] = await office.ended()
        assert (status.state, status.id) == (State.SUCCEEDED, request.id)
        [log] = await read_logs(office, status.id)
        assert (log.status, log.body, log.truncated, log.error) == (201, "taken", False, None)
        assert log.headers["x-trace"] == "abc"
        assert log.request_headers["webhook-signature"] == request.headers["webhook-signature"]
        assert log.request_headers["x-team"] == "…"
        assert log.latency_seconds > 0


async def test_only_events_that_fit_patterns_jobs_and_filter_are_sent(office: Office) -> None:
    async with Receiver.serve() as receiver:
        webhook = make_webhook(
            receiver.url, events=["order.*", "job.failed"], jobs=["mail"], expression="event.data.amount > 100"
        )
        await office.declare("orders", webhook)
        await office.publish("order.paid", amount=500)
        await office.publish("job.failed", amount=500, job="print")
        await office.publish("job.failed", amount=5, job="mail")
        await office.publish("job.failed", job="mail")
        await office.publish("job.succeeded", amount=500, job="mail")
        wanted = await office.publish("job.failed", amount=500, job="mail")
        assert [request.headers["ce-id"] for request in await receiver.received()] == [wanted]
        state = await eventually(lambda: _filter_errors(office, "orders"))
        assert state.filter_errors == 1


async def _filter_errors(office: Office, name: str):
    state = await office.state(name)
    return state if state is not None and state.filter_errors else None


async def test_an_event_that_is_routed_twice_is_one_delivery(office: Office) -> None:
    async with Receiver.serve() as receiver:
        await office.declare("orders", make_webhook(receiver.url))
        await office.publish(amount=1)
        await office.ended(1)
        messages = await anext(aiter(office.bus.events.follow()))
        await office.router.take(messages)
        await office.router.take(messages)
        await office.publish(amount=2)
        await office.ended(2)
        assert len(receiver.requests) == 2
        assert len(await office.deliveries()) == 2


async def test_several_dispatchers_send_each_event_once(nats: NatsServer, office: Office) -> None:
    namespace = office.bus.subjects.namespace
    async with Receiver.serve() as receiver, open_office(nats.url, namespace=namespace) as other:
        await office.declare("orders", make_webhook(receiver.url))
        await eventually(other.hooks.all)
        ids = {await office.publish(amount=number) for number in range(50)}
        await office.ended(50)
        assert Counter(request.headers["ce-id"] for request in receiver.requests) == Counter(ids)
        await eventually(lambda: [one.router.pursuit.following for one in (office, other)].count(True) == 1)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (reply(500, b"oops"), "it answered 500"),
        (reply(302, location="http://127.0.0.1:1/"), "it answered 302"),
        (reset, "the connection broke"),
        (hang, "no whole answer within 0.3 s"),
        (drip, "no whole answer within 0.3 s"),
        (babble, "what it answers is no HTTP"),
    ],
    ids=["500", "redirect", "reset", "hang", "drip", "babble"],
)
async def test_a_receiver_that_fails_is_tried_again_by_schedule_then_the_delivery_is_dead_with_its_log(
    office: Office, answer, says: str
) -> None:
    async with Receiver.serve(answer) as receiver:
        timeout = {"timeout_seconds": 0.3} if "within 0.3 s" in says else {}
        await office.declare("orders", make_webhook(receiver.url, **timeout))
        await office.publish(amount=1)
        [status] = await office.ended()
        assert (status.state, status.reason, status.attempt) == (State.FAILED, "exhausted", 3)
        logs = await read_logs(office, status.id)
        assert len(logs) == 3
        assert all((log.error or "").startswith(says) for log in logs), logs
        assert {request.id for request in receiver.requests} == {status.id}
        assert all(is_signed(request, SECRET) for request in receiver.requests)


async def test_a_receiver_that_recovers_gets_the_same_delivery(office: Office) -> None:
    async with Receiver.serve(reply(503)) as receiver:
        await office.declare("orders", make_webhook(receiver.url, delays=[0.05] * 50))
        await office.publish(amount=1)
        await receiver.received(2)
        receiver.answer = reply(200)
        [status] = await office.ended()
        assert status.state == State.SUCCEEDED
        assert len({(request.id, request.body) for request in receiver.requests}) == 1
        state = await eventually(lambda: _healthy(office, "orders"))
        assert state.last is not None
        assert state.last.delivered


async def _healthy(office: Office, name: str):
    state = await office.state(name)
    return state if state is not None and state.last is not None and state.failing_since is None else None


async def test_of_a_long_answer_the_beginning_is_kept_and_the_rest_is_not_read(office: Office) -> None:
    async with Receiver.serve(flood) as receiver:
        await office.declare("orders", make_webhook(receiver.url))
        await office.publish(amount=1)
        [status] = await office.ended()
        [log] = await read_logs(office, status.id)
        assert (status.state, log.body, log.truncated) == (State.SUCCEEDED, "x" * 4096, True)


async def test_a_receiver_that_asks_to_wait_is_left_alone_for_so_long(office: Office) -> None:
    async with Receiver.serve(reply(429, retry_after="1")) as receiver:
        await office.declare("orders", make_webhook(receiver.url))
        await office.publish(amount=1)
        [first] = await receiver.received()
        receiver.answer = reply(200)
        await office.publish(amount=2)
        requests = await receiver.received(3)
        assert min(one.time for one in requests[1:]) - first.time >= 1.0


async def test_a_receiver_that_is_gone_is_sent_nothing_more_until_its_webhook_is_edited(office: Office) -> None:
    async with Receiver.serve(reply(410)) as receiver:
        webhook = make_webhook(receiver.url)
        await office.declare("orders", webhook)
        await office.publish(amount=1)
        [status] = await office.ended()
        assert (status.state, status.reason, len(receiver.requests)) == (State.FAILED, "non_retryable", 1)
        await eventually(lambda: state_of(office).disabled)
        receiver.answer = reply(200)
        await office.publish(amount=2)
        await eventually(lambda: len(office.router.recent) == 3)  # webhook.disabled is one, too
        await office.declare("orders", msgspec.structs.replace(webhook, method="PUT"), generation=2)
        await eventually(lambda: state_of(office).generation == 2)
        await office.publish(amount=3)
        requests = await receiver.received(2)
        assert [(one.method, msgspec.json.decode(one.body)["data"]["amount"]) for one in requests] == [
            ("POST", 1),
            ("PUT", 3),
        ]


async def test_that_an_endpoint_is_disabled_is_an_event_once_however_many_dispatchers_there_are(
    nats: NatsServer, office: Office
) -> None:
    namespace = office.bus.subjects.namespace
    async with (
        Receiver.serve(reply(410)) as receiver,
        Receiver.serve() as alarm,
        open_office(nats.url, namespace=namespace) as other,
    ):
        await office.declare("alarm", make_webhook(alarm.url, events=["webhook.disabled"]))
        await office.declare("orders", make_webhook(receiver.url))
        await office.publish(amount=1)
        [request] = await alarm.received()
        await eventually(lambda: all(_is_disabled(one, "orders") for one in (office, other)))
        async with open_office(nats.url, namespace=namespace) as late:
            await eventually(lambda: _is_disabled(late, "orders"))
        event = msgspec.json.decode(request.body)
        assert (event["type"], event["source"], event["subject"]) == (
            "webhook.disabled",
            f"/jetmill/{namespace}/webhook/orders",
            "orders",
        )
        assert event["data"].items() >= {"webhook": "orders", "reason": "gone"}.items()
        stored = await office.bus.events.read()
        assert [one.type for one in stored].count("webhook.disabled") == 1
        assert len(alarm.requests) == 1


def _is_disabled(office: Office, name: str) -> bool:
    return any(hook.name == name and hook.state is not None and hook.state.disabled for hook in office.hooks.all())


async def test_most_requests_failing_opens_the_circuit_for_all_dispatchers(nats: NatsServer, office: Office) -> None:
    namespace = office.bus.subjects.namespace
    async with Receiver.serve(reply(500)) as receiver, open_office(nats.url, namespace=namespace) as other:
        await office.declare("orders", make_webhook(receiver.url, delays=[0.01] * 100))
        for number in range(20):
            await office.publish(amount=number)

        def is_open(one: Office) -> bool:
            found = [hook.state for hook in one.hooks.all()]
            return bool(found and found[0] and find_phase(found[0], one.bus.link.now()) is Phase.OPEN)

        await eventually(lambda: is_open(office) and is_open(other))
        await eventually(lambda: _is_quiet(office), what="nothing to be under way")
        count = len(receiver.requests)
        for _ in range(5):
            await office.publish(amount=100)
        await asyncio.gather(*(office.deliveries() for _ in range(3)))
        assert len(receiver.requests) == count


async def _is_quiet(office: Office) -> bool:
    # Not the queue's depth: what was given back counts as in flight there until somebody asks for it again.
    return all(one.state is not State.RUNNING for one in await office.deliveries())


async def test_a_secret_that_is_replaced_signs_without_a_restart_and_a_missing_one_sends_nothing(
    office: Office,
) -> None:
    async with Receiver.serve() as receiver:
        webhook = make_webhook(receiver.url, delays=[0.2] * 100)
        office.secrets.clear()
        await office.declare("orders", webhook)
        await office.publish(amount=1)
        state = await eventually(lambda: _failing(office, "orders"))
        assert state.last.error == "there is no Secret hook-secret in namespace " + office.bus.subjects.namespace + (
            " (create it)"
        )
        assert receiver.requests == []
        office.secrets["hook-secret"] = {"secret": b"whsec_" + base64.b64encode(b"n" * 32) + b"\nold one"}
        [request] = await receiver.received()
        assert is_signed(request, b"n" * 32)
        assert is_signed(request, b"old one")


async def _failing(office: Office, name: str):
    state = await office.state(name)
    return state if state is not None and state.failing_since is not None else None


def read_if_there(path: Path) -> bytes:
    """What lies there; the server moves its files while one looks."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return b""


async def test_no_secret_is_ever_in_nats(nats: NatsServer, office: Office) -> None:
    async with Receiver.serve(reply(500)) as receiver:
        await office.declare("orders", make_webhook(receiver.url))
        await office.publish(amount=1)
        await office.ended()
        stored = b"".join(map(read_if_there, nats.folder.rglob("*")))
        assert b"hook-secret" in stored
        assert SECRET not in stored


async def test_a_receiver_that_hangs_never_delays_another_one(office: Office) -> None:
    async with Receiver.serve(hang) as slow, Receiver.serve() as quick:
        await office.declare("slow", make_webhook(slow.url, timeout_seconds=600, delays=[]))
        await office.declare("quick", make_webhook(quick.url, events=["mail.*"]))
        for number in range(200):
            await office.publish("order.paid", amount=number)
        await slow.received(10)
        for number in range(100):
            await office.publish("mail.sent", amount=number)
        await quick.received(100)
        assert len(slow.requests) == 10  # its own slots are full, and nobody else's


async def test_of_one_subject_one_delivery_at_a_time_is_under_way(office: Office) -> None:
    under_way, most = Counter[str](), Counter[str]()

    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        subject = request.headers["ce-subject"]
        under_way[subject] += 1
        most[subject] = max(most[subject], under_way[subject])
        await asyncio.sleep(0.02)
        under_way[subject] -= 1
        await reply(200)(request, writer)

    async with Receiver.serve(answer) as receiver:
        await office.declare("orders", make_webhook(receiver.url, serial="subject"))
        for number in range(12):
            event = {
                "specversion": "1.0",
                "id": str(number),
                "source": "/shop",
                "type": "order.paid",
                "subject": f"order-{number % 4}",
            }
            await office.bus.events.publish("order.paid", msgspec.json.encode(event), event_id=str(number))
        await receiver.received(12, seconds=60)
        assert most == {f"order-{number}": 1 for number in range(4)}


async def test_a_rate_is_kept(office: Office) -> None:
    async with Receiver.serve() as receiver:
        await office.declare("orders", make_webhook(receiver.url, rate=20.0))
        for number in range(41):
            await office.publish(amount=number)
        requests = await receiver.received(41)
        assert requests[-1].time - requests[0].time >= 1.0, "it takes two seconds, if the first is not late"


async def test_what_was_published_right_before_a_webhook_was_known_here_is_sent(office: Office) -> None:
    """It was declared before the event, and this process heard of it later."""
    async with Receiver.serve() as receiver:
        await office.declare("other", make_webhook(receiver.url, events=["nothing"]))
        since = office.bus.link.now() - 5_000_000  # the server's clock is known to within a round trip
        await office.publish(amount=1)
        await eventually(lambda: office.router.recent)
        await office.declare("orders", make_webhook(receiver.url, since=since))
        await receiver.received()
        await office.publish("old.news", amount=2)
        await eventually(lambda: len(office.router.recent) == 2)
        late = office.router.recent[-1].message.time + 1
        await office.declare("late", make_webhook(receiver.url, events=["old.*"], since=late))
        await office.publish("old.news", amount=3)
        requests = await receiver.received(2)
        assert msgspec.json.decode(requests[1].body)["data"] == {"amount": 3}


async def test_what_is_no_event_stops_nothing(office: Office) -> None:
    async with Receiver.serve() as receiver:
        await office.declare("orders", make_webhook(receiver.url, expression="event.data.amount > 1"))
        for data in (b"", b"[]", b"{}", b"\xff\xfe", b'{"id": 5, "type": "order.paid"}', b"[" * 5000):
            await office.bus.events.publish("order.paid", data, event_id=data.hex()[:40] or "empty")
        await office.publish(amount=7)
        await receiver.received(1)
        assert office.router.unreadable == 6


async def test_a_webhook_that_goes_takes_no_more_and_one_of_its_name_is_another(office: Office) -> None:
    async with Receiver.serve() as receiver:
        await office.declare("orders", make_webhook(receiver.url), uid="first")
        event_id = await office.publish(amount=1)
        await office.ended(1)
        await office.bus.admin.remove_job("wh--orders")
        await eventually(lambda: not office.hooks.all())
        await office.publish(amount=2)
        since = await office.last_time() + 1
        await office.declare("orders", make_webhook(receiver.url, since=since), uid="second")
        await office.publish(event_id=event_id + "x", amount=3)
        requests = await receiver.received(2)
        assert [msgspec.json.decode(one.body)["data"]["amount"] for one in requests] == [1, 3]
