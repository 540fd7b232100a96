"""A stream or a disk that is full: the producer gets an error, not a hang, and all goes on when there is room again."""

from __future__ import annotations

import json
import resource
import uuid
from typing import Any

import nats
import pytest

from faults.harness import HANG_SECONDS, Field
from jetmill.errors import BusError, NoAnswerError
from support.nats import NatsServer
from support.wait import eventually

PAYLOAD = {"text": "x" * 20_000}
LIMIT_BYTES = 1 << 20
MOST_JOBS = 500


async def _fill(field: Field) -> tuple[str, BusError]:
    """Enqueue until the first error; the id that got it, and the error."""
    for _ in range(MOST_JOBS):
        job_id = str(uuid.uuid4())
        try:
            await field.client.enqueue("large", PAYLOAD, id=job_id)
        except BusError as err:
            return job_id, err
        field.accepted.add(job_id)
    raise AssertionError("nothing was full")


async def _limit(server: NatsServer, stream: str, max_bytes: int) -> None:
    """Set the size at which a stream refuses more."""
    async with await nats.connect(server.url) as client:
        answer = await client.request(f"$JS.API.STREAM.INFO.{stream}", timeout=60)
        config: dict[str, Any] = json.loads(answer.data)["config"]
        config |= {"max_bytes": max_bytes, "discard": "new"}
        answer = await client.request(f"$JS.API.STREAM.UPDATE.{stream}", json.dumps(config).encode(), timeout=60)
        assert "error" not in json.loads(answer.data), answer.data


@pytest.fixture
async def large(field: Field) -> Field:
    """A namespace with a Job whose payloads are large."""
    await field.declare("large")
    return field


async def test_a_full_ledger_is_an_error_for_the_producer_and_workers_wait_until_there_is_room(
    large: Field, server: NatsServer
) -> None:
    worker = await large.start("large")
    await large.ready(worker)
    ledger = (await large.bus()).subjects.ledger_stream
    await _limit(server, ledger, LIMIT_BYTES)
    job_id, error = await _fill(large)
    assert not isinstance(error, NoAnswerError)
    assert "maximum bytes" in str(error)
    await _limit(server, ledger, -1)
    assert (await large.client.enqueue("large", PAYLOAD, id=job_id)).id == job_id
    large.accepted.add(job_id)
    await large.finish()
    assert worker.alive


@pytest.mark.slow
@pytest.mark.timeout(HANG_SECONDS)
async def test_a_full_disk_is_an_error_for_the_producer_and_nothing_accepted_is_lost(
    large: Field, server: NatsServer
) -> None:
    """No file of the server may grow beyond a size: its writes fail, as on a full disk. It says nothing then."""
    worker = await large.start("large")
    await large.ready(worker)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (LIMIT_BYTES, resource.RLIM_INFINITY))
    job_id, _ = await _fill(large)
    server.kill()
    server.restart(wait=False)
    await eventually(server.info, what="the server")
    await eventually(lambda: _enqueued(large, job_id), what="an answer")
    large.accepted.add(job_id)
    await large.finish()
    assert worker.alive


async def _enqueued(field: Field, job_id: str) -> bool:
    try:
        await field.client.enqueue("large", PAYLOAD, id=job_id)
    except BusError:
        return False
    return True
