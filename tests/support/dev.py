"""`jetmill dev` as people run it: a process of its own on a folder, its output read line by line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from support.wait import eventually, soon

READY = re.compile(r"ready (nats://\S+)")
READY_SECONDS = 120.0

TASKS = """\
import asyncio
from pathlib import Path
from jetmill import JobContext, job

@job
async def greet(name: str) -> str:
    return f"Hello, {name}!"

@job
async def wait_for(path: str, ctx: JobContext) -> int:
    while not Path(path).exists():
        await asyncio.sleep(0.02)
    return ctx.attempt

@job
def spin(path: str) -> bool:
    Path(path + ".spins").touch()
    while not Path(path).exists():
        pass
    return True
"""
HEAD = "apiVersion: jetmill.dev/v1alpha1\nkind: Job\n"


def declare(name: str, handler: str, more: str = "") -> str:
    """A manifest of one Job; leases are short, so that what dies is missed soon."""
    spec = f"spec:\n  handler: {handler}\n  leaseSeconds: 4\n{more}"
    return f"{HEAD}metadata: {{name: {name}}}\n{spec}"


class Dev:
    """One running dev."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.family: set[psutil.Process] = set()
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip())

    def find(self, pattern: str) -> re.Match[str] | None:
        """The first line that fits."""
        return next(filter(None, (re.search(pattern, line) for line in self.lines)), None)

    async def says(self, pattern: str, *, seconds: float = READY_SECONDS) -> re.Match[str]:
        """Wait until it says something."""

        def heard() -> re.Match[str] | None:
            assert self.process.returncode is None or self.find(pattern), self.lines
            return self.find(pattern)

        try:
            found: re.Match[str] = await eventually(heard, seconds=seconds, what=pattern)
        except AssertionError as err:
            raise AssertionError(f"{err}\n" + "\n".join(self.lines)) from err
        return found

    async def ready(self) -> str:
        """Wait until it is ready; the address of its nats-server."""
        return (await self.says(READY.pattern))[1]

    def children(self) -> list[psutil.Process]:
        """All processes that it started, and theirs."""
        try:
            found = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            found = []
        self.family.update(found)
        return found

    def workers(self) -> list[psutil.Process]:
        """Its worker processes."""
        return [child for child in self.children() if "worker" in _command(child)]

    def server(self) -> psutil.Process:
        """Its nats-server."""
        return next(child for child in self.children() if child.name() == "nats-server")

    async def stop(self, sign: signal.Signals = signal.SIGINT) -> int:
        """Tell it to end, and wait."""
        self.children()
        self.process.send_signal(sign)
        status = await soon(self.process.wait(), seconds=READY_SECONDS)
        await self._reader
        return status

    async def close(self) -> None:
        """End it and all it started, whatever the test left."""
        self.children()
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        for child in self.family:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        await soon(self._reader)


async def start_dev(folder: Path, *options: str) -> Dev:
    """Start it on a folder; whoever does closes it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "jetmill",
        "dev",
        str(folder),
        *options,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if not name.startswith(("JETMILL_", "NATS_"))},
    )
    return Dev(process)


@asynccontextmanager
async def run_dev(folder: Path, *options: str) -> AsyncIterator[Dev]:
    """It runs until the block ends."""
    dev = await start_dev(folder, *options)
    try:
        yield dev
    finally:
        await dev.close()


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def is_gone(process: psutil.Process) -> bool:
    """It has ended (a zombie that nobody reaps counts)."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
