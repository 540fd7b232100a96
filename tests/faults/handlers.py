"""Handlers for the fault tests: they note each start and end in a run log, and some of them do their worst.

A line of the log is one append of a few bytes, which the kernel keeps whole when the writer is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import NoReturn

from jetmill import JobContext, job

LOG = "JETMILL_FAULTS_LOG"


def note(what: str, ctx: JobContext) -> None:
    """Add a line to the run log."""
    handle = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(handle, f"{what} {ctx.id} {ctx.attempt} {os.getpid()}\n".encode())
    finally:
        os.close(handle)


@job
async def short(ctx: JobContext, number: int = 0) -> int:
    """Takes no time."""
    note("start", ctx)
    note("end", ctx)
    return number


@job
async def large(ctx: JobContext, text: str) -> int:
    """Has a payload that fills disks."""
    note("start", ctx)
    note("end", ctx)
    return len(text)


@job
async def long(ctx: JobContext, seconds: float = 0.3) -> int:
    """Takes its time on the loop."""
    note("start", ctx)
    await asyncio.sleep(seconds)
    note("end", ctx)
    return ctx.attempt


@job(executor="thread")
def held(ctx: JobContext, until: str) -> int:
    """Runs until a file is there."""
    note("start", ctx)
    while not Path(until).exists():
        time.sleep(0.02)
    note("end", ctx)
    return ctx.attempt


@job(executor="thread")
def threaded(ctx: JobContext, seconds: float = 0.3) -> int:
    """Takes its time on a thread."""
    note("start", ctx)
    time.sleep(seconds)
    note("end", ctx)
    return ctx.attempt


@job
async def flaky(ctx: JobContext, failures: int = 2) -> int:
    """Fails on its first attempts."""
    note("start", ctx)
    if ctx.attempt <= failures:
        raise ConnectionError(f"attempt {ctx.attempt}")
    note("end", ctx)
    return ctx.attempt


class MuteError(Exception):
    """Has no text to show."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@job
async def kill_worker(ctx: JobContext) -> None:
    """The worker dies by SIGKILL, as by the kernel's out-of-memory killer."""
    note("start", ctx)
    os.kill(os.getpid(), signal.SIGKILL)


@job
async def exit_worker(ctx: JobContext) -> NoReturn:
    """The worker ends without a word."""
    note("start", ctx)
    os._exit(3)


@job(executor="process")
def kill_child(ctx: JobContext) -> None:
    """The child process dies by SIGKILL."""
    note("start", ctx)
    os.kill(os.getpid(), signal.SIGKILL)


@job(executor="process")
def exit_child(ctx: JobContext) -> NoReturn:
    """The child process ends without a word."""
    note("start", ctx)
    os._exit(3)


@job(executor="process", timeout_seconds=1.0)
def spin(ctx: JobContext) -> NoReturn:
    """Never ends, and never gives the processor back."""
    note("start", ctx)
    while True:
        pass


@job(executor="process", timeout_seconds=1.0)
async def spin_async(ctx: JobContext) -> NoReturn:
    """An endless loop in a coroutine: no cancellation ever reaches it."""
    note("start", ctx)
    while True:
        pass


@job
async def odd_result(ctx: JobContext) -> object:
    """A result that JSON has no word for."""
    note("start", ctx)
    return object()


@job(executor="process")
def odd_result_of_child(ctx: JobContext) -> object:
    """A result that cannot be pickled either, from a child process."""
    note("start", ctx)
    return lambda: None


@job
async def huge_result(ctx: JobContext) -> str:
    """100 MB of it."""
    note("start", ctx)
    return "x" * 100_000_000


@job
async def mute_error(ctx: JobContext) -> None:
    """An exception whose text cannot be made."""
    note("start", ctx)
    raise MuteError
