"""nats-server dies by SIGKILL and comes back while producers enqueue and workers run."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from faults.harness import HANG_SECONDS, SERVER_ROUNDS, Field, pause, random_moment
from faults.proxy import Phase
from jetmill.errors import BusError
from support.nats import NatsServer
from support.wait import eventually

JOBS = ("short", "long", "flaky")


async def _produce(field: Field, over: asyncio.Event) -> None:
    """Enqueue until told to stop; who gets no answer asks again with the same id, and only then counts it."""
    while not over.is_set():
        job_id, accepted = str(uuid.uuid4()), False
        while not accepted:
            try:
                await field.client.enqueue(random_moment.choice(JOBS), {}, id=job_id)
            except BusError:
                await pause(0.1)
            else:
                accepted = True
        field.accepted.add(job_id)
        await pause(random_moment.uniform(0, 0.05))


async def _accept_more(field: Field, count: int) -> None:
    """Wait until the producers were told of so many new jobs."""
    enough = len(field.accepted) + count
    await eventually(lambda: len(field.accepted) >= enough, seconds=120, what="new jobs")


@pytest.mark.timeout(HANG_SECONDS + 10 * SERVER_ROUNDS)
async def test_every_accepted_job_is_found_and_ends_once_when_the_server_is_killed(
    field: Field, server: NatsServer
) -> None:
    workers = [await field.start(), await field.start()]
    await field.ready(*workers)
    over = asyncio.Event()
    producers = [asyncio.create_task(_produce(field, over)) for _ in range(3)]
    for _ in range(SERVER_ROUNDS):
        await _accept_more(field, 10)
        await pause(random_moment.uniform(0, 0.5))
        server.kill()
        field.hit(Phase.SERVER)
        await pause(random_moment.uniform(0, 0.5))
        server.restart(wait=False)
        await eventually(server.info, what="the server")
    over.set()
    await asyncio.gather(*producers)
    await field.finish()
    assert all(worker.alive for worker in workers), "a worker ended because the server was away"
