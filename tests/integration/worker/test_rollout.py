"""What changes under running workers: handlers that only the newer ones know, and Jobs that come to ride on them."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from integration.worker.conftest import HERE, Field, WorkerProcess
from jetmill.client.handle import JobHandle
from jetmill.ledger.verify import verify
from jetmill.protocol.record import JobSettings
from jetmill.protocol.state import Reason, State
from jetmill.worker import WorkerExit
from support.raw import Raw
from support.taker import Taker
from support.wait import eventually, soon

pytestmark = pytest.mark.integration

OLD = "async def old(n: int) -> str:\n    return 'old'\n"
NEW = OLD + "async def new(n: int) -> str:\n    return 'new'\n"
GATED = """
import asyncio
from live_jobs import FOLDER

async def gated(n: int) -> str:
    while not (FOLDER / "go").exists():
        await asyncio.sleep(0.01)
    return "new"
"""


def write_code(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "rollout_code.py").write_text(text)


async def spawn(field: Field, folder: Path, text: str, **environ: str) -> WorkerProcess:
    """A worker whose image holds this code, serving `rollout` and `noop`."""
    write_code(folder, text)
    return await field.spawn("rollout", "noop", wait=True, PYTHONPATH=f"{folder}:{HERE}", **environ)


async def declare(field: Field, function: str, **settings: Any) -> None:
    await field.bus.admin.apply_job(JobSettings(job="rollout", handler=f"rollout_code:{function}", **settings))


async def enqueue(field: Field, count: int) -> list[JobHandle]:
    handles = await field.client.enqueue_many("rollout", [{"n": n} for n in range(count)])
    return [handle for handle in handles if isinstance(handle, JobHandle)]


async def ends(handles: list[JobHandle]) -> set[str]:
    """The results, when all are there: each job succeeded at its first attempt, with no record more than that takes."""
    results = await soon(asyncio.gather(*(handle.result() for handle in handles)), seconds=120)
    for status in await asyncio.gather(*(handle.status() for handle in handles)):
        assert (status.state, status.attempt, status.crashes) == (State.SUCCEEDED, 1, 0)
        assert [step.state for step in status.history] == [State.QUEUED, State.RUNNING, State.SUCCEEDED]
    return set(results)


async def test_a_worker_that_never_knew_the_handler_leaves_its_jobs_to_one_that_does(
    field: Field, tmp_path: Path
) -> None:
    """A pod of the old image that starts in the middle of a rollout takes none of them, not even to give it back."""
    await declare(field, "new")
    await field.declare("noop")
    await spawn(field, tmp_path / "old", OLD)
    handles = await enqueue(field, 100)
    await soon((await field.client.enqueue("noop")).wait())
    async with Raw.connect(field.url) as raw:
        there = await raw.consumer(field.bus.subjects.queue_stream("rollout"), "normal")
        assert (there["num_pending"], there["delivered"]["consumer_seq"], there["num_waiting"]) == (100, 0, 0)
    await spawn(field, tmp_path / "new", NEW)
    assert await ends(handles) == {"new"}
    assert not (await verify(field.bus)).violations


async def test_a_rollout_under_load_fails_no_job_and_spends_no_attempt(field: Field, tmp_path: Path) -> None:
    """The manifest changes at once, the pods one after the other: the old one goes on with what it has."""
    await declare(field, "old")
    await field.declare("noop")
    old = await spawn(field, tmp_path / "old", OLD)
    assert await ends(await enqueue(field, 50)) == {"old"}
    before = await enqueue(field, 100)
    await declare(field, "new", generation=2)
    meanwhile = await enqueue(field, 100)
    assert await ends(before) == {"old"}
    await spawn(field, tmp_path / "new", NEW)
    together = await enqueue(field, 200)
    old.send(signal.SIGTERM)
    assert await old.wait() == WorkerExit.DRAINED
    after = await enqueue(field, 100)
    assert await ends(meanwhile + together) <= {"old", "new"}
    assert await ends(after) == {"new"}
    report = await verify(field.bus)
    assert (report.states, report.violations) == ({"succeeded": 550}, [])


async def test_jobs_whose_handler_stays_unknown_fail_once_the_patience_is_over(field: Field, tmp_path: Path) -> None:
    await declare(field, "nowhere", max_retries=5)
    await field.declare("noop")
    await spawn(field, tmp_path / "old", OLD, JETMILL_UNKNOWN_HANDLER_SECONDS="1")
    for _ in range(2):  # the second one comes when the worker has begun to look
        [handle] = await enqueue(field, 1)
        await soon(handle.wait())
        status = await handle.status()
        assert (status.state, status.reason, status.attempt) == (State.FAILED, Reason.UNKNOWN_HANDLER, 1)
        assert status.error is not None
        assert "rollout_code has no nowhere" in status.error.message


async def test_a_rider_comes_and_goes_without_a_restart_and_its_jobs_in_hand_end(field: Field) -> None:
    await field.declare("noop")
    worker = await field.spawn("noop", JETMILL_POD_NAME="noop-worker-1")
    await field.declare("gated", carrier="noop", lease_seconds=5.0)
    handle = await field.client.enqueue("gated")
    name = await field.wait_for_file("started-1")
    await eventually(lambda: _served(field, "noop", "gated"))
    await field.declare("gated", lease_seconds=5.0)
    await eventually(lambda: _served(field, "noop"))
    later = await field.client.enqueue("gated")
    await soon((await field.client.enqueue("noop")).wait())
    async with Raw.connect(field.url) as raw:
        there = await raw.consumer(field.bus.subjects.queue_stream("gated"), "normal")
        assert (there["num_pending"], there["num_waiting"], there["num_ack_pending"]) == (1, 0, 1)
    (field.folder / "go").touch()
    assert await soon(handle.result()) == name
    assert (await later.status()).state is State.QUEUED
    await field.declare("gated", carrier="noop", lease_seconds=5.0)
    assert await soon(later.result()) == name
    await field.bus.admin.remove_job("gated")
    await eventually(lambda: _served(field, "noop"))
    worker.send(signal.SIGTERM)
    assert await worker.wait() == WorkerExit.DRAINED
    assert not (await verify(field.bus)).violations


async def _served(field: Field, *jobs: str) -> bool:
    [presence] = await field.bus.presence.all()
    assert presence.pod == "noop-worker-1"
    return presence.jobs == list(jobs)


async def test_a_rider_keeps_its_lease_while_its_last_job_runs_although_it_has_left(field: Field) -> None:
    """A lease shorter than those of what is still served: its deliveries have to be extended as often as before."""
    await field.declare("noop", lease_seconds=60.0)
    await field.spawn("noop")
    await field.declare("gated", carrier="noop", lease_seconds=3.0)
    handle = await field.client.enqueue("gated")
    await field.wait_for_file("started-1")
    await field.declare("gated", lease_seconds=3.0)
    taker = Taker(field.bus, "gated", want=1)
    await soon((await field.client.enqueue("noop", delay=8)).wait())  # more than twice as long as the lease
    (field.folder / "go").touch()
    await soon(handle.result())
    assert taker.taken == []


async def test_jobs_wait_for_a_worker_that_knows_their_handler_as_long_as_there_is_one(
    field: Field, tmp_path: Path
) -> None:
    """The new pods are busy for longer than the old one's patience lasts; it fails nothing behind their back."""
    await declare(field, "gated")
    await field.declare("noop")
    await spawn(field, tmp_path / "new", GATED, JETMILL_CONCURRENCY="2")
    handles = await enqueue(field, 5)  # three more than it has slots
    await eventually(lambda: _begun(field, 2))
    await spawn(field, tmp_path / "old", OLD, JETMILL_UNKNOWN_HANDLER_SECONDS="0.2")
    await soon((await field.client.enqueue("noop", delay=2)).wait())  # ten times its patience
    (field.folder / "go").touch()
    assert await ends(handles) == {"new"}


async def _begun(field: Field, count: int) -> bool:
    return sum(presence.busy for presence in await field.bus.presence.all()) >= count
