"""The client for threads."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from factories import make_plan, make_settings
from jetmill.bus.memory import find_world
from jetmill.client.declaration import Registry, job
from jetmill.client.settings import ClientSettings
from jetmill.client.sync import SyncClient
from jetmill.errors import JetmillError, UnknownJobError, UnknownScheduleError

UID = "0f0e6c3c-0000-4000-8000-000000000001"


@pytest.fixture
def sync(registry: Registry) -> Iterator[SyncClient]:
    settings = ClientSettings(url=f"memory://{uuid.uuid4()}", run_jobs=False)
    with SyncClient(settings, registry=registry) as client:
        yield client


def test_it_serves_many_threads_at_once(sync: SyncClient, registry: Registry) -> None:
    @job(registry=registry)
    def count(number: int) -> None: ...

    with ThreadPoolExecutor(8) as pool:
        handles = list(pool.map(lambda number: sync.enqueue(count, {"number": number}), range(100)))
    assert len({handle.id for handle in handles}) == 100
    assert len(sync.list(limit=None)) == 100
    assert handles[3].status().payload == {"number": 3}
    assert handles[3].cancel().state == "cancelled"
    assert handles[3].wait().state == "cancelled"


def test_a_schedule_is_triggered(registry: Registry) -> None:
    name = str(uuid.uuid4())

    async def plan() -> None:
        bus = find_world(name, namespace="default").connect()
        await bus.admin.apply_namespace()
        await bus.admin.apply_job(make_settings())
        await bus.ledger.append_plan(UID, make_plan(schedule="nightly", complete=True), expected=0)
        await bus.link.close()

    asyncio.run(plan())
    with SyncClient(ClientSettings(url=f"memory://{name}", run_jobs=False), registry=registry) as sync:
        handle = sync.trigger("nightly", {"to": "eve"}, id="by-hand")
        assert (handle.id, handle.created, sync.trigger("nightly", id="by-hand").created) == ("by-hand", True, False)
        assert handle.status().payload == {"to": "eve"}
        with pytest.raises(UnknownScheduleError):
            sync.trigger("nobody")


def test_errors_come_through(sync: SyncClient) -> None:
    with pytest.raises(UnknownJobError):
        sync.enqueue("nope")


def test_a_stream_can_be_left(sync: SyncClient, registry: Registry) -> None:
    @job(registry=registry)
    def count(number: int) -> None: ...

    sync.enqueue_many(count, [{"number": 1}, {"number": 2}])
    first = next(iter(sync.stream(start=1)))
    assert (first.seq, first.state) == (1, "queued")


def test_a_key_is_an_option_here_too(sync: SyncClient, registry: Registry) -> None:
    @job(registry=registry)
    def count(number: int) -> None: ...

    status = sync.enqueue(count, {"number": 1}, concurrency_key="shop 7").status()
    assert (status.concurrency_key, status.concurrency_policy) == ("shop 7", "wait")


def test_a_closed_client_says_so(registry: Registry) -> None:
    client = SyncClient(ClientSettings(run_jobs=False), registry=registry)
    client.close()
    client.close()
    with pytest.raises(JetmillError, match="closed"):
        client.stats()
