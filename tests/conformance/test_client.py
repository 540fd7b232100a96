"""One suite for both clients: over NATS, and over HTTP through a real gateway. A program may use either.

A worker runs the jobs; what it does is told by the handlers below.
"""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from conformance.field import AnyClient, Field
from factories import make_data
from jetmill.client.client import Client
from jetmill.client.desk import EventDesk
from jetmill.client.filter import Creation, Filter, add_filter, remove_filter
from jetmill.client.handle import JobHandle
from jetmill.client.submission import Item
from jetmill.errors import (
    InputError,
    InvalidNameError,
    InvalidPayloadError,
    JobFailedError,
    JobNotFoundError,
    JobStateError,
    PayloadTooLargeError,
    UnknownJobError,
)
from jetmill.http import HttpClient
from jetmill.http.desk import HttpEventDesk
from jetmill.protocol.record import JobSettings, TriggerSettings, WebhookSettings
from jetmill.protocol.state import Reason, State
from support.wait import eventually, soon

pytestmark = [pytest.mark.conformance, pytest.mark.integration]


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
