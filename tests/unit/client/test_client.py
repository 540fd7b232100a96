"""The client on a bus in memory: what it accepts, what it says, what it refuses."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from factories import JOB, make_error, make_settings
from jetmill.client.client import Client
from jetmill.client.declaration import Registry, job
from jetmill.client.filter import Creation, Filter, add_filter, remove_filter
from jetmill.client.handle import JobHandle
from jetmill.client.submission import Item
from jetmill.errors import (
    ConfigError,
    InputError,
    InvalidNameError,
    InvalidPayloadError,
    JobFailedError,
    JobNotFoundError,
    JobStateError,
    PayloadTooLargeError,
    UnknownJobError,
)
from jetmill.protocol.outcome import Failed, Succeeded
from jetmill.protocol.state import Reason, State
from support.bench import RETRY, Hand, MemoryBench
from support.wait import soon

FAILED = Failed(Reason.NON_RETRYABLE, make_error())


async def test_a_jobs_status_tells_everything_of_it(client: Client, bench: MemoryBench, hand: Hand) -> None:
    handle = await client.enqueue(
        JOB, {"to": "ada"}, id="order-1", priority=1, labels={"team": "shop"}, user="bob", max_retries=5, timeout=9
    )
    assert handle.created
    status = await handle.status()
    assert (status.state, status.payload, status.priority, status.namespace) == (
        "queued",
        {"to": "ada"},
        "high",
        "shop",
    )
    assert (status.user, status.labels, status.max_retries, status.timeout_seconds) == ("bob", {"team": "shop"}, 5, 9)
    assert [(one.state, one.by) for one in status.history] == [("queued", "ada")]


async def test_a_finished_jobs_status_has_its_times_its_worker_and_its_result(
    client: Client, bench: MemoryBench, hand: Hand
) -> None:
    handle = await client.enqueue(JOB, {"to": "ada"})
    claim = await hand.start()
    bench.pass_time(3)
    await hand.settle(claim, Succeeded(b'{"sent":true}'))
    status = await handle.status()
    assert (status.state, status.result, status.worker, status.duration_seconds) == (
        "succeeded",
        {"sent": True},
        "worker-1",
        3,
    )
    assert status.started is not None
    assert status.finished is not None
    assert status.finished - status.started == timedelta(seconds=3)
    assert [one.state for one in status.history] == ["queued", "running", "succeeded"]
    assert await handle.result() == {"sent": True}
    assert msgspec.json.decode(msgspec.json.encode(status))["state"] == "succeeded"


async def test_the_same_id_again_is_the_same_job(client: Client, bench: MemoryBench) -> None:
    first = await client.enqueue(JOB, {}, id="order-1")
    bench.pass_time(1)
    again = await client.enqueue(JOB, {}, id="order-1")
    assert (first.created, again.created) == (True, False)
    assert first == again


async def test_an_unknown_job_is_refused_with_the_known_names(client: Client) -> None:
    with pytest.raises(UnknownJobError, match=JOB):
        await client.enqueue("send-mail", {})


async def test_a_job_declared_later_is_found(client: Client, bench: MemoryBench) -> None:
    with pytest.raises(UnknownJobError):
        await client.enqueue("later", {})
    await bench.bus.admin.apply_job(make_settings("later"))
    assert (await client.enqueue("later", {})).job == "later"


async def test_on_memory_the_decorator_declares_the_job(client: Client, registry: Registry) -> None:
    @job(registry=registry, max_retries=9)
    def tidy_up(days: int) -> None: ...

    await client.enqueue(tidy_up, {"days": 3})
    assert [settings.max_retries for settings in await client.jobs() if settings.job == "tidy-up"] == [9]
    with pytest.raises(InvalidPayloadError) as caught:
        await client.enqueue("tidy-up", {"days": "many"})
    assert caught.value.field == "days"


async def test_a_large_payload_lies_in_the_object_store(client: Client, bench: MemoryBench) -> None:
    handle = await client.enqueue(JOB, {"text": "x" * 600_000}, id="big")
    status = await handle.status()
    assert status.payload is None
    assert status.payload_ref is not None
    assert status.payload_ref.bytes == 600_011
    assert len((await client.payload("big"))["text"]) == 600_000
    bench.pass_time(1)
    await client.enqueue(JOB, {"text": "y" * 600_000}, id="big")
    assert (await client.payload("big"))["text"][0] == "x", "the id has its payload already"
    assert len(bench.world.payloads) == 1, "nobody points to the second one"


@pytest.mark.field("Job.spec.payload.maxBytes")
async def test_a_payload_over_the_jobs_limit_is_refused(client: Client) -> None:
    with pytest.raises(PayloadTooLargeError, match="1000000"):
        await client.enqueue(JOB, {"text": "x" * 1_000_000})
    assert await client.list() == []


@pytest.mark.field("Job.spec.payload.schema")
async def test_a_payload_that_the_schema_refuses_names_the_field_and_hides_the_value(
    client: Client, bench: MemoryBench
) -> None:
    schema = msgspec.Raw(b'{"type":"object","properties":{"to":{"type":"object","properties":{"age":{"maximum":9}}}}}')
    await bench.bus.admin.apply_job(make_settings("strict", payload_schema=schema))
    await client.enqueue("strict", {"to": {"age": 9}})
    with pytest.raises(InvalidPayloadError) as caught:
        await client.enqueue("strict", {"to": {"age": 1234}})
    assert caught.value.field == "to.age"
    assert "1234" not in str(caught.value)


@pytest.mark.parametrize("where", ["http://127.0.0.1:9/schema.json", "file:///etc/hostname"])
async def test_a_schema_makes_nobody_fetch_what_it_refers_to(client: Client, bench: MemoryBench, where: str) -> None:
    schema = msgspec.Raw(msgspec.json.encode({"$ref": where}))
    await bench.bus.admin.apply_job(make_settings("elsewhere", payload_schema=schema))
    with pytest.raises(ConfigError, match="is not fetched"):
        await client.enqueue("elsewhere", {})


async def test_a_changed_schema_counts_from_then_on(client: Client, bench: MemoryBench) -> None:
    await client.enqueue(JOB, {"a": 1})
    strict = make_settings(payload_schema=msgspec.Raw(b'{"required":["to"]}'))
    await bench.bus.admin.apply_job(strict)
    await asyncio.sleep(0)
    with pytest.raises(InvalidPayloadError, match="to"):
        await client.enqueue(JOB, {"a": 1})


async def test_many_calls_give_an_answer_each_in_order(client: Client, registry: Registry) -> None:
    @job(JOB, registry=registry)
    def send(to: str) -> None: ...

    answers = await client.enqueue_many(
        send, [{"to": "a"}, {"to": 3}, Item({"to": "b"}, id="b", delay=60), {"wrong": 1}, Item({"to": "c"}, id="b")]
    )
    kinds = [type(answer) for answer in answers]
    assert kinds == [JobHandle, InvalidPayloadError, JobHandle, InvalidPayloadError, JobHandle]
    assert [answer.created for answer in answers if isinstance(answer, JobHandle)] == [True, True, False]
    assert (await client.status("b")).state == "scheduled"


async def test_ten_thousand_calls_are_ten_thousand_jobs(client: Client) -> None:
    answers = await client.enqueue_many(JOB, ({"n": n} for n in range(10_000)))
    assert len({answer.id for answer in answers if isinstance(answer, JobHandle)}) == 10_000
    assert (await client.stats(JOB))[0].ready == 10_000


async def test_a_delay_waits_in_the_server(client: Client, bench: MemoryBench, hand: Hand) -> None:
    handle = await client.enqueue(JOB, {}, delay=60)
    assert (await handle.status()).state == "scheduled"
    hand.taker.pull.want(1)
    bench.pass_time(59)
    assert hand.taker.taken == []
    bench.pass_time(1.1)
    assert (await hand.taker.next()).id == handle.id


async def test_waiting_ends_when_the_job_does(client: Client, hand: Hand) -> None:
    handle = await client.enqueue(JOB, {})
    waiting = asyncio.create_task(handle.result(timeout=60))
    await hand.settle(await hand.start())
    assert await soon(waiting) == 42


async def test_waiting_for_a_retried_job_does_not_take_its_first_end_for_the_last(client: Client, hand: Hand) -> None:
    handle = await client.enqueue(JOB, {})
    await hand.settle(await hand.start(), FAILED)
    await client.retry(handle.id)
    waiting = asyncio.create_task(handle.wait())
    await hand.settle(await hand.start())
    assert (await soon(waiting)).state == "succeeded"


async def test_waiting_in_vain_is_a_timeout(client: Client) -> None:
    handle = await client.enqueue(JOB, {})
    with pytest.raises(TimeoutError):
        await handle.wait(timeout=0.01)


@pytest.mark.parametrize("count", [2, 20])
async def test_many_are_waited_for_in_the_order_given(client: Client, hand: Hand, count: int) -> None:
    answers = await client.enqueue_many(JOB, [{}] * count)
    ids = [answer.id for answer in answers if isinstance(answer, JobHandle)]
    await hand.settle(await hand.start(), FAILED)
    heard: list[str] = []
    waiting = asyncio.create_task(client.wait_many(ids, on_final=lambda one: heard.append(one.id)))
    for _ in range(count - 1):
        await hand.settle(await hand.start())
    ended = await soon(waiting)
    assert [one.id for one in ended] == ids
    assert sorted(heard) == sorted(ids)
    assert sorted(one.state for one in ended) == ["failed", *["succeeded"] * (count - 1)]


async def test_the_result_of_a_failed_job_is_an_error_that_says_how(client: Client, hand: Hand) -> None:
    handle = await client.enqueue(JOB, {})
    await hand.settle(await hand.start(), FAILED)
    with pytest.raises(JobFailedError, match="ValueError: no such thing") as caught:
        await handle.result()
    assert (caught.value.state, caught.value.reason) == ("failed", "non_retryable")


async def test_a_large_result_is_fetched(client: Client, bench: MemoryBench, hand: Hand) -> None:
    from jetmill.protocol.record import PayloadRef

    handle = await client.enqueue(JOB, {})
    await bench.bus.payloads.put("r", b"[1]")
    await hand.settle(await hand.start(), Succeeded(result_ref=PayloadRef(name="r", bytes=3, sha256="")))
    assert await handle.result() == [1]


async def test_a_person_can_cancel_retry_and_discard(client: Client, hand: Hand) -> None:
    handle = await client.enqueue(JOB, {})
    assert (await handle.cancel()).state == "cancelled"
    with pytest.raises(JobStateError):
        await client.discard(handle.id)
    again = await client.retry(handle.id)
    assert (again.state, again.by, again.enqueueing) == ("queued", "ada", 2)
    await hand.settle(await hand.start(), FAILED)
    assert (await client.discard(handle.id)).state == "discarded"
    with pytest.raises(JobStateError):
        await client.retry(handle.id)


async def test_a_scheduled_job_can_be_moved(client: Client, bench: MemoryBench) -> None:
    handle = await client.enqueue(JOB, {}, delay=60)
    moved = await client.reschedule(handle.id, delay=timedelta(hours=1))
    assert moved.due is not None
    assert round((moved.due - moved.time).total_seconds()) == 3600
    with pytest.raises(InputError):
        await client.reschedule(handle.id)


@pytest.mark.parametrize("call", ["status", "wait", "cancel", "retry", "discard", "payload", "result"])
async def test_a_job_that_is_not_there_is_said_so(client: Client, call: str) -> None:
    with pytest.raises(JobNotFoundError):
        await getattr(client, call)("no-such-job")
    with pytest.raises(InvalidNameError):
        await getattr(client, call)("no.such.*")


async def test_the_list_is_by_job_state_and_time_newest_first(client: Client, bench: MemoryBench, hand: Hand) -> None:
    await bench.bus.admin.apply_job(make_settings("other"))
    first = await client.enqueue(JOB, {})
    await hand.settle(await hand.start(), RETRY)
    bench.pass_time(5)
    second = await client.enqueue("other", {})
    assert [one.id for one in await client.list()] == [second.id, first.id]
    assert [one.id for one in await client.list(limit=1)] == [second.id]
    assert [one.id for one in await client.list(job=JOB)] == [first.id]
    assert [one.id for one in await client.list(state="retrying")] == [first.id]
    assert [one.id for one in await client.list(state=["queued", State.FAILED])] == [second.id]
    assert len(await client.list(state="open")) == 2
    assert [one.id for one in await client.list(since=timedelta(seconds=2))] == [second.id]
    with pytest.raises(InputError, match="succeeded"):
        await client.list(state="done")


async def test_a_stream_goes_on_where_it_was_left(client: Client, hand: Hand) -> None:
    await client.enqueue(JOB, {}, id="a")
    seen = []
    async with aclosing(client.stream(start=1)) as stream:
        async for one in stream:
            seen.append((one.id, one.state))
            break
    await hand.settle(await hand.start())
    async with aclosing(client.stream(start=one.seq + 1)) as stream:
        async for one in stream:
            seen.append((one.id, one.state))
            if one.final:
                break
    assert seen == [("a", "queued"), ("a", "running"), ("a", "succeeded")]


async def test_logs_are_what_the_job_told(client: Client, bench: MemoryBench) -> None:
    handle = await client.enqueue(JOB, {})
    bench.bus.events.trace(handle.id, "log", b'{"message":"hello"}')
    bench.bus.events.trace(handle.id, "progress", b'{"fraction":0.5}')
    await asyncio.sleep(0)
    assert [line.data async for line in client.logs(handle.id)] == [b'{"message":"hello"}']
    assert [line.data async for line in client.logs(handle.id, kind="progress")] == [b'{"fraction":0.5}']


class Watching(Filter):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_creating(self, creation: Creation) -> None:
        self.seen.append(f"creating {creation.job}")
        if creation.payload == b'{"to":"bad"}':
            raise InputError("not him", field="to")
        creation.options = creation.options.updated(user="filter")

    async def on_created(self, handle: JobHandle) -> None:
        self.seen.append(f"created {handle.job}")


async def test_filters_see_refuse_and_change_what_is_enqueued(client: Client) -> None:
    watching = Watching()
    add_filter(watching)
    try:
        handle = await client.enqueue(JOB, {"to": "ada"})
        with pytest.raises(InputError, match="not him"):
            await client.enqueue(JOB, {"to": "bad"})
        answers = await client.enqueue_many(JOB, [{"to": "bad"}, {"to": "bob"}])
    finally:
        remove_filter(watching)
    assert (await handle.status()).user == "filter"
    assert [type(answer) for answer in answers] == [InputError, JobHandle]
    assert watching.seen[:3] == [f"creating {JOB}", f"created {JOB}", f"creating {JOB}"]


async def test_stats_and_workers_say_who_works(client: Client, hand: Hand) -> None:
    await client.enqueue(JOB, {})
    (stats,) = await client.stats()
    assert (stats.job, stats.ready, stats.workers, stats.slots) == (JOB, 1, 1, 10)
    assert [worker.worker for worker in await client.workers()] == ["worker-1"]


async def test_a_closed_client_says_so(bench: MemoryBench, registry: Registry) -> None:
    client = Client(bus=bench.bus, registry=registry)
    await client.close()
    await client.close()
    with pytest.raises(Exception, match="closed"):
        await client.enqueue(JOB, {})
    assert bench.bus.link.connected, "a bus that was given stays open"


async def test_what_is_given_by_hand_is_checked_like_what_comes_by_name(client: Client) -> None:
    payloads: list[Any] = [b"[]", b"{", [1], {1: 2}]
    for payload in payloads:
        with pytest.raises(InvalidPayloadError):
            await client.enqueue(JOB, payload)
