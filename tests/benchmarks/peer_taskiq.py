"""taskiq-nats, the pull broker, in one worker process; no result is stored, as this broker is used.

`python -m benchmarks.peer_taskiq enqueue|drain|latency COUNT URL` prints one line of JSON.
Batches of 100 are its quickest setting here (its default is 1).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop
from taskiq.receiver import Receiver
from taskiq_nats import PullBasedJetStreamBroker

from benchmarks.clock import Tally, at_rate, make_arguments

BATCH = 100
IN_FLIGHT = 64


async def enqueue(broker: PullBasedJetStreamBroker, task: object, count: int) -> dict[str, float]:
    """Enqueue `count` jobs, 64 at a time: the client has no bulk call."""
    await broker.startup()
    numbers = iter(range(count))

    async def lane() -> None:
        for _ in numbers:
            await task.kiq(**make_arguments())  # type: ignore[attr-defined]

    begin = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(IN_FLIGHT)))
    seconds = time.perf_counter() - begin
    await broker.shutdown()
    return {"enqueue": count / seconds}


async def work(broker: PullBasedJetStreamBroker, tally: Tally) -> tuple[asyncio.Task[None], asyncio.Event]:
    """Start the receiver that `taskiq worker` runs."""
    broker.is_worker_process = True
    finish = asyncio.Event()
    receiver = Receiver(broker, max_async_tasks=1000, max_prefetch=BATCH, run_startup=False)
    return asyncio.create_task(receiver.listen(finish)), finish


async def main(mode: str, count: int, url: str) -> dict[str, float]:
    """Run one mode."""
    tally = Tally(count)
    broker = PullBasedJetStreamBroker(url, pull_consume_batch=BATCH, pull_consume_timeout=1)

    @broker.task
    async def noop(at: int, pad: str) -> None:
        tally.started(at)

    if mode == "enqueue":
        return await enqueue(broker, noop, count)
    await broker.startup()
    begin = time.perf_counter()
    listening, finish = await work(broker, tally)
    if mode == "latency":
        await at_rate(count, 50, lambda: noop.kiq(**make_arguments()))
    await asyncio.wait_for(tally.done.wait(), 300)
    while (await broker.js.consumer_info("taskiq_jetstream", "taskiq_durable")).num_ack_pending:
        await asyncio.sleep(0.005)
    seconds = time.perf_counter() - begin
    finish.set()
    listening.cancel()
    await broker.shutdown()
    return {"drain": count / seconds} if mode == "drain" else tally.latency()


if __name__ == "__main__":
    print(json.dumps(uvloop.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))))
