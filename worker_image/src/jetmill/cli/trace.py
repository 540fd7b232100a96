"""What a job tells while it runs, on the command line: log lines, and progress while `--wait` waits."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from jetmill.cli.output import Format, build_table, show
from jetmill.cli.progress import Bar
from jetmill.errors import BusError

if TYPE_CHECKING:
    from jetmill.bus.ports import TraceLine
    from jetmill.client.client import Client
    from jetmill.client.status import Transition


async def print_logs(client: Client, job_id: str, *, follow: bool, output: Format) -> None:
    """Print the log lines of a job; with `follow`, those that come until it ends as well."""
    await client.status(job_id)  # so that an unknown id is an error, not an empty answer
    if not follow:
        lines = [_read_line(line) async for line in client.logs(job_id)]
        rows = [(line["time"], line["level"], line["message"], line["fields"]) for line in lines]
        show(lines, output, table=build_table(("time", "level", "message", "fields"), rows, empty="no log lines"))
        return
    printing = asyncio.create_task(_print_live(client, job_id, output))
    try:
        await client.wait(job_id)
        done, _ = await asyncio.wait({printing}, timeout=0.5)  # lines that are still under way
        for task in done:
            task.result()
    finally:
        await _end(printing)


async def wait_with_bar(client: Client, job_id: str, *, seconds: float | None) -> Transition:
    """Wait until a job is done with, its own reports moving a bar; TimeoutError."""
    with Bar(label=job_id) as bar:
        watching = asyncio.create_task(_watch(client, job_id, bar)) if sys.stderr.isatty() else None
        try:
            return await client.wait(job_id, seconds)
        finally:
            if watching is not None:
                await _end(watching)


async def wait_for_all(client: Client, ids: list[str], *, seconds: float | None) -> list[Transition]:
    """Wait until all jobs are done with, each moving a bar; TimeoutError."""
    with Bar(label=f"{len(ids)} jobs") as bar:
        ended = 0

        def count(_: Transition) -> None:
            nonlocal ended
            ended += 1
            bar.draw(ended / len(ids), f"{ended}")

        return await client.wait_many(ids, seconds, on_final=count)


async def _watch(client: Client, job_id: str, bar: Bar) -> None:
    reports: AsyncIterator[TraceLine] = client.logs(job_id, live=True, kind="progress")
    async for report in reports:
        told = msgspec.json.decode(report.data)
        bar.draw(float(told.get("fraction", 0.0)), str(told.get("message", "")))


async def _print_live(client: Client, job_id: str, output: Format) -> None:
    async for line in client.logs(job_id, live=True):
        told = _read_line(line)
        if output is Format.TABLE:
            fields = "".join(f" {key}={value}" for key, value in (told["fields"] or {}).items())
            sys.stdout.write(f"{told['time']} {told['level']:<7} {told['message']}{fields}\n")
        else:
            sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
        sys.stdout.flush()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, BusError):  # a bar that saw less is no reason to fail
        await task


def _read_line(line: TraceLine) -> dict[str, Any]:
    from jetmill.client.status import time_of

    told = msgspec.json.decode(line.data)
    if not isinstance(told, dict):
        told = {"message": str(told)}
    return {
        "time": time_of(line.time).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": told.get("level", "info"),
        "message": told.get("message", ""),
        "attempt": told.get("attempt"),
        "fields": told.get("fields"),
    }
