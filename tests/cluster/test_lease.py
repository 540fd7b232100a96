"""Two candidates as processes on a real API server: killed, told to stop, and stopped in the middle."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from jetmill_operator.cluster.kube import KubeCluster
from jetmill_operator.cluster.ports import LEASE, Body, EventType, Kind
from jetmill_operator.reconcile.watch import Watch, Watched
from support.kube import PROBE
from support.wait import PROCESS_SECONDS, eventually, soon

SCRIPT = Path(__file__).parents[1] / "support" / "candidate.py"


class Candidate:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().strip())

    async def says(self, word: str) -> None:
        await eventually(lambda: any(line.startswith(word) for line in self.lines), seconds=PROCESS_SECONDS, what=word)

    async def end(self) -> int:
        status = await soon(self.process.wait(), seconds=PROCESS_SECONDS)
        await self._reader
        return status

    async def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.end()


@pytest.fixture
async def start(kubeconfig: Path, namespace: str) -> AsyncIterator[Callable[[str], Any]]:
    """Start a candidate; all are ended in the end."""
    async with AsyncExitStack() as stack:

        async def start(identity: str) -> Candidate:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(SCRIPT),
                str(kubeconfig),
                namespace,
                identity,
                env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])},
                stdout=asyncio.subprocess.PIPE,
            )
            candidate = Candidate(process)
            stack.push_async_callback(candidate.close)
            await candidate.says("waiting")
            return candidate

        yield start


async def holder(kube: KubeCluster, namespace: str) -> str:
    body = await kube.get(LEASE, namespace, "jetmill-operator")
    return str(body["spec"]["holderIdentity"]) if body else ""


async def test_a_killed_leader_is_followed(start, kube, namespace) -> None:
    one = await start("one")
    await one.says("leading")
    two = await start("two")
    loop = asyncio.get_running_loop()
    one.process.kill()
    died = loop.time()
    await two.says("leading")
    print(f"\nSIGKILL to takeover: {loop.time() - died:.2f} s (9/7/0.25)")
    assert await holder(kube, namespace) == "two"


async def test_a_leader_that_is_told_to_stop_hands_over(start, kube, namespace) -> None:
    one = await start("one")
    await one.says("leading")
    two = await start("two")
    loop = asyncio.get_running_loop()
    one.process.terminate()
    told = loop.time()
    await two.says("leading")
    print(f"\nSIGTERM to takeover: {loop.time() - told:.2f} s (9/7/0.25)")
    assert await one.end() == 0
    assert "released" in one.lines
    assert await holder(kube, namespace) == "two"


@pytest.mark.parametrize("number", range(3))
async def test_a_leader_that_was_stopped_writes_nothing_when_it_goes_on(
    start, credential, namespace, number: int
) -> None:
    """Row 4b: SIGSTOP past the lease, in the middle of writing as fast as it can.

    It may be stopped between its last look at the lease and the bytes that leave next: that one write nobody but the
    API server can refuse (test_fence.py). No other one follows.
    """
    writers: list[str] = []

    def note(_kind: Kind, event: EventType, body: Body) -> None:
        if event != "DELETED":
            writers.append(body["spec"]["writer"])

    watch = Watch(credential, note, namespaces=(namespace,), watched=[Watched(PROBE)])
    watch.start()
    try:
        await eventually(lambda: watch.complete)
        one = await start("one")
        await eventually(lambda: len(writers) > 10)
        two = await start("two")
        one.process.send_signal(signal.SIGSTOP)
        await eventually(lambda: "two" in writers)
        one.process.send_signal(signal.SIGCONT)
        assert await one.end() == 1
        seen = len(writers)
        await eventually(lambda: len(writers) > seen + 10)
        assert writers[writers.index("two") :].count("one") <= 1
        assert two.process.returncode is None
    finally:
        await watch.stop()
