"""Worker processes on a real nats-server: signals, deaths, blocked loops."""

from __future__ import annotations

import signal

import pytest

from integration.worker.conftest import Field
from jetmill.client.declaration import Registry, job
from jetmill.ledger.verify import verify
from jetmill.protocol.state import Reason, State
from jetmill.worker import Worker, WorkerExit, WorkerSettings
from support.nats import find_free_port
from support.wait import eventually, soon

pytestmark = pytest.mark.integration


async def test_a_worker_drains_on_sigterm_and_exits_with_0(field: Field) -> None:
    await field.declare("gated")
    worker = await field.spawn("gated")
    handle = await field.client.enqueue("gated")
    await field.wait_for_file("started-1")
    worker.send(signal.SIGTERM)
    await eventually(lambda: _all_draining(field))
    later = await field.client.enqueue("gated")
    (field.folder / "go").touch()
    assert await worker.wait() == WorkerExit.DRAINED
    assert (await handle.status()).state is State.SUCCEEDED
    assert (await later.status()).state is State.QUEUED
    assert await field.bus.presence.all() == []


async def _all_draining(field: Field) -> bool:
    return all(presence.draining for presence in await field.bus.presence.all())


async def test_what_outlasts_the_grace_period_is_given_to_another_worker_at_no_attempt(field: Field) -> None:
    await field.declare("gated")
    first = await field.spawn("gated", JETMILL_GRACE_SECONDS="0.1")
    handle = await field.client.enqueue("gated")
    name = await field.wait_for_file("started-1")
    first.send(signal.SIGTERM)
    assert await first.wait() == WorkerExit.DRAINED
    (field.folder / "go").touch()
    await field.spawn("gated")
    assert await soon(handle.result()) != name
    status = await handle.status()
    assert (status.attempt, status.crashes) == (1, 0)


async def test_a_second_sigterm_interrupts_at_once(field: Field) -> None:
    await field.declare("stubborn")
    worker = await field.spawn("stubborn", JETMILL_GRACE_SECONDS="60", JETMILL_STOP_SECONDS="60")
    handle = await field.client.enqueue("stubborn")
    await field.wait_for_file("started")
    worker.send(signal.SIGTERM)
    await eventually(lambda: _all_draining(field))
    worker.send(signal.SIGTERM)
    assert await worker.wait() == WorkerExit.DRAINED
    last = await field.bus.ledger.read(handle.id)
    assert last is not None
    assert (last.record.state, last.record.reason) == (State.QUEUED, Reason.INTERRUPTED)


async def test_a_job_of_a_killed_worker_is_taken_over(field: Field) -> None:
    await field.declare("gated", lease_seconds=5.0)
    first = await field.spawn("gated")
    handle = await field.client.enqueue("gated")
    name = await field.wait_for_file("started-1")
    await field.spawn("gated")
    first.send(signal.SIGKILL)
    (field.folder / "go").touch()
    taker = await soon(handle.result(), seconds=120)
    assert taker != name
    status = await handle.status()
    assert (status.attempt, status.crashes) == (1, 1)
    assert not (await verify(field.bus)).violations


@pytest.mark.slow
async def test_a_job_that_kills_its_workers_is_poison_and_others_go_on(field: Field) -> None:
    await field.declare("deadly", lease_seconds=2.0)
    await field.declare("noop", lease_seconds=2.0)
    handle = await field.client.enqueue("deadly")
    for _ in range(4):
        worker = await field.spawn("deadly", wait=False)  # it may be gone again before anybody sees it
        await worker.wait()
    await field.spawn("deadly", "noop")
    noop = await field.client.enqueue("noop")
    await soon(noop.wait(), seconds=120)
    await soon(handle.wait(), seconds=120)
    status = await handle.status()
    assert (status.state, status.reason, status.crashes) == (State.FAILED, Reason.POISON, 3)


async def test_a_handler_that_blocks_the_loop_for_longer_than_its_lease_keeps_it(field: Field) -> None:
    await field.declare("blocking", lease_seconds=4.0)
    await field.spawn("blocking")
    await field.spawn("blocking")
    handle = await field.client.enqueue("blocking", {"seconds": 9.0})
    name = await field.wait_for_file("started")
    assert await soon(handle.result(), seconds=120) == name
    status = await handle.status()
    assert (status.attempt, status.crashes) == (1, 0)
    assert len(await field.bus.ledger.read_chain(handle.id)) == 3


async def test_an_unreachable_server_is_said_by_the_exit_code(field: Field) -> None:
    worker = await field.spawn("noop", wait=False, JETMILL_NATS_URL=f"nats://127.0.0.1:{find_free_port()}")
    assert await worker.wait() == WorkerExit.UNREACHABLE


async def test_a_module_that_cannot_be_imported_is_said_by_the_exit_code(field: Field) -> None:
    worker = await field.spawn("noop", wait=False, JETMILL_IMPORT="no_such_module")
    assert await worker.wait() == WorkerExit.CONFIG


async def test_many_jobs_in_an_applications_own_loop(field: Field) -> None:
    registry = Registry()
    seen: list[int] = []

    @job(registry=registry)
    async def count(n: int) -> int:
        seen.append(n)
        return n

    await field.bus.admin.apply_job(count.settings())
    async with Worker(settings=WorkerSettings(connection=field.connection, jobs=("count",)), registry=registry):
        handles = await field.client.enqueue_many("count", [{"n": n} for n in range(2_000)])
        assert len(handles) == 2_000
        await eventually(lambda: len(seen) == 2_000, seconds=180)
    assert sorted(seen) == list(range(2_000))
    report = await verify(field.bus)
    assert not report.violations
    assert report.states == {"succeeded": 2_000}
