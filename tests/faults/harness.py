"""One namespace under fire: a real nats-server, worker processes, a keeper, a run log, and the reckoning at the end.

`finish` waits until every job that was accepted is done with, then holds three things against each other: the ids that
producers were told are accepted, the ledger (which `verify` proves), and the run log that the handlers wrote. A start
without a claim of its own, an attempt counted wrong or a job lost shows in one of them.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from factories import make_settings
from faults.handlers import LOG
from faults.proxy import Phase, Proxy
from jetmill import Client, ClientSettings
from jetmill.bus.ports import Bus
from jetmill.client.submission import Item
from jetmill.errors import JetmillError
from jetmill.ledger.keeper import Keeper
from jetmill.ledger.verify import verify
from jetmill.protocol.record import Entry
from jetmill.protocol.state import CRASH_BUDGET, Reason, State
from support.nats import NatsServer
from support.wait import eventually, soon

ROUNDS = int(os.environ.get("ROUNDS") or 10)
"""Kill rounds; a fifth as many of the server."""
SERVER_ROUNDS = max(2, ROUNDS // 5)
PHASE_ROUNDS = max(1, ROUNDS // 25)
LEASE_SECONDS = 4.0
READY_SECONDS = 180.0
"""How long workers may take to start where others use the machine too."""
FINISH_SECONDS = 300.0
HANG_SECONDS = 600
"""With what its rounds add, a test that takes longer hangs. No fault depends on any of these three."""
TESTS = Path(__file__).resolve().parent.parent
NORMAL_JOBS = ("short", "long", "held", "threaded", "flaky")

random_moment = random.Random()


async def pause(seconds: float) -> None:
    """Let a random time pass: the moment at which a fault strikes, never a wait for something to have happened."""
    moment = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, moment.set)
    await moment.wait()


class WorkerProcess:
    """A worker as people start it, behind a proxy of its own."""

    def __init__(self, process: asyncio.subprocess.Process, proxy: Proxy, output: Path) -> None:
        self.process = process
        self.proxy = proxy
        self.output = output

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal; to one that died nothing happens."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def kill(self) -> None:
        """SIGKILL, and nothing that it wrote last gets through any more; idempotent."""
        self.send(signal.SIGKILL)
        self.proxy.dead = True
        await soon(self.process.wait())
        await self.proxy.close()


class Field:
    """The namespace, and all that runs in it."""

    def __init__(self, server: NatsServer, folder: Path, *, namespace: str, faults: Counter[str]) -> None:
        self.server = server
        self.namespace = namespace
        self.faults = faults
        self.accepted: set[str] = set()
        self.poisoned: set[str] = set()
        """Whose end is known to be another than success."""
        self.log = folder / f"{namespace}.log"
        self._folder = folder
        self._workers: list[WorkerProcess] = []
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """A client in this process, straight to the server."""
        assert self._client is not None
        return self._client

    async def bus(self) -> Bus:
        return await self.client.connect()

    async def open(self, jobs: Sequence[str]) -> None:
        """Connect and declare Jobs."""
        self._client = Client(ClientSettings(url=self.server.url, namespace=self.namespace, name="faults"))
        admin = (await self.bus()).admin
        await admin.apply_namespace()
        for job in jobs:
            await self.declare(job)

    async def declare(self, job: str, **fields: Any) -> None:
        """Declare a Job: short leases, short delays."""
        values = {"lease_seconds": LEASE_SECONDS, "initial_delay_seconds": 0.2, "jitter": False, **fields}
        await (await self.bus()).admin.apply_job(make_settings(job, **values))

    async def start(self, *jobs: str, concurrency: int = 8) -> WorkerProcess:
        """Start a worker; it may take some time until it is ready."""
        proxy = Proxy(self.server.port)
        await proxy.start()
        output = self._folder / f"{self.namespace}-worker-{len(self._workers)}.txt"
        words = [word for job in jobs or NORMAL_JOBS for word in ("--job", job)]
        words += ["--import", "faults.handlers", "--concurrency", str(concurrency), "--nats-url", proxy.url]
        with output.open("wb") as sink:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "jetmill",
                "worker",
                *words,
                "--namespace",
                self.namespace,
                env={**os.environ, "PYTHONPATH": str(TESTS), LOG: str(self.log)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )
        worker = WorkerProcess(process, proxy, output)
        self._workers.append(worker)
        return worker

    async def ready(self, *workers: WorkerProcess) -> None:
        """Wait until workers are present."""
        board = (await self.bus()).presence

        async def all_there() -> bool:
            for worker in workers:
                assert worker.alive, worker.output.read_text()[-4000:]
            there = {presence.pid for presence in await board.all()}
            return there >= {worker.pid for worker in workers}

        await eventually(all_there, seconds=READY_SECONDS, what="the presence of the workers")

    async def enqueue(self, job: str, count: int = 1, **payload: Any) -> list[str]:
        """Enqueue some jobs, each until it is accepted."""
        answers = await self.client.enqueue_many(job, [Item(payload) for _ in range(count)])
        ids = []
        for answer in answers:
            assert not isinstance(answer, JetmillError), answer
            ids.append(answer.id)
        self.accepted.update(ids)
        return ids

    async def enqueue_mix(self) -> list[str]:
        """Short and long jobs, and such that fail at first."""
        ids = await self.enqueue("short", 20)
        ids += await self.enqueue("long", 4, seconds=random_moment.uniform(0.1, 0.8))
        ids += await self.enqueue("threaded", 2, seconds=random_moment.uniform(0.1, 0.5))
        return ids + await self.enqueue("flaky", 4)

    def runs(self, what: str = "start") -> list[tuple[str, int, int]]:
        """The run log's starts (or ends): id, attempt, process."""
        if not self.log.exists():
            return []
        rows = (line.split() for line in self.log.read_text().splitlines())
        return [(row[1], int(row[2]), int(row[3])) for row in rows if row[0] == what]

    async def started(self, *ids: str, by: WorkerProcess | None = None) -> None:
        """Wait until one of these jobs has started."""
        await eventually(
            lambda: any(run[0] in ids and (by is None or run[2] == by.pid) for run in self.runs()),
            seconds=120,
            what="the start of a job",
        )

    def hit(self, *phases: Phase) -> None:
        """Count faults for the table."""
        self.faults.update(phases)

    async def strike(self, worker: WorkerProcess) -> None:
        """SIGKILL now, wherever its jobs are."""
        worker.send(signal.SIGKILL)
        self.hit(Phase.RANDOM, *worker.proxy.phases())
        await worker.kill()

    async def ended(self, ids: Iterable[str] | None = None) -> None:
        """Wait until jobs are done with."""
        await self.client.wait_many(self.accepted if ids is None else ids, timeout=FINISH_SECONDS)

    async def finish(self) -> dict[str, list[Entry]]:
        """Wait for every accepted job, then reckon; the chains by id."""
        await self.ended()
        bus = await self.bus()
        report = await verify(bus)
        assert report.clean, report.violations
        assert report.open == 0, report.states
        chains = {job_id: await bus.ledger.read_chain(job_id) for job_id in self.accepted}
        assert all(chains.values()), "an accepted job is not in the ledger"
        assert report.jobs == len(chains), "the ledger has jobs that nobody was told of"
        starts, ends = Counter(run[:2] for run in self.runs()), Counter(run[0] for run in self.runs("end"))
        for job_id, chain in chains.items():
            self._reckon(chain, starts, ends[job_id])
        assert {job_id for job_id, _ in starts} <= chains.keys(), "a job ran that is not in the ledger"
        return chains

    def _reckon(self, chain: list[Entry], starts: Counter[tuple[str, int]], ends: int) -> None:
        """The claims of one job against what its handler noted."""
        job_id, last = chain[-1].id, chain[-1].record
        claims = Counter(entry.record.attempt for entry in chain if entry.record.state is State.RUNNING)
        shown = [(str(entry.record.state), entry.record.attempt, entry.record.crashes) for entry in chain]
        for attempt in claims | Counter(attempt for other, attempt in starts if other == job_id):
            noted = starts[job_id, attempt]
            assert noted <= claims[attempt], f"{job_id} started {noted} times in attempt {attempt}: {shown}"
            if last.crashes == 0 and job_id not in self.poisoned:
                assert noted == claims[attempt], f"{job_id} was claimed, and did not start: {shown}"
        if job_id in self.poisoned:
            return
        if last.reason is Reason.POISON:
            assert last.crashes == CRASH_BUDGET, shown
            return
        assert last.state is State.SUCCEEDED, f"{shown}: {last.error}"
        assert ends >= 1, f"{job_id} succeeded, and did not end: {shown}"
        if last.crashes == 0:
            assert ends == 1, f"{job_id} ended {ends} times: {shown}"

    async def close(self) -> None:
        """End all that was started."""
        for worker in self._workers:
            await worker.kill()
        if self._client is not None:
            await self._client.close()


@asynccontextmanager
async def keeping(bus: Bus) -> AsyncIterator[None]:
    """A keeper that looks often."""
    task = asyncio.create_task(Keeper(bus, interval_seconds=0.5, check_after_seconds=1, check_all_seconds=5).run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
