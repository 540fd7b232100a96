"""One suite for both clients: over NATS, and over HTTP through a real gateway. A program may use either.

A worker runs the jobs; what it does is told by the handlers below.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from factories import make_data
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.client.declaration import Registry, job
from jetmill.client.desk import DeadEvent, EventDesk
from jetmill.client.event import BaseEvent
from jetmill.client.filter import Creation, Filter, add_filter, remove_filter
from jetmill.client.flow import NonRetryable
from jetmill.client.handle import JobHandle
from jetmill.client.settings import ClientSettings
from jetmill.client.submission import Item
from jetmill.errors import (
    InputError,
    InvalidNameError,
    InvalidPayloadError,
    JobFailedError,
    JobNotFoundError,
    JobStateError,
    NotFoundError,
    PayloadTooLargeError,
    UnknownJobError,
)
from jetmill.http import HttpClient, HttpSettings
from jetmill.http.desk import HttpEventDesk
from jetmill.protocol.event import Event, encode_event
from jetmill.protocol.record import JobSettings, TriggerSettings, WebhookSettings
from jetmill.protocol.retry import RetryPolicy
from jetmill.protocol.state import Reason, State
from jetmill.worker import JobContext, Worker, WorkerSettings
from support.gateway import serve
from support.nats import NatsServer
from support.wait import eventually, soon

pytestmark = [pytest.mark.conformance, pytest.mark.integration]
AnyClient = Client | HttpClient


@dataclass
class Field:
    """A namespace with three Jobs: `greet` works, `fail` fails, `wait` waits; a worker comes when it is called."""

    bus: Bus
    url: str
    namespace: str
    registry: Registry
    stack: AsyncExitStack
    gate: asyncio.Event

    async def work(self) -> None:
        connection = ClientSettings(url=self.url, namespace=self.namespace, run_jobs=False)
        settings = WorkerSettings(connection=connection, jobs=("greet", "fail", "wait"), grace_seconds=0.0)
        worker = Worker(settings=settings, registry=self.registry)
        await worker.start()
        self.stack.push_async_callback(worker.close)


@pytest.fixture
async def field(nats_server: NatsServer, request: pytest.FixtureRequest) -> AsyncIterator[Field]:
    async with AsyncExitStack() as stack:
        namespace = f"c-{abs(hash(request.node.nodeid)) % 10**12}"
        bus = await connect(BusOptions(url=nats_server.url, namespace=namespace))
        stack.push_async_callback(bus.link.close)
        await bus.admin.apply_namespace()
        registry, gate = Registry(), asyncio.Event()
        _declare(registry, gate)
        for name in ("greet", "fail", "wait"):
            await bus.admin.apply_job(JobSettings(job=name, max_retries=0, payload_max_bytes=900_000))
        yield Field(bus, nats_server.url, namespace, registry, stack, gate)


def _declare(registry: Registry, gate: asyncio.Event) -> None:
    @job(registry=registry, name="greet")
    async def greet(name: str, ctx: JobContext) -> dict[str, str]:
        ctx.log(f"greeting {name}")
        return {"said": f"hello {name}"}

    @job(registry=registry, name="fail")
    async def fail() -> None:
        raise NonRetryable("it cannot work")

    @job(registry=registry, name="wait")
    async def wait() -> int:
        await gate.wait()
        return 42


@pytest.fixture(params=["nats", "http"])
async def client(field: Field, request: pytest.FixtureRequest) -> AsyncIterator[AnyClient]:
    if request.param == "nats":
        async with Client(bus=field.bus, by="local") as over_nats:
            yield over_nats
        return
    async with (
        serve(field.url, None, namespaces=(field.namespace,), rate_per_second=10_000.0, rate_burst=10_000) as gateway,
        HttpClient(HttpSettings(url=gateway.url, namespace=field.namespace)) as over_http,
    ):
        yield over_http


def handles_of(answers: list[Any]) -> list[JobHandle]:
    return [answer for answer in answers if isinstance(answer, JobHandle)]


async def test_a_job_is_enqueued_run_and_waited_for(client: AnyClient, field: Field) -> None:
    handle = await client.enqueue("greet", {"name": "ada"}, labels={"team": "shop"}, priority="high", timeout=9)
    assert handle.created
    status = await handle.status()
    assert (status.state, status.job, status.namespace) == ("queued", "greet", field.namespace)
    assert (status.priority, status.labels, status.timeout_seconds) == ("high", {"team": "shop"}, 9)
    assert await client.payload(handle.id) == {"name": "ada"}
    await field.work()
    assert await soon(handle.result()) == {"said": "hello ada"}
    ended = await soon(handle.wait())
    assert (ended.state, ended.attempt, ended.final) == ("succeeded", 1, True)
    status = await client.status(handle.id)
    assert [one.state for one in status.history] == ["queued", "running", "succeeded"]
    assert status.worker == status.history[1].worker
    assert status.finished is not None
    assert status.duration_seconds is not None


async def test_the_same_id_again_is_the_same_job(client: AnyClient) -> None:
    first = await client.enqueue("greet", {"name": "ada"}, id="order-1")
    again = await client.enqueue("greet", {"name": "ada"}, id="order-1")
    assert (first.created, again.created) == (True, False)
    assert first == again


async def test_a_handler_of_this_process_says_what_its_payload_is(client: AnyClient, field: Field) -> None:
    greet = field.registry.get("greet")
    assert greet is not None
    handle = await client.enqueue(greet, {"name": "ada"})
    assert handle.job == "greet"
    with pytest.raises(InvalidPayloadError) as caught:
        await client.enqueue(greet, {"nme": "ada"})
    assert caught.value.field
    answers = await client.enqueue_many(greet, [{"name": "a"}, {"wrong": 1}, Item({"name": "b"}, id="b", delay=60)])
    assert [type(answer) for answer in answers] == [JobHandle, InvalidPayloadError, JobHandle]
    assert (await client.status("b")).state == "scheduled"


async def test_many_are_enqueued_and_waited_for_in_order(client: AnyClient, field: Field) -> None:
    answers = await client.enqueue_many("greet", ({"name": f"{n} " + "x" * 2_000} for n in range(1_200)))
    ids = [handle.id for handle in handles_of(answers)]
    assert len(set(ids)) == 1_200
    assert (await client.stats("greet"))[0].ready == 1_200
    await field.work()
    heard: list[str] = []
    ended = await soon(client.wait_many(ids[:30], on_final=lambda one: heard.append(one.id)), seconds=240)
    assert [one.id for one in ended] == ids[:30]
    assert sorted(heard) == sorted(ids[:30])


async def test_what_cannot_be_enqueued_is_refused_alike(client: AnyClient) -> None:
    with pytest.raises(UnknownJobError, match="no-such"):
        await client.enqueue("no-such", {})
    with pytest.raises(PayloadTooLargeError):
        await client.enqueue("greet", {"name": "x" * 950_000})
    with pytest.raises(PayloadTooLargeError):
        await client.enqueue("greet", {"name": "x" * 2_000_000})
    with pytest.raises(InputError):
        await client.enqueue("greet", {}, delay=-1)
    with pytest.raises(InputError):
        await client.enqueue("greet", {}, delay=1, at=datetime.now(UTC))
    answers = await client.enqueue_many("greet", [{"name": "a"}, {"name": "x" * 950_000}, {"name": "b"}])
    assert [type(answer) for answer in answers] == [JobHandle, PayloadTooLargeError, JobHandle]
    with pytest.raises(UnknownJobError):
        await client.enqueue_many("no-such", [{}, {}])


async def test_a_schema_refuses_with_the_field(client: AnyClient, field: Field) -> None:
    import msgspec

    schema = msgspec.Raw(b'{"type":"object","properties":{"to":{"type":"object","properties":{"age":{"maximum":9}}}}}')
    await field.bus.admin.apply_job(JobSettings(job="strict", payload_schema=schema))

    async def enqueue() -> JobHandle | None:
        try:
            return await client.enqueue("strict", {"to": {"age": 9}})
        except UnknownJobError:
            return None

    await eventually(enqueue, what="the Job to be known")
    with pytest.raises(InvalidPayloadError) as caught:
        await client.enqueue("strict", {"to": {"age": 1234}})
    assert caught.value.field == "to.age"


async def test_the_result_of_a_job_that_failed_is_an_error_that_says_how(client: AnyClient, field: Field) -> None:
    handle = await client.enqueue("fail", {})
    await field.work()
    with pytest.raises(JobFailedError, match="it cannot work") as caught:
        await soon(handle.result())
    assert (caught.value.state, caught.value.reason) == ("failed", "non_retryable")
    assert (await client.status(handle.id)).error is not None
    assert (await client.discard(handle.id)).state == "discarded"
    with pytest.raises(JobStateError):
        await client.retry(handle.id)


async def test_waiting_in_vain_is_a_timeout(client: AnyClient) -> None:
    handle = await client.enqueue("wait", {})
    with pytest.raises(TimeoutError):
        await handle.wait(timeout=0.1)
    with pytest.raises(TimeoutError):
        await client.result(handle.id, 0.1)


async def test_a_job_is_cancelled_retried_and_moved(client: AnyClient) -> None:
    handle = await client.enqueue("wait", {}, delay=3600)
    moved = await client.reschedule(handle.id, delay=timedelta(hours=2))
    assert moved.due is not None
    assert 7100 < (moved.due - moved.time).total_seconds() < 7300
    assert (await handle.cancel()).state == "cancelled"
    assert (await client.cancel(handle.id)).state == "cancelled"
    with pytest.raises(JobStateError):
        await client.discard(handle.id)
    with pytest.raises(InputError):
        await client.reschedule(handle.id)
    again = await client.retry(handle.id)
    assert (again.state, again.enqueueing, again.by) == ("queued", 2, "local")


@pytest.mark.parametrize("call", ["status", "wait", "cancel", "retry", "discard", "payload", "result"])
async def test_a_job_that_is_not_there_is_said_so(client: AnyClient, call: str) -> None:
    with pytest.raises(JobNotFoundError):
        await getattr(client, call)("no-such-job")
    with pytest.raises(InvalidNameError):
        await getattr(client, call)("no.such.*")


async def test_the_list_has_what_was_just_written_the_newest_change_first(client: AnyClient) -> None:
    first = await client.enqueue("greet", {"name": "a"})
    second = await client.enqueue("wait", {}, delay=60)
    assert [one.id for one in await client.list()] == [second.id, first.id]
    assert [one.id for one in await client.list(limit=1)] == [second.id]
    assert [(one.id, one.state) for one in await client.list(job="greet")] == [(first.id, "queued")]
    assert [one.id for one in await client.list(state=["scheduled", "failed"])] == [second.id]
    assert len(await client.list(state="open", since=timedelta(minutes=5), limit=None)) == 2
    assert await client.list(since=datetime.now(UTC) + timedelta(minutes=5)) == []
    with pytest.raises(InputError, match="succeeded"):
        await client.list(state="done")


async def test_the_list_says_how_jobs_are_labelled(client: AnyClient) -> None:
    await client.enqueue("greet", {"name": "a"}, labels={"team": "shop"})
    await client.enqueue("greet", {"name": "b"})
    assert [one.labels for one in await client.list()] == [{}, {"team": "shop"}]


async def test_deliveries_of_webhooks_are_in_no_list_and_no_count_unless_they_are_asked_for(
    client: AnyClient, field: Field
) -> None:
    await field.bus.admin.apply_job(
        JobSettings(job="wh--hook", webhook=WebhookSettings(events=["*"], url="https://a.example"))
    )
    delivery = await Client(bus=field.bus).enqueue("wh--hook", {"event": "{}"})
    mine = await client.enqueue("greet", {"name": "a"})
    assert [one.id for one in await client.list()] == [mine.id]
    assert [one.id for one in await client.list(job="wh--hook")] == [delivery.id]
    assert [one.job for one in await client.stats()] == ["fail", "greet", "wait"]
    assert [(one.job, one.ready) for one in await client.stats("wh--hook")] == [("wh--hook", 1)]
    assert [one.job for one in await client.stats("greet")] == ["greet"]


async def test_withdrawn_slots_are_in_no_list_unless_they_are_asked_for(client: AnyClient, field: Field) -> None:
    for job_id, reason in (("slot", Reason.WITHDRAWN), ("mine", None)):
        record = make_data(State.CANCELLED, job="greet", reason=reason)
        await field.bus.ledger.append(job_id, record, expected=0)
    await client.enqueue("greet", {"name": "a"}, id="next")
    assert [one.id for one in await client.list()] == ["next", "mine"]
    assert [one.id for one in await client.list(state="cancelled")] == ["mine"]
    assert [one.id for one in await client.list(reason="withdrawn")] == ["slot"]
    assert await client.list(reason=["withdrawn", "poison"], state="failed") == []
    with pytest.raises(InputError, match="poison"):
        await client.list(reason="none")


async def test_a_stream_goes_on_where_it_was_left(client: AnyClient, field: Field) -> None:
    await client.enqueue("greet", {"name": "a"}, id="a")
    seen = []
    async with aclosing(client.stream(start=1)) as stream:
        async for one in stream:
            seen.append((one.id, one.state))
            break
    await field.work()
    async with aclosing(client.stream(start=one.seq + 1, job_id="a")) as stream:
        async for one in stream:
            seen.append((one.id, one.state))
            if one.final:
                break
    assert seen == [("a", "queued"), ("a", "running"), ("a", "succeeded")]


async def test_logs_and_workers_are_told(client: AnyClient, field: Field) -> None:
    await field.work()
    assert [sorted(one.jobs) for one in await client.workers()] == [["fail", "greet", "wait"]]
    [stats] = await client.stats("greet")
    assert (stats.workers, stats.suspended) == (1, False)
    handle = await client.enqueue("greet", {"name": "ada"})
    await soon(handle.result())

    async def read_lines() -> list[Any]:
        """They come when they come, the result may be quicker."""
        return [line async for line in client.logs(handle.id)]

    lines = await eventually(read_lines)
    assert [line.id for line in lines] == [handle.id]
    assert b"greeting ada" in lines[0].data
    async with aclosing(client.logs(handle.id, live=True)) as live:
        async for line in live:
            assert (line.seq, line.time) == (lines[0].seq, lines[0].time)
            break


async def test_events_are_published_alike_by_type_by_class_and_whole(client: AnyClient, field: Field) -> None:
    class Placed(BaseEvent, type="order.placed", subject="order"):
        order: int

    given = datetime(2030, 1, 1, tzinfo=UTC)
    ids = [
        await client.publish("order.paid", {"n": 1}, id="e-1", subject="7", extensions={"tenant": "a"}),
        await client.publish(Placed(order=7)),
        await client.publish(Event(id="e-3", type="order.sent", source="/shop", time=given)),
    ]
    assert await client.publish("order.paid", {"n": 1}, id="e-1", subject="7") == "e-1", "the same again is one"
    found = [one async for one in Client(bus=field.bus).events.read("order.*")]
    assert [one.id for one in found] == ids
    assert [one.type for one in found] == ["order.paid", "order.placed", "order.sent"]
    assert [one.source for one in found] == [f"/jetmill/{field.namespace}"] * 2 + ["/shop"]
    assert (found[0].data, found[0].subject, found[0].extensions) == ({"n": 1}, "7", {"tenant": "a"})
    assert (found[1].data, found[1].subject, found[2].time) == ({"order": 7}, "7", given)
    for bad in ("Order", "a..b"):
        with pytest.raises((InputError, InvalidNameError)):
            await client.publish(bad)
    with pytest.raises(InputError):
        await client.publish("order.paid", "x" * 300_000)


async def test_the_jobs_that_are_declared_are_told_with_what_counts_for_them(client: AnyClient, field: Field) -> None:
    full = JobSettings(
        job="full",
        generation=3,
        uid="u-1",
        command=["python", "-m", "shop"],
        timeout_seconds=9.5,
        max_retries=2,
        jitter=False,
        payload_schema=msgspec.Raw(b'{"type":"object","maxProperties":3}'),
        suspend=True,
        triggers=[TriggerSettings(event="doc.*", payload="data")],
    )
    await field.bus.admin.apply_job(full)
    await field.bus.admin.apply_job(
        JobSettings(job="wh--crm", webhook=WebhookSettings(events=["*"], url="https://a.example"))
    )
    told = {one.job: one for one in await client.jobs()}
    assert sorted(told) == ["fail", "full", "greet", "wait"]
    assert told["greet"] == JobSettings(job="greet", max_retries=0, payload_max_bytes=900_000)
    schema = told["full"].payload_schema
    assert schema is not None
    assert msgspec.json.decode(schema) == {"type": "object", "maxProperties": 3}
    assert msgspec.structs.replace(told["full"], payload_schema=None) == msgspec.structs.replace(
        full, payload_schema=None
    )


async def test_events_are_handed_to_a_function_in_order_from_where_it_says(client: AnyClient) -> None:
    before = datetime.now(UTC) - timedelta(minutes=5)
    heard: dict[str, list[Any]] = {"new": [], "all": [], "two": [], "time": []}
    await client.publish("doc.made", 1)
    subscriptions = [
        await client.subscribe("doc.*", lambda event: heard["new"].append(event.data)),
        await client.subscribe("*", lambda event: heard["all"].append((event.type, event.data)), start="all"),
        await client.subscribe(
            ["doc.made", "order.*"], lambda event: heard["two"].append(event.data), start=timedelta(minutes=5)
        ),
        await client.subscribe("doc.made", lambda event: heard["time"].append(event.data), start=before),
    ]
    for number, kind in enumerate(["doc.made", "order.made", "doc.gone"], start=2):
        await client.publish(kind, number)
    everything = [("doc.made", 1), ("doc.made", 2), ("order.made", 3), ("doc.gone", 4)]
    wanted = {"new": [2, 4], "all": everything, "two": [1, 2, 3], "time": [1, 2]}
    await eventually(lambda: heard == wanted)
    await eventually(lambda: [one.handled for one in subscriptions] == [2, 4, 3, 2])
    for subscription in subscriptions:
        await subscription.stop()


async def test_an_event_that_a_function_cannot_take_is_handed_out_again(client: AnyClient) -> None:
    tried: list[int] = []

    def take(event: Event) -> None:
        tried.append(event.data)
        if tried.count(event.data) < 2:
            raise ValueError("not yet")

    policy = RetryPolicy(max_retries=2, initial_delay_seconds=0.01, jitter=False)
    async with await client.subscribe("doc.made", take, retry=policy) as subscription:
        await client.publish("doc.made", 1)
        await client.publish("doc.made", 2)
        await eventually(lambda: tried == [1, 1, 2, 2])
    assert subscription.failed == 2


async def test_messages_are_sent_and_those_that_cannot_be_are_refused(client: AnyClient) -> None:
    await client.broadcast("news.sport", {"goal": 1})
    await client.send_to_user("ada", "hello")
    with pytest.raises(InputError):
        await client.broadcast("No Topic", 1)
    with pytest.raises(InputError):
        await client.send_to_user("ada", "x" * 70_000)


async def test_filters_see_refuse_and_change_what_is_enqueued(client: AnyClient) -> None:
    class Mark(Filter):
        def __init__(self) -> None:
            self.created: list[str] = []

        def on_creating(self, creation: Creation) -> None:
            if creation.payload == b'{"name":"nobody"}':
                raise InputError("nobody is greeted", field="name")
            creation.options = creation.options.updated(labels={"marked": "yes"})

        def on_created(self, handle: Any) -> None:
            self.created.append(handle.id)

    mark = add_filter(Mark())
    try:
        handle = await client.enqueue("greet", {"name": "ada"})
        with pytest.raises(InputError, match="nobody"):
            await client.enqueue("greet", {"name": "nobody"})
        assert (await handle.status()).labels == {"marked": "yes"}
        assert isinstance(mark, Mark)
        assert mark.created == [handle.id]
    finally:
        remove_filter(mark)


async def test_events_are_read_again_from_and_until_where_one_says(client: AnyClient, field: Field) -> None:
    before = datetime.now(UTC) - timedelta(minutes=5)
    for number in range(450):
        event = Event(id=f"{number}", type="doc.made" if number % 3 else "order.made", source="/shop", data=number)
        await field.bus.events.publish(event.type, encode_event(event), event_id=event.id)
    await field.bus.events.publish("doc.made", b"no event at all", event_id="none")

    async def read(pattern: Any = "*", **bounds: Any) -> list[Any]:
        async with aclosing(client.events.read(pattern, **bounds)) as events:
            return [event.data async for event in events]

    assert await read() == list(range(450))
    assert await read("order.*") == list(range(0, 450, 3))
    assert await read(["doc.made", "order.made"], start=11, until=13) == [10, 11, 12]
    assert await read("doc.*", start=before, until=before) == []
    assert await read(start=before, until=datetime.now(UTC) + timedelta(minutes=5)) == list(range(450))
    assert await read("doc.*", start=449) == [448, 449]
    assert await read("nothing.*") == await read(start=10_000) == []
    with pytest.raises(InputError):
        await read(start=0)
    with pytest.raises(InvalidNameError):
        await read("No Type")


async def test_events_are_followed_from_where_one_says(client: AnyClient) -> None:
    for number in range(3):
        await client.publish("doc.made", number)
    heard: list[Any] = []
    async with aclosing(client.events.follow("doc.*", start=2)) as events:
        async for event in events:
            heard.append(event.data)
            if event.data == 2:
                await client.publish("order.made", "not asked for")
                await client.publish("doc.made", 3)
            if event.data == 3:
                break
    assert heard == [1, 2, 3]


async def test_events_that_a_subscription_gave_up_are_looked_after(client: AnyClient, field: Field) -> None:
    tried: list[int] = []

    def fail(event: Event) -> None:
        tried.append(event.data)
        raise ValueError("no such thing")

    async def find_dead() -> list[DeadEvent]:
        return await client.events.dead("mails")

    over_nats = Client(bus=field.bus)
    async with await over_nats.subscribe("doc.*", fail, durable="mails", start="all", retry=0):
        await client.publish("doc.made", 7)
        [dead] = await eventually(find_dead)
        assert (dead.subscription, dead.attempts, dead.error.type) == ("mails", 1, "ValueError")
        assert (dead.event or {})["data"] == 7
        [info] = await client.events.subscriptions()
        assert (info.name, info.patterns, info.waiting) == ("mails", ("doc.*",), 0)
        await client.events.retry("mails", dead.seq)
        await eventually(lambda: tried == [7, 7])
        await eventually(find_dead)
    assert await client.events.dead() == await find_dead()
    await client.events.discard("mails", dead.seq)
    assert await find_dead() == []
    for resolve in (client.events.discard, client.events.retry):
        with pytest.raises(NotFoundError):
            await resolve("mails", dead.seq)
    await client.events.unsubscribe("mails")
    assert await client.events.subscriptions() == []
    await client.events.unsubscribe("mails")


def list_parameters(kind: type, name: str) -> tuple[str, ...]:
    code = getattr(kind, name).__code__
    return tuple(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])


def list_methods(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_both_have_the_same_methods() -> None:
    """… but for schedules, which are declared where the declarations are: through the gateway."""
    own = list_methods(HttpClient) - {"schedule", "unschedule"}
    assert list_methods(Client) - own == {"connect", "subjects"}, "docs/how-to/http-client.md says what is not there"
    assert own - {"settings"} <= list_methods(Client)
    for name in sorted(own - {"events"}):
        assert list_parameters(HttpClient, name) == list_parameters(Client, name), name
    assert list_methods(HttpEventDesk) == list_methods(EventDesk)
    for name in sorted(list_methods(EventDesk)):
        assert list_parameters(HttpEventDesk, name) == list_parameters(EventDesk, name), name
