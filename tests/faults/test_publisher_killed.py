"""Publishers of transitions are killed at any moment, two of them at work: every record is an event all the same."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from factories import JOB, make_settings
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.errors import NotFoundError
from jetmill.ledger.submit import Submission, submit
from jetmill.protocol.event import decode_event
from jetmill.protocol.record import Entry
from jetmill_operator.dispatch.transition import NOTE
from support.dispatcher import DispatcherProcess
from support.nats import NatsServer
from support.wait import eventually

pytestmark = [pytest.mark.faults, pytest.mark.integration, pytest.mark.timeout(600)]
ROUNDS = max(3, int(os.environ.get("ROUNDS", "5")) // 5)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path) as server:
        yield server


@pytest.fixture
async def bus(server: NatsServer) -> AsyncIterator[Bus]:
    bus = await connect(BusOptions(url=server.url, namespace="shop"))
    await bus.admin.apply_namespace()
    await bus.admin.apply_job(make_settings())
    yield bus
    await bus.link.close()


async def read_records(bus: Bus) -> list[Entry]:
    last = await bus.ledger.last_seq()
    return [entry async for entries in bus.ledger.follow(until=last) for entry in entries]


async def read_event_ids(bus: Bus) -> list[str]:
    found: list[str] = []
    last = await bus.events.last_seq()
    if last:
        async for events in bus.events.follow():
            found += [decode_event(event.data).id for event in events]
            if events[-1].seq >= last:
                break
    return found


async def load(bus: Bus, stop: asyncio.Event) -> None:
    """Enqueue until told to stop, not far ahead of what is published."""

    async def near() -> bool:
        return stop.is_set() or await bus.ledger.last_seq() - await bus.events.last_seq() < 200

    while not stop.is_set():
        await asyncio.gather(*(submit(bus, Submission(job=JOB, payload=b"{}"), by="client:test") for _ in range(20)))
        await eventually(near, seconds=120, every_seconds=0.05)


async def test_no_transition_is_missing_after_publishers_were_killed_again_and_again(
    bus: Bus, server: NatsServer, tmp_path: Path
) -> None:
    environ = {"JETMILL_NATS_URL": server.url}
    stop = asyncio.Event()
    loading = asyncio.create_task(load(bus, stop))
    with ExitStack() as stack:
        others = stack.enter_context(DispatcherProcess.start(tmp_path, environ))
        await others.says("namespace_opened")
        for _ in range(ROUNDS):
            with DispatcherProcess.start(tmp_path, environ) as process:
                await process.says("namespace_opened")
                seen = await bus.events.last_seq()
                await eventually(partial(_grew, bus, seen), what="it to publish")
                await asyncio.sleep(random.uniform(0, 0.3))
                for victim in random.sample([process, others], random.choice([1, 2])):
                    victim.kill()
            if random.random() < 0.5:
                others = stack.enter_context(DispatcherProcess.start(tmp_path, environ))
        stop.set()
        await loading
        stack.enter_context(DispatcherProcess.start(tmp_path, environ))
        wanted = {f"{entry.id}-{entry.seq}" for entry in await read_records(bus)}

        async def complete() -> bool:
            return wanted <= set(await read_event_ids(bus))

        await eventually(complete, seconds=120, every_seconds=0.3, what="every record to be an event")
    ids = await read_event_ids(bus)
    assert set(ids) == wanted
    assert len(ids) == len(wanted), "all repeats came within the two minutes in which the server knows an id"


async def _grew(bus: Bus, seen: int) -> bool:
    return await bus.events.last_seq() > seen


async def test_an_events_stream_that_was_deleted_gets_what_could_not_be_published(
    bus: Bus, server: NatsServer, tmp_path: Path
) -> None:
    environ = {"JETMILL_NATS_URL": server.url}
    with DispatcherProcess.start(tmp_path, environ) as process:
        await process.says("namespace_opened")
        await submit(bus, Submission(job=JOB, payload=b"{}"), by="client:test")
        await eventually(lambda: _grew(bus, 0))
        await eventually(lambda: bus.notes.read(NOTE), what="its note")
        server.ask(f"$JS.API.STREAM.DELETE.{bus.subjects.events_stream}")
        job = await submit(bus, Submission(job=JOB, payload=b"{}"), by="client:test")
        await process.says("work_failed")
        with pytest.raises(NotFoundError):
            await bus.events.last_seq()
        await bus.admin.apply_namespace()

        async def there() -> bool:
            return any(event_id.startswith(job.id) for event_id in await read_event_ids(bus))

        await eventually(there, seconds=120)
        process.send(signal.SIGTERM)
        assert await process.wait() == 0
