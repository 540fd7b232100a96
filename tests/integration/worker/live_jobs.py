"""Handlers of worker processes: they say by files that they are there, and wait for files."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

from jetmill.worker.context import JobContext

FOLDER = Path(os.environ.get("TEST_FOLDER", "."))


def say(name: str, text: str = "") -> None:
    path = FOLDER / f".{name}.{os.getpid()}"
    path.write_text(text)
    path.rename(FOLDER / name)


async def gated(ctx: JobContext) -> str:
    """Wait for the file `go`."""
    say(f"started-{ctx.attempt}", ctx.worker)
    while not (FOLDER / "go").exists():  # noqa: ASYNC110 - the test is another process
        await asyncio.sleep(0.01)
    return ctx.worker


async def blocking(ctx: JobContext, seconds: float) -> str:
    """Block the loop, as code does that should be on a thread."""
    say("started", ctx.worker)
    time.sleep(seconds)  # noqa: ASYNC251 - the point
    return ctx.worker


async def stubborn(ctx: JobContext) -> None:
    """Never end."""
    say("started")
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            say("told")


def deadly(ctx: JobContext) -> None:
    """Take the whole worker along."""
    os.kill(os.getpid(), signal.SIGKILL)


async def noop() -> None:
    """Nothing."""


def count(ctx: JobContext) -> None:
    """Leave a line for each start: one write, so that two processes share the file."""
    with (FOLDER / "starts").open("a") as file:
        file.write(f"{ctx.id} {ctx.attempt}\n")


async def tell_time(ctx: JobContext) -> float:
    """The process's own idea of the time."""
    count(ctx)
    return time.time()


async def flaky(ctx: JobContext) -> float:
    """Succeed at the third attempt."""
    count(ctx)
    if ctx.attempt < 3:
        raise ValueError("not yet")
    return time.time()


async def enqueue_later(ctx: JobContext) -> str:
    """Leave something to do for later, by this process's clock if it counted."""
    count(ctx)
    return await ctx.enqueue("tell-time", delay=1.0)


async def long(ctx: JobContext) -> float:
    """Run for longer than a lease of four seconds."""
    count(ctx)
    await asyncio.sleep(9)
    return time.time()
