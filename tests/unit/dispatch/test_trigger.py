"""Events enqueue jobs: each that is wanted, once, with what the Job is to be called with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from factories import make_settings
from jetmill.bus.memory import MemoryWorld
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.client.handling import make_trigger_id
from jetmill.errors import NoAnswerError
from jetmill.protocol.event import Event
from jetmill.protocol.record import TriggerSettings
from jetmill_operator.api.job import Job
from jetmill_operator.dispatch.trigger import TriggerRouter
from support.wait import eventually


@pytest.fixture
def world() -> MemoryWorld:
    return MemoryWorld("shop")


@pytest.fixture
async def client(world: MemoryWorld) -> AsyncIterator[Client]:
    client = Client(bus=world.connect())
    await client.connect()
    yield client
    await (await client.connect()).link.close()


async def declare(client: Client, job: str = "ship", *triggers: dict[str, Any], **fields: Any) -> None:
    """Through the model, as an operator would."""
    manifest = {
        "apiVersion": "jetmill.dev/v1alpha1",
        "kind": "Job",
        "metadata": {"name": job, "namespace": "shop"},
        "spec": {"handler": "tasks:run", "triggers": list(triggers), **fields},
    }
    await (await client.connect()).admin.apply_job(Job.model_validate(manifest).to_settings())


@asynccontextmanager
async def routing(bus: Bus) -> AsyncIterator[TriggerRouter]:
    router = TriggerRouter(bus)
    task = asyncio.create_task(router.run())
    try:
        yield router
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def wait_for_job(client: Client, event_id: str, job: str = "ship", *, source: str = "/jetmill/shop") -> Any:
    job_id = make_trigger_id(job, Event(id=event_id, type="x", source=source))
    bus = await client.connect()
    await eventually(lambda: bus.ledger.read(job_id), what=f"the job of {event_id}")
    return await client.status(job_id)


async def ids(client: Client, job: str = "ship") -> set[str]:
    return {one.id for one in await client.list(job=job)}


@pytest.mark.field("Job.spec.triggers.event")
async def test_an_event_enqueues_a_job_of_each_job_that_names_it(world: MemoryWorld, client: Client) -> None:
    await declare(client, "ship", {"event": "order.placed"})
    await declare(client, "audit", {"event": "order.*"})
    await declare(client, "report")
    async with routing(world.connect()) as router:
        await client.publish("order.placed", {"n": 1}, id="e1", user="ada", extensions={"traceparent": "00-1-2-01"})
        await client.publish("order.paid", {"n": 2}, id="e2")
        status = await wait_for_job(client, "e1")
        await wait_for_job(client, "e1", "audit")
        await wait_for_job(client, "e2", "audit")
        assert router.enqueued == 3
    assert (status.user, status.labels) == ("ada", {"event": "order.placed"})
    assert status.payload["event"]["data"] == {"n": 1}
    assert status.payload["event"]["specversion"] == "1.0"
    assert len(await ids(client)) == 1


@pytest.mark.field("Job.spec.triggers.filter")
async def test_a_filter_decides_and_one_that_cannot_be_asked_says_no(world: MemoryWorld, client: Client) -> None:
    await declare(client, "ship", {"event": "order.*", "filter": "event.data.amount > 100"})
    with capture_logs() as logs:
        async with routing(world.connect()) as router:
            for event_id, data in (("low", {"amount": 5}), ("none", {}), ("text", {"amount": "x"})):
                await client.publish("order.placed", data, id=event_id)
            await client.publish("order.placed", {"amount": 101}, id="high")
            await wait_for_job(client, "high")
            assert router.filter_failures == 2
    assert len(await ids(client)) == 1
    assert [entry["event"] for entry in logs].count("expression_failed") == 1


@pytest.mark.field("Job.spec.triggers.payload")
async def test_a_job_is_called_with_the_event_or_with_its_data(world: MemoryWorld, client: Client) -> None:
    await declare(client, "ship", {"event": "order.placed", "payload": "Data"})
    await declare(client, "audit", {"event": "order.placed", "payload": "Event"})
    async with routing(world.connect()):
        await client.publish("order.placed", {"order": 7}, id="e1")
        assert (await wait_for_job(client, "e1")).payload == {"order": 7}
        assert (await wait_for_job(client, "e1", "audit")).payload["event"]["id"] == "e1"


async def test_an_event_that_comes_again_enqueues_nothing_more(world: MemoryWorld, client: Client) -> None:
    await declare(client, "ship", {"event": "order.*"}, {"event": "order.placed"})
    async with routing(world.connect()) as router:
        await client.publish("order.placed", {"n": 1}, id="e1")
        await wait_for_job(client, "e1")
        world.clock.move(600)  # the bus has forgotten the id
        await client.publish("order.placed", {"n": 1}, id="e1")
        await client.publish("order.placed", {"n": 2}, id="e2")
        await wait_for_job(client, "e2")
        assert router.enqueued == 2
    assert len(await ids(client)) == 2


async def test_routers_that_route_the_same_make_the_same_jobs(world: MemoryWorld, client: Client) -> None:
    await declare(client, "ship", {"event": "order.*"})
    routers = [TriggerRouter(world.connect()) for _ in range(2)]
    bus = await client.connect()
    for number in range(30):
        await client.publish("order.placed", {"n": number}, id=f"e{number}")
    for router in routers:
        await bus.admin.watch_settings(router._note)
    messages = await bus.events.read()
    await asyncio.gather(*(router.take(messages) for router in routers))
    assert len(await ids(client)) == 30
    assert sum(router.enqueued for router in routers) == 30


async def test_triggers_come_and_go_with_the_job(world: MemoryWorld, client: Client) -> None:
    bus = await client.connect()
    await declare(client, "ship")
    async with routing(world.connect()):
        await client.publish("order.placed", {}, id="before")
        await declare(client, "audit", {"event": "order.placed"})
        await declare(client, "ship", {"event": "order.placed"})
        await eventually(lambda: _routes(client, "e"), every_seconds=0.05, what="the trigger to be known")
        await client.publish("order.placed", {}, id="last")
        await wait_for_job(client, "last")
        await bus.admin.remove_job("ship")
        await client.publish("order.placed", {}, id="after")
        await wait_for_job(client, "after", "audit")
    found = await ids(client)
    assert make_trigger_id("ship", Event(id="after", type="x", source="/jetmill/shop")) not in found


async def _routes(client: Client, prefix: str) -> bool:
    count = len(await ids(client))
    await client.publish("order.placed", {}, id=f"{prefix}{count}-{asyncio.get_running_loop().time()}")
    return count > 0


async def test_a_job_is_not_triggered_by_what_its_own_jobs_tell(world: MemoryWorld, client: Client) -> None:
    await declare(client, "ship", {"event": "job.*"})
    await declare(client, "audit", {"event": "job.*"})
    source = "/jetmill/shop/ship"
    async with routing(world.connect()):
        await client.publish("job.succeeded", {"job": "ship"}, id="own", source=source)
        await wait_for_job(client, "own", "audit", source=source)
        await client.publish("job.succeeded", {"job": "mail"}, id="other", source="/jetmill/shop/mail")
        await wait_for_job(client, "other", source="/jetmill/shop/mail")
    assert len(await ids(client)) == 1


async def test_a_schedule_of_the_jobs_name_is_not_the_job(world: MemoryWorld, client: Client) -> None:
    await declare(client, "ship", {"event": "schedule.missed"})
    async with routing(world.connect()):
        await client.publish("schedule.missed", {}, id="m1", source="/jetmill/shop/ship")
        await wait_for_job(client, "m1", source="/jetmill/shop/ship")


async def test_what_is_no_event_is_passed_over(world: MemoryWorld, client: Client) -> None:
    bus = await client.connect()
    await declare(client, "ship", {"event": "*"})
    async with routing(world.connect()) as router:
        await bus.events.publish("order.placed", b"no json", event_id="bad")
        await client.publish("order.placed", {}, id="good")
        await wait_for_job(client, "good")
        assert router.unreadable == 1


async def test_what_the_ledger_did_not_answer_is_routed_again(world: MemoryWorld, client: Client) -> None:
    bus = await client.connect()
    await declare(client, "ship", {"event": "order.*"})
    router = TriggerRouter(world.connect())
    stop = await bus.admin.watch_settings(router._note)
    await client.publish("order.placed", {}, id="e1")
    messages = await bus.events.read()
    world.faults.fail(NoAnswerError("away"), "append")
    await router.take(messages)
    await router.take(messages)
    stop()
    assert len(await ids(client)) == 1


async def test_what_a_schema_refuses_is_a_job_that_can_be_seen(world: MemoryWorld, client: Client) -> None:
    await declare(client, "ship", {"event": "order.*", "payload": "Data"}, payload={"schema": {"required": ["order"]}})
    async with routing(world.connect()):
        await client.publish("order.placed", {"colour": "red"}, id="e1")
        assert (await wait_for_job(client, "e1")).state == "queued"


def test_a_trigger_that_this_version_cannot_obey_is_said_and_the_others_work() -> None:
    from jetmill_operator.dispatch.trigger import build_triggers

    settings = make_settings(
        "ship",
        triggers=[
            TriggerSettings(event="order.*", expression="event.data >>"),
            TriggerSettings(event="order.>"),
            TriggerSettings(event="order.placed"),
        ],
    )
    with capture_logs() as logs:
        [trigger] = build_triggers(settings)
    assert trigger.pattern.text == "order.placed"
    assert [entry["event"] for entry in logs] == ["trigger_unusable"] * 2


def test_settings_with_triggers_travel() -> None:
    from jetmill.protocol.codec import decode_settings, encode

    plain, full = make_settings(), make_settings(triggers=[TriggerSettings(event="a.*", expression="true")])
    assert b"triggers" not in encode(plain)
    assert decode_settings(encode(full)) == full
    assert msgspec.json.decode(encode(full))["triggers"] == [{"event": "a.*", "expression": "true"}]
