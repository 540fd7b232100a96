"""Finds out whether the handlers are there that the manifests name.

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
from dataclasses import dataclass
from pathlib import Path

import msgspec

from jetmill_operator.dev.environment import build_environment
from jetmill_operator.dev.manifest import Manifests

PROBE_SECONDS = 30.0


class _Verdict(msgspec.Struct):
    what: str = ""
    where: str = ""
    known: list[str] = []


@dataclass(frozen=True, slots=True)
class Missing:
    """A handler that cannot be used."""

    what: str
    cure: str


async def refuse_missing(manifests: Manifests, folder: Path, *, seconds: float = PROBE_SECONDS) -> None:
    """Take back the Jobs whose handler cannot be imported, with a fault for each."""
    wanted = {name: declared.job.spec.handler for name, declared in manifests.jobs.items()}
    missing = await find_missing([handler for handler in wanted.values() if handler], folder, seconds=seconds)
    for name, handler in wanted.items():
        if handler in missing:
            declared, fault = manifests.jobs[name], missing[handler]
            manifests.refuse(declared, declared.build_fault(("spec", "handler"), fault.what, fault.cure))


async def find_missing(handlers: Iterable[str], folder: Path, *, seconds: float = PROBE_SECONDS) -> dict[str, Missing]:
    """Import each handler as a worker would; give those that cannot be used."""
    waiting = list(dict.fromkeys(handlers))
    missing: dict[str, Missing] = {}
    while waiting:
        verdicts, end = await _probe(waiting, folder, seconds)
        for handler, verdict in zip(waiting, verdicts, strict=False):
            if verdict.what:
                missing[handler] = _build_missing(handler, verdict, folder)
        if len(verdicts) < len(waiting):
            missing[waiting[len(verdicts)]] = Missing(f"importing it {end}", "move what runs into functions")
        waiting = waiting[len(verdicts) + 1 :]
    return missing


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
