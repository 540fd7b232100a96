"""pgqueuer on PostgreSQL, in one worker process; the status of each job is stored.

`python -m benchmarks.peer_pgqueuer install|enqueue|drain|latency COUNT DSN` prints one line of JSON.
Batches of 100 are its quickest setting here; its bulk call takes lists, given in slices of 10,000 as ours.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

from benchmarks.clock import Tally, at_rate, make_arguments

BATCH = 100
SLICE = 10_000


def payload() -> bytes:
    """The arguments as bytes."""
    return json.dumps(make_arguments()).encode()


async def enqueue(queries: Queries, count: int) -> dict[str, float]:
    """Enqueue `count` jobs in bulk."""
    begin = time.perf_counter()
    for start in range(0, count, SLICE):
        size = min(SLICE, count - start)
        await queries.enqueue(["noop"] * size, [payload() for _ in range(size)], [0] * size)
    return {"enqueue": count / (time.perf_counter() - begin)}


async def main(mode: str, count: int, dsn: str) -> dict[str, float]:
    """Run one mode."""
    connection = await asyncpg.connect(dsn)
    queries = Queries(AsyncpgDriver(connection))
    if mode == "install":
        await queries.install()
        return {}
    if mode == "enqueue":
        return await enqueue(queries, count)
    tally = Tally(count)
    queuer = PgQueuer(AsyncpgDriver(await asyncpg.connect(dsn)))

    @queuer.entrypoint("noop")
    async def noop(job: Job) -> None:
        tally.started(json.loads(job.payload or b"{}")["at"])

    running = asyncio.create_task(
        queuer.qm.run(
            batch_size=BATCH,
            dequeue_timeout=timedelta(seconds=1),
            mode=QueueExecutionMode.continuous,
        )
    )
    if mode == "latency":
        await at_rate(count, 50, lambda: queries.enqueue("noop", payload()))
    await asyncio.wait_for(tally.done.wait(), 300)
    while await connection.fetchval("SELECT count(*) FROM pgqueuer"):
        await asyncio.sleep(0.005)
    seconds = time.perf_counter() - tally.first  # `run` does not say when it is up
    queuer.shutdown.set()
    await running
    return {"drain": count / seconds} if mode == "drain" else tally.latency()


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))))
