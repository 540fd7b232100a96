"""Workers whose clock is a minute wrong start nothing early, twice or never; JetStream's timestamps are the judge."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from integration.worker.conftest import Field
from jetmill.client.handle import JobHandle
from jetmill.ledger.verify import verify
from jetmill.protocol.record import Entry
from jetmill.protocol.state import State
from support.wait import eventually, soon

pytestmark = pytest.mark.integration

SECOND = 1_000_000
OFF_SECONDS = 50.0
"""A process that is less than this off was not skewed: the test would prove nothing."""
RETRY_SECONDS = 0.5


@pytest.fixture(params=["+60s", "-60s"])
async def field_with_wrong_clocks(request: pytest.FixtureRequest, field: Field) -> Field:
    """Every worker is a minute off."""
    await declare_all(field)
    await field.spawn("tell-time", "flaky", "enqueue-later", "long", clock=request.param)
    return field


async def declare_all(field: Field) -> None:
    await field.declare("tell-time")
    await field.declare("flaky", max_retries=3, initial_delay_seconds=RETRY_SECONDS, factor=1.0, jitter=False)
    await field.declare("enqueue-later")
    await field.declare("long", lease_seconds=4.0)


async def prove(field: Field, *handles: JobHandle) -> list[list[Entry]]:
    """Each job has succeeded, after its time, and every start in the ledger was one start of its handler."""
    chains = []
    for handle in handles:
        await soon(handle.wait(), seconds=120)
        chain = await field.bus.ledger.read_chain(handle.id)
        assert chain[-1].record.state is State.SUCCEEDED
        for before, entry in pairwise(chain):
            if entry.record.state is State.RUNNING:
                assert before.record.due is None or entry.time >= before.record.due
        chains.append(chain)
    starts = Counter((field.folder / "starts").read_text().splitlines())
    assert set(starts.values()) == {1}
    assert {line.split()[0] for line in starts} >= {handle.id for handle in handles}
    assert not (await verify(field.bus)).violations
    return chains


async def assert_wrong(handle: JobHandle, chain: list[Entry]) -> None:
    """The worker's own clock was off."""
    assert abs(float(await handle.result()) - chain[-1].time / SECOND) > OFF_SECONDS


async def test_delayed_jobs_start_at_their_time(field_with_wrong_clocks: Field) -> None:
    field = field_with_wrong_clocks
    handles = [await field.client.enqueue("tell-time", delay=0.2 + number / 10) for number in range(15)]
    for handle, chain in zip(handles, await prove(field, *handles), strict=True):
        assert [entry.record.state for entry in chain] == [State.SCHEDULED, State.RUNNING, State.SUCCEEDED]
        await assert_wrong(handle, chain)


async def test_retries_wait_as_long_as_they_should(field_with_wrong_clocks: Field) -> None:
    field = field_with_wrong_clocks
    handles = [await field.client.enqueue("flaky") for _ in range(5)]
    for handle, chain in zip(handles, await prove(field, *handles), strict=True):
        retries = [entry for entry in chain if entry.record.state is State.RETRYING]
        assert [entry.record.attempt for entry in retries] == [1, 2]
        for entry in retries:
            assert entry.record.due is not None
            assert abs(entry.record.due - entry.time) < OFF_SECONDS * SECOND
        await assert_wrong(handle, chain)


async def test_what_a_worker_leaves_for_later_is_due_by_the_servers_clock(field_with_wrong_clocks: Field) -> None:
    field = field_with_wrong_clocks
    first = await field.client.enqueue("enqueue-later")
    later = JobHandle(field.client, id=await soon(first.result()), job="tell-time", created=True)
    [chain] = await prove(field, later)
    assert chain[0].record.due is not None
    assert abs(chain[0].record.due - chain[0].time) < OFF_SECONDS * SECOND


async def test_a_job_that_outlasts_its_lease_is_not_taken_over(field: Field) -> None:
    await declare_all(field)
    await field.spawn("long", clock="+60s")
    await field.spawn("long", clock="-60s")
    handles = [await field.client.enqueue("long") for _ in range(4)]
    for chain in await prove(field, *handles):
        assert [entry.record.state for entry in chain] == [State.QUEUED, State.RUNNING, State.SUCCEEDED]


def set_clock(file: Path, offset: str) -> None:
    """At once: a file that is half written would be read as another time."""
    new = file.with_suffix(".new")
    new.write_text(offset)
    new.rename(file)


@pytest.mark.parametrize("step", ["+60", "-60"])
async def test_a_clock_that_is_set_while_jobs_wait_changes_nothing(field: Field, step: str) -> None:
    await declare_all(field)
    offset = field.folder / "offset"
    set_clock(offset, "+0")
    await field.spawn("flaky", "tell-time", clock=offset)
    handles: list[Any] = [await field.client.enqueue("flaky") for _ in range(5)]
    await eventually((field.folder / "starts").exists)
    handles += [await field.client.enqueue("tell-time", delay=2.0) for _ in range(5)]
    set_clock(offset, step)
    chains = await prove(field, *handles)
    await assert_wrong(handles[-1], chains[-1])
