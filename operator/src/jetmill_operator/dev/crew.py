"""The worker processes of one Job: started, watched, replaced, told to leave.

```
 start ─▶ starting ──its presence is there──▶ ready ──SIGTERM──▶ leaving ─▶ gone
             └───────────── ended by itself ────┴──▶ gone, the next one after a pause that grows
```

A worker is told to leave by SIGTERM, which drains it: what it has in hand it finishes. When code or settings change
the crew is rolled, one worker at a time: the new one must be ready before an old one leaves, so code that does not even
start never stops the jobs. All of them are tethered to this process and die with it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jetmill.protocol.record import Presence
from jetmill_operator.api.job import Job
from jetmill_operator.dev.handler import build_environment
from jetmill_operator.dev.scaling import decide_pause_seconds
from jetmill_operator.dev.screen import Screen
from jetmill_operator.dev.tether import build_command

STEADY_SECONDS = 10.0
"""A worker that lived as long did not crash in a row with the one before."""
DEFAULT_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Launch:
    """How workers are started."""

    folder: Path
    """Where the code lies: their working directory, first on their path."""
    url: str
    namespace: str
    python: str = sys.executable
    on_exit: Callable[[], None] = field(default=lambda: None)
    """Called when a worker has ended."""


@dataclass(slots=True, eq=False)
class WorkerProcess:
    """One worker."""

    name: str
    process: asyncio.subprocess.Process
    edition: int
    """Which roll of the crew it was started in."""
    born: float
    leaving: bool = False
    watcher: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Its process id, which its presence says too."""
        return self.process.pid

    def leave(self) -> None:
        """Ask it to drain; a second time: to give everything back at once."""
        self.leaving = True
        if self.process.returncode is None:
            self.process.terminate()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.leaving = True
        if self.process.returncode is None:
            self.process.kill()


class Crew:
    """The workers of one Job."""

    def __init__(self, job: Job, launch: Launch, screen: Screen) -> None:
        self.job = job
        self.workers: list[WorkerProcess] = []
        self.woken = False
        """Something was enqueued since the last look."""
        self.fewer_since: float | None = None
        self.service_seconds = 0.0
        self._launch = launch
        self._screen = screen
        self._edition = 0
        self._crashes = 0
        self._not_before = 0.0

    @property
    def serving(self) -> list[WorkerProcess]:
        """Those that have not been told to leave."""
        return [worker for worker in self.workers if not worker.leaving]

    @property
    def pause_seconds(self) -> float:
        """How long no worker may be started yet, after a crash."""
        return max(0.0, self._not_before - time.monotonic())

    def apply(self, job: Job) -> bool:
        """Take a new declaration; tell whether its workers have to be replaced, which has then begun.

        Only what a worker is started with needs that: the other settings reach it while it runs.
        """
        old, self.job = self.job, job
        replaced = _started_with(old) != _started_with(job)
        if replaced:
            self.roll()
        return replaced

    def roll(self) -> None:
        """Replace all workers, one at a time, as `settle` is called."""
        self._edition += 1
        self._crashes = 0
        self._not_before = 0.0

    async def settle(self, replicas: int, seen: Mapping[int, Presence], *, patient: bool = True) -> None:
        """Go a step towards `replicas` workers of the current edition; `seen`: presences by process id.

        A `patient` crew lets only idle workers go.
        """
        current = [worker for worker in self.serving if worker.edition == self._edition]
        old = [worker for worker in self.serving if worker.edition != self._edition]
        ready = [worker for worker in current if worker.pid in seen]
        if old:
            if len(ready) + len(old) > replicas:
                self._let_go(old, 1, seen, patient=False)
            elif len(ready) == len(current):
                await self._start()
        elif len(current) < replicas:
            for _ in range(replicas - len(current)):
                await self._start()
        elif len(current) > replicas:
            self._let_go(current, len(current) - replicas, seen, patient=patient)

    def leave(self) -> None:
        """Tell all workers to drain; a second time: to give everything back at once."""
        for worker in self.workers:
            worker.leave()

    def kill(self) -> None:
        """End all workers at once."""
        for worker in self.workers:
            worker.kill()

    async def wait(self) -> None:
        """Wait until all workers are gone and what they said is shown."""
        await asyncio.gather(*(worker.watcher for worker in list(self.workers) if worker.watcher is not None))

    def _let_go(self, workers: list[WorkerProcess], count: int, seen: Mapping[int, Presence], *, patient: bool) -> None:
        """Let some leave, the idle ones first, the youngest of them first."""
        idle = [worker for worker in workers if worker.pid in seen and not seen[worker.pid].busy]
        order = sorted(idle, key=lambda worker: -worker.born)
        if not patient:
            order += [worker for worker in workers if worker not in idle]
        for worker in order[:count]:
            worker.leave()

    async def _start(self) -> None:
        """Start a worker, unless the last one crashed a moment ago."""
        if self.pause_seconds > 0:
            return
        taken = {worker.name for worker in self.workers}
        name = next(f"{self.job.name}/{n}" for n in range(1, len(taken) + 2) if f"{self.job.name}/{n}" not in taken)
        process = await asyncio.create_subprocess_exec(
            *build_command(
                [self._launch.python, "-m", "jetmill", "worker", "--job", self.job.name], sign=signal.SIGKILL
            ),
            cwd=self._launch.folder,
            env=self._build_environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        worker = WorkerProcess(name, process, self._edition, time.monotonic())
        self.workers.append(worker)
        worker.watcher = asyncio.create_task(self._watch(worker))

    def _build_environment(self) -> dict[str, str]:
        spec = self.job.spec
        grace = spec.timeout_seconds or DEFAULT_TIMEOUT_SECONDS
        inherited = build_environment(self._launch.folder)
        login = [name for name in inherited if name.startswith("JETMILL_NATS_")]  # of another NATS than ours
        return {
            **{name: value for name, value in inherited.items() if name not in login},
            "PYTHONUNBUFFERED": "1",
            **({"FORCE_COLOR": "1"} if self._screen.colour else {}),
            # Secrets and ConfigMaps are not read here: such a variable comes from dev's own environment.
            **{var.name: var.value or "" for var in spec.worker.env if var.value_from is None},
            "JETMILL_NATS_URL": self._launch.url,
            "JETMILL_NAMESPACE": self._launch.namespace,
            "JETMILL_GRACE_SECONDS": f"{grace:g}",
            "JETMILL_HEALTH_HOST": "127.0.0.1",
            "JETMILL_HEALTH_PORT": "0",
            "JETMILL_LOG_FORMAT": "console",
            **({"JETMILL_CONCURRENCY": str(spec.worker.concurrency)} if spec.worker.concurrency else {}),
        }

    async def _watch(self, worker: WorkerProcess) -> None:
        """Show what a worker says until it ends, then note how it ended."""
        assert worker.process.stdout is not None
        pump = asyncio.create_task(self._screen.pump(worker.name, worker.process.stdout))
        status = await worker.process.wait()
        # A process that the worker left behind may hold the pipe open: what it says is not waited for.
        await asyncio.wait([pump], timeout=1.0)
        pump.cancel()
        self.workers.remove(worker)
        if status != 0 and not worker.leaving:
            self._note_crash(worker, status)
        self._launch.on_exit()

    def _note_crash(self, worker: WorkerProcess, status: int) -> None:
        lived = time.monotonic() - worker.born
        self._crashes = 1 if lived >= STEADY_SECONDS else self._crashes + 1
        pause = decide_pause_seconds(self._crashes)
        self._not_before = time.monotonic() + pause
        how = f"was ended by {_name_signal(-status)}" if status < 0 else f"ended with status {status}"
        self._screen.say(f"worker {worker.name} {how}; the next one in {pause:g} s", alarm=True)


def _name_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _started_with(job: Job) -> tuple[object, ...]:
    """What a worker takes from its Job once, when it starts."""
    spec = job.spec
    worker = spec.worker.model_copy(update={"image": None})
    return spec.handler, spec.command, worker, spec.lease_seconds, spec.timeout_seconds
