"""The whole of Jetmill in a minute: `make demo`, or `python examples/quickstart/demo.py`.

Starts `jetmill dev` on this folder (a real nats-server, real workers), enqueues 200 jobs, kills a worker in the middle
with SIGKILL, and shows what became of every job; then `jetmill verify` proves from the ledger that nothing was lost and
nothing ran without a claim, and the page of the gateway has them all. On a terminal it stays for you to try things out
and to watch the page, where a job comes now and then, until Ctrl-C; without one (or with CI=true) it ends by itself,
with 0 only if every job reached the state it should.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jetmill import Client, ClientSettings, JobStatus

FOLDER = Path(__file__).resolve().parent
DEMO_SECONDS = 50.0
READY = re.compile(r"ready (nats://\S+)")
GATEWAY = re.compile(r"gateway (http://\S+)")
PAUSE_SECONDS = 0.7  # between two jobs while somebody may look


@dataclass(frozen=True)
class Place:
    """Where things are while dev runs."""

    nats: str
    page: str


@dataclass(frozen=True)
class Batch:
    """Some jobs of one Job, and how they must end."""

    job: str
    payloads: list[dict[str, Any]]
    attempts: int


BATCHES = [
    Batch("greet", [{"name": f"number {n}"} for n in range(120)], attempts=1),
    Batch("flaky", [{"order": n} for n in range(50)], attempts=3),
    Batch("primes", [{"below": 200_000 + n} for n in range(30)], attempts=1),
]
KILL_AFTER = 30  # greetings that have ended when a worker of theirs is killed


def say(text: str) -> None:
    print(text, flush=True)


@asynccontextmanager
async def running_dev(data: str) -> AsyncIterator[tuple[Place, asyncio.subprocess.Process]]:
    """`jetmill dev` on this folder, what it says shown; gives its addresses once it is ready."""
    colour = {"FORCE_COLOR": "1"} if sys.stdout.isatty() else {}
    dev = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "jetmill", "dev", str(FOLDER), "--data", data),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **colour},
    )
    place: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
    echo = asyncio.create_task(show_output(dev, place))
    try:
        yield await place, dev
    finally:
        if dev.returncode is None:
            with suppress(ProcessLookupError):
                dev.terminate()
        await dev.wait()
        await echo


async def show_output(dev: asyncio.subprocess.Process, place: asyncio.Future[Place]) -> None:
    """Pass on what dev says; find the addresses in it."""
    assert dev.stdout is not None
    nats = ""
    async for line in dev.stdout:
        text = line.decode(errors="replace").rstrip()
        say(text)
        if found := READY.search(text):
            nats = found[1]
        if not place.done() and nats and (found := GATEWAY.search(text)):
            place.set_result(Place(nats, found[1]))
    if not place.done():
        place.set_exception(RuntimeError("jetmill dev ended before it was ready"))


async def enqueue(client: Client) -> dict[str, Batch]:
    """Enqueue all batches; the ids of the jobs and what is expected of each."""
    expected: dict[str, Batch] = {}
    for batch in BATCHES:
        for answer in await client.enqueue_many(batch.job, batch.payloads):
            if isinstance(answer, Exception):
                raise answer
            expected[answer.id] = batch
    return expected


async def see_through(client: Client, expected: dict[str, Batch]) -> None:
    """Follow the ledger until every job has ended; kill a worker on the way."""
    states: dict[str, str] = dict.fromkeys(expected, "queued")
    ended = Counter[str]()
    killer: asyncio.Task[None] | None = None
    shown = 0.0
    async for transition in client.stream(start=1):
        if transition.id not in expected:
            continue
        states[transition.id] = transition.state
        if transition.final:
            ended[transition.job] += 1
        if killer is None and ended["greet"] >= KILL_AFTER:
            killer = asyncio.create_task(kill_a_worker(client))
        done = ended.total() == len(expected)
        now = asyncio.get_running_loop().time()
        if done or now - shown >= 1:
            shown = now
            counts = ", ".join(f"{count} {state}" for state, count in sorted(Counter(states.values()).items()))
            say(f"demo │ {ended.total()} of {len(expected)} done ({counts})")
        if done:
            break
    assert killer is not None
    await killer


async def kill_a_worker(client: Client) -> None:
    """Kill a worker that greets, as the kernel would that is out of memory."""
    while True:
        for worker in await client.workers():
            if "greet" in worker.jobs and worker.busy:
                os.kill(worker.pid, signal.SIGKILL)
                say(f"demo │ killed worker {worker.worker} (process {worker.pid}) with {worker.busy} jobs in its hands")
                return
        await asyncio.sleep(0.1)


def print_table(expected: dict[str, Batch], found: list[JobStatus]) -> bool:
    """Show what became of the jobs; tell whether all ended as they should."""
    rows: list[tuple[str, ...]] = [("job", "count", "states", "attempts", "taken over", "p50", "p95", "max")]
    wrong: list[str] = []
    for batch in BATCHES:
        mine = [status for status in found if status.job == batch.job]
        states = Counter(str(status.state) for status in mine)
        attempts = sorted({status.attempt for status in mine})
        times = sorted(status.duration_seconds or 0.0 for status in mine)
        quantiles = [times[min(len(times) - 1, int(len(times) * share))] for share in (0.5, 0.95, 1.0)]
        rows.append(
            (
                batch.job,
                str(len(mine)),
                ", ".join(f"{state} {count}" for state, count in states.items()),
                ", ".join(map(str, attempts)),
                str(sum(status.crashes > 0 for status in mine)),
                *(f"{seconds * 1000:.0f} ms" for seconds in quantiles),
            )
        )
        wrong += [
            f"{status.id} ({batch.job}): {status.state} after {status.attempt} attempts, not {batch.attempts}"
            for status in mine
            if status.state != "succeeded" or status.attempt != batch.attempts
        ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    say("")
    for row in rows:
        say("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
    say("")
    for line in wrong:
        say(f"demo │ wrong: {line}")
    return not wrong and len(found) == len(expected)


async def verify(url: str) -> bool:
    """Let the command line prove the ledger."""
    say("$ jetmill verify")
    environ = {**os.environ, "JETMILL_NATS_URL": url}  # on the command line every user of the machine could read it
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "jetmill", "verify", env=environ)
    return await process.wait() == 0


async def look_at_page(place: Place, expected: dict[str, Batch], seq: int) -> bool:
    """See that the page is there, and that the list behind it has every job; `seq` is the last sequence."""
    page = await asyncio.to_thread(read, f"{place.page}/")
    found = await asyncio.to_thread(read, f"{place.page}/api/v1/count?state=succeeded&after={seq}")
    count = json.loads(found)["count"]
    say(f"demo │ the page: {place.page} shows {count} jobs that succeeded")
    return b"<title>" in page and count == len(expected)


def read(address: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=10) as answer:
        return bytes(answer.read())


async def keep_busy(place: Place) -> None:
    """Enqueue a job now and then, for the page to show something that moves; without an end."""
    async with Client(ClientSettings(url=place.nats, name="demo")) as client:
        number = 0
        while True:
            number += 1
            batch = BATCHES[number % len(BATCHES)]
            await client.enqueue(batch.job, batch.payloads[number % len(batch.payloads)])
            await asyncio.sleep(PAUSE_SECONDS)


async def run(place: Place) -> bool:
    async with Client(ClientSettings(url=place.nats, name="demo")) as client:
        expected = await enqueue(client)
        say(f"demo │ enqueued {len(expected)} jobs")
        await see_through(client, expected)
        found = [await client.status(job_id) for job_id in expected]
    well = print_table(expected, found)
    seen = await look_at_page(place, expected, max(status.history[-1].seq for status in found))
    return await verify(place.nats) and seen and well


async def main() -> int:
    stays = sys.stdout.isatty() and os.environ.get("CI", "").lower() not in ("1", "true")
    with tempfile.TemporaryDirectory(prefix="jetmill-demo-") as data:
        async with running_dev(data) as (place, dev):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, dev.terminate)
            running, ended = asyncio.create_task(run(place)), asyncio.create_task(dev.wait())
            done, _ = await asyncio.wait({running, ended}, timeout=DEMO_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if running not in done:
                running.cancel()
                say(f"demo │ stopped, or not done within {DEMO_SECONDS:g} seconds")
            well = running in done and running.result()
            if stays and well:
                say(f"\nAll as it should be. Look at the page: {place.page}")
                say(f"Or try it: export JETMILL_NATS_URL={place.nats}, then jetmill stats. Ctrl-C ends it.")
                busy = asyncio.create_task(keep_busy(place))
                await ended
                busy.cancel()
                await asyncio.gather(busy, return_exceptions=True)
    say("demo │ " + ("every job ended as it should" if well else "FAILED"))
    return 0 if well else 1


if __name__ == "__main__":
    # Ctrl-C goes to the whole foreground group: dev drains and ends, and we end with it.
    signal.signal(signal.SIGINT, lambda *_: None)
    sys.exit(asyncio.run(main()))
