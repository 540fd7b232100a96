"""Jetmill, in one worker process, with its whole protocol on: a claim and an outcome in the ledger for each job.

`python -m benchmarks.peer_jetmill declare|enqueue|drain|latency|check COUNT URL` prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time

import uvloop

from benchmarks.clock import Tally, at_rate, make_arguments
from jetmill import Client, Worker, job
from jetmill.bus.connect import BusOptions, connect
from jetmill.client.settings import ClientSettings
from jetmill.ledger.verify import verify
from jetmill.protocol.record import JobSettings

SLICE = 10_000


async def declare(url: str) -> dict[str, float]:
    """What a reconciler does, once."""
    bus = await connect(BusOptions(url))
    await bus.admin.apply_namespace()
    await bus.admin.apply_job(JobSettings(job="noop", concurrency=1000))
    await bus.link.close()
    return {}


async def enqueue(url: str, count: int) -> dict[str, float]:
    """Enqueue `count` jobs in bulk."""
    async with Client(ClientSettings(url=url)) as client:
        begin = time.perf_counter()
        for start in range(0, count, SLICE):
            await client.enqueue_many("noop", [make_arguments() for _ in range(min(SLICE, count - start))])
        return {"enqueue": count / (time.perf_counter() - begin)}


async def check(url: str, count: int) -> dict[str, float]:
    """Read every outcome back from the ledger; an AssertionError voids the round."""
    bus = await connect(BusOptions(url))
    report = await verify(bus)
    await bus.link.close()
    assert not report.violations, report.violations
    assert report.states.get("succeeded") == count, report.states
    return {"succeeded": count}


async def main(mode: str, count: int, url: str) -> dict[str, float]:
    """Run one mode."""
    if mode == "declare":
        return await declare(url)
    if mode == "enqueue":
        return await enqueue(url, count)
    if mode == "check":
        return await check(url, count)
    tally = Tally(count)

    @job
    async def noop(at: int, pad: str) -> None:
        tally.started(at)

    bus = await connect(BusOptions(url))
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)  # as `jetmill worker` does in a process of its own
    async with Worker(["noop"], url=url, concurrency=1000):
        begin = time.perf_counter()
        if mode == "latency":
            async with Client(ClientSettings(url=url)) as client:
                await at_rate(count, 50, lambda: client.enqueue("noop", make_arguments()))
        await asyncio.wait_for(tally.done.wait(), 300)
        depth = await bus.queue.depth("noop")
        while depth.ready or depth.in_flight:
            await asyncio.sleep(0.005)
            depth = await bus.queue.depth("noop")
        seconds = time.perf_counter() - begin
    await bus.link.close()
    return {"drain": count / seconds} if mode == "drain" else tally.latency()


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))))
