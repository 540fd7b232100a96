"""Finds out whether the handlers are there that the manifests name, and what schedules they say.

It asks a process of the same interpreter (`probe.py`), with the folder first on its path, as workers have it. It is
asked again whenever code or manifests change; when it dies or hangs, the handler that it was at is to blame, and a
new process goes on with the next.
"""

from __future__ import annotations

import asyncio
import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from jetmill_operator.dev.environment import build_environment
from jetmill_operator.dev.manifest import Manifests, shorten
from jetmill_operator.dev.schedule import Said, take_in

PROBE_SECONDS = 30.0


class _Verdict(msgspec.Struct):
    what: str = ""
    where: str = ""
    known: list[str] = []
    schedule: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """A handler that cannot be used."""

    what: str
    cure: str


@dataclass(slots=True)
class Seen:
    """What importing handlers showed, by handler."""

    missing: dict[str, Missing] = field(default_factory=dict)
    schedules: dict[str, Said] = field(default_factory=dict)


async def take_handlers(manifests: Manifests, folder: Path, *, seconds: float = PROBE_SECONDS) -> None:
    """Take back the Jobs whose handler cannot be imported, with a fault for each, and in what schedules others say."""
    wanted = {name: declared.job.spec.handler for name, declared in manifests.jobs.items()}
    seen = await look_at([handler for handler in wanted.values() if handler], folder, seconds=seconds)
    said: dict[str, Said] = {}
    for name, handler in wanted.items():
        if handler in seen.missing:
            declared, fault = manifests.jobs[name], seen.missing[handler]
            manifests.refuse(declared, declared.build_fault(("spec", "handler"), fault.what, fault.cure))
        elif handler in seen.schedules:
            said[name] = seen.schedules[handler]
    take_in(manifests, said)


async def look_at(handlers: Iterable[str], folder: Path, *, seconds: float = PROBE_SECONDS) -> Seen:
    """Import each handler as a worker would; give those that cannot be used, and the schedules of the others."""
    waiting = list(dict.fromkeys(handlers))
    seen = Seen()
    while waiting:
        verdicts, end = await _probe(waiting, folder, seconds)
        for handler, verdict in zip(waiting, verdicts, strict=False):
            if verdict.what:
                seen.missing[handler] = _build_missing(handler, verdict, folder)
            elif verdict.schedule is not None:
                file, _, line = verdict.where.rpartition(":")
                seen.schedules[handler] = Said(verdict.schedule, shorten(Path(file)), int(line or 1))
        if len(verdicts) < len(waiting):
            seen.missing[waiting[len(verdicts)]] = Missing(f"importing it {end}", "move what runs into functions")
        waiting = waiting[len(verdicts) + 1 :]
    return seen


async def _probe(handlers: Sequence[str], folder: Path, seconds: float) -> tuple[list[_Verdict], str]:
    """The verdicts that came, in order, and how the process ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "jetmill_operator.dev.probe",
        cwd=folder,
        env=build_environment(folder),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"".join(msgspec.json.encode(handler) + b"\n" for handler in handlers))
    process.stdin.close()
    verdicts: list[_Verdict] = []
    try:
        async with asyncio.timeout(seconds):
            while line := await process.stdout.readline():
                verdicts.append(msgspec.json.decode(line, type=_Verdict))
            status = await process.wait()
    except TimeoutError:
        return verdicts, f"took longer than {seconds:g} seconds"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return verdicts, f"ended the process (status {status})"


def _build_missing(handler: str, verdict: _Verdict, folder: Path) -> Missing:
    module, _, name = handler.partition(":")
    if verdict.where:
        return Missing(verdict.what, f"see {verdict.where.removeprefix(f'{folder}{os.sep}')}")
    if verdict.what.startswith("no module"):
        return Missing(verdict.what, f"write {module.replace('.', os.sep)}.py in {folder}, or install what holds it")
    close = difflib.get_close_matches(name, verdict.known, n=1)
    return Missing(verdict.what, f"did you mean {module}:{close[0]}?" if close else "name a function of that module")
