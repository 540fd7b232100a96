"""Notices when manifests or code change.

The kernel's events (watchfiles) only say when to look, and so does a timer; what changed is told by comparing times and
sizes, so that an event lost while the set of folders changes is no loss, and an editor's temporary files make no noise.
Folders that hold no code of ours (hidden ones, the data folder, environments) are not watched: the store alone would
send thousands of events.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from pathlib import Path

from watchfiles import awatch

from jetmill_operator.dev.manifest import list_files

_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist", "venv"})
_DEBOUNCE_MS = 300
_STEP_MS = 50
_LOOK_MS = 5_000
Stamps = dict[Path, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since the last look."""

    manifests: bool
    code: bool


def list_folders(folder: Path) -> list[Path]:
    """List a folder and those below that may hold code."""
    found: list[Path] = []
    for path, names, files in os.walk(folder):
        if "pyvenv.cfg" in files:
            names.clear()
            continue
        names[:] = sorted(name for name in names if name not in _SKIPPED and not name.startswith("."))
        found.append(Path(path))
    return found


def take_stamps(folder: Path) -> tuple[Stamps, Stamps]:
    """Times and sizes of the manifests in a folder and of the Python files in and below it."""
    code = (path for below in list_folders(folder) for path in below.glob("*.py"))
    return _stamp(list_files(folder)), _stamp(code)


def _stamp(paths: Iterable[Path]) -> Stamps:
    stamps: Stamps = {}
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            stamps[path] = (status.st_mtime_ns, status.st_size)
    return stamps


async def watch(folder: Path, *, since: tuple[Stamps, Stamps], stop: asyncio.Event) -> AsyncGenerator[Changes]:
    """Tell of each change until `stop`, beginning with what changed since `take_stamps` gave `since`: take them before
    the folder is read, or what is saved while everything starts goes unseen.
    """
    manifests, code = since
    while not stop.is_set():
        folders, over = list_folders(folder), _Over(stop)
        events = awatch(
            *folders,
            recursive=False,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            stop_event=over,
            watch_filter=None,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
        )
        async with contextlib.aclosing(_and_at_once(events, over)) as cues:
            async for _ in cues:
                new_manifests, new_code = await asyncio.to_thread(take_stamps, folder)
                changes = Changes(new_manifests != manifests, new_code != code)
                manifests, code = new_manifests, new_code
                if changes.manifests or changes.code:
                    yield changes
                if list_folders(folder) != folders:
                    break


async def _and_at_once(events: AsyncGenerator[object], over: asyncio.Event) -> AsyncGenerator[None]:
    """A cue to look now, for something may have changed before the events began, then one with each of them. They begin
    first, so that what changes meanwhile is seen by the one or by the other; `over` ends them.
    """
    async with contextlib.aclosing(events):
        first = asyncio.ensure_future(anext(events, None))
        try:
            await asyncio.sleep(0)  # its first step, in which it begins to listen
            yield
            await first
        finally:
            if not first.done():
                over.set()
                await asyncio.wait([first])
        yield
        async for _ in events:
            yield


class _Over(asyncio.Event):
    """Set by itself, or with another one."""

    def __init__(self, other: asyncio.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        return self._other.is_set() or super().is_set()
