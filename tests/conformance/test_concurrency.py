"""Keys of which one job at a time is begun: through the client and a worker, on every adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from conformance.place import Place
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.client.concurrency import ConcurrencyPolicy
from jetmill.client.declaration import Registry, job
from jetmill.client.handle import JobHandle
from jetmill.client.settings import ClientSettings
from jetmill.client.submission import Item
from jetmill.ledger.verify import verify
from jetmill.protocol.state import Reason, State
from jetmill.worker import JobContext, Worker, WorkerSettings
from support.wait import eventually, soon


class Floor:
    """A client, a worker with slots for all, and a handler that runs until it is let go."""

    def __init__(self, place: Place, bus: Bus, stack: AsyncExitStack) -> None:
        self.bus = bus
        self._place = place
        self._stack = stack
        self.registry = Registry()
        self.running: dict[str, asyncio.Event] = {}
        self.most = 0
        job(registry=self.registry, name="report")(self._report)
        job(registry=self.registry, name="export")(self._report)

    async def open(self) -> None:
        for handler in self.registry:
            await self.bus.admin.apply_job(handler.settings())
        self.client = await self._stack.enter_async_context(Client(bus=self.bus, registry=self.registry))
        settings = WorkerSettings(
            connection=ClientSettings(url=self._place.url, namespace=self._place.namespace),
            jobs=("report", "export"),
            grace_seconds=0.0,
        )
        bus = await self._place.connect()
        await self._stack.enter_async_context(Worker(settings=settings, registry=self.registry, bus=bus))

    async def _report(self, ctx: JobContext) -> None:
        self.running[ctx.id] = asyncio.Event()
        self.most = max(self.most, len(self.running))
        try:
            await self.running[ctx.id].wait()
        finally:
            del self.running[ctx.id]

    async def enqueue(self, key: str, policy: ConcurrencyPolicy | None, *, name: str = "report") -> JobHandle:
        return await self.client.enqueue(name, concurrency_key=key, concurrency_policy=policy)

    async def started(self, handle: JobHandle) -> None:
        """Wait until its handler runs; the bus's clock goes on meanwhile."""
        async with asyncio.timeout(60):
            while handle.id not in self.running:
                await self._place.pass_time(0.1)
                await asyncio.sleep(0)

    async def end(self, handle: JobHandle) -> None:
        self.running[handle.id].set()
        await soon(handle.wait())


@pytest.fixture
async def floor(place: Place, bus: Bus) -> AsyncIterator[Floor]:
    async with AsyncExitStack() as stack:
        floor = Floor(place, bus, stack)
        await floor.open()
        yield floor
    assert (await verify(bus)).clean


async def test_a_job_waits_until_its_key_is_free(floor: Floor) -> None:
    first = await floor.enqueue("shop 7", None)
    await floor.started(first)
    second = await floor.enqueue("shop 7", None)
    other = await floor.enqueue("shop 8", None)
    await floor.started(other)
    assert (await second.status()).state is State.QUEUED
    await floor.end(first)
    await floor.started(second)
    await floor.end(second)
    await floor.end(other)


async def test_a_key_is_one_for_all_jobs_of_the_namespace(floor: Floor) -> None:
    first = await floor.enqueue("shop", "skip")
    await floor.started(first)
    second = await floor.enqueue("shop", "skip", name="export")
    await soon(second.wait())
    assert (await second.status()).state is State.SKIPPED
    await floor.end(first)


async def test_a_job_is_skipped_while_its_key_is_held_and_runs_once_it_is_free(floor: Floor) -> None:
    first = await floor.enqueue("daily", "skip")
    await floor.started(first)
    second = await floor.enqueue("daily", "skip")
    await soon(second.wait())
    status = await second.status()
    assert (status.state, status.reason) == (State.SKIPPED, Reason.OVERLAP)
    assert (status.concurrency_key, status.concurrency_policy) == ("daily", "skip")
    await floor.end(first)
    third = await floor.enqueue("daily", "skip")
    await floor.started(third)
    await floor.end(third)


async def test_a_job_replaces_the_one_that_holds_its_key(floor: Floor) -> None:
    first = await floor.enqueue("preview", "replace")
    await floor.started(first)
    second = await floor.enqueue("preview", "replace")
    await soon(first.wait())
    assert (await first.status()).state is State.CANCELLED
    await floor.started(second)
    await floor.end(second)


async def test_many_with_one_key_run_one_after_the_other(floor: Floor) -> None:
    handles = await floor.client.enqueue_many("report", [Item(concurrency_key="one") for _ in range(3)])
    left = {handle.id: handle for handle in handles if isinstance(handle, JobHandle)}
    async with asyncio.timeout(60):
        while left:
            while not floor.running:
                await floor._place.pass_time(0.1)
                await asyncio.sleep(0)
            [running] = floor.running
            await floor.end(left.pop(running))
            await eventually(lambda gone=running: gone not in floor.running)  # type: ignore[misc]
    assert floor.most == 1
