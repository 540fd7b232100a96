"""A worker's process: started, heard, told to leave.

It is told by SIGTERM, which drains it: what it has in hand it finishes; told again, it gives everything back at once.
It is tethered to this process and dies with it, however that ends.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jetmill_operator.dev.screen import Screen
from jetmill_operator.dev.tether import build_command

STEADY_SECONDS = 10.0
"""What lived as long did not crash in a row with the one before."""
_PROGRAM = "jetmill"


@dataclass(slots=True)
class Backoff:
    """How long to wait before the next process, after some that ended by themselves in a row."""

    crashes: int = 0
    not_before: float = 0.0

    @property
    def seconds(self) -> float:
        """How long to wait still."""
        return max(0.0, self.not_before - time.monotonic())

    def note_end(self, *, lived_seconds: float) -> float:
        """Note that one ended; give the seconds until the next may be started."""
        self.crashes = 1 if lived_seconds >= STEADY_SECONDS else self.crashes + 1
        pause = decide_pause_seconds(self.crashes)
        self.not_before = time.monotonic() + pause
        return pause


def decide_pause_seconds(crashes: int) -> float:
    """Decide how long to wait before the next start, after so many that ended by themselves in a row."""
    return min(30.0, 0.5 * 2.0 ** min(crashes - 1, 10)) if crashes > 0 else 0.0


class Process:
    """One process; `name` is how its lines are marked on the screen."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, screen: Screen) -> None:
        self.name = name
        self.born = time.monotonic()
        self._process = process
        self._screen = screen

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], screen: Screen, *, folder: Path, environ: Mapping[str, str]
    ) -> Process:
        """Start it in a folder; OSError if there is no such program."""
        process = await asyncio.create_subprocess_exec(
            *build_command(_find_program(command), sign=signal.SIGKILL),
            cwd=folder,
            env={**environ, **({"FORCE_COLOR": "1"} if screen.colour else {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(name, process, screen)

    @property
    def pid(self) -> int:
        """Its process id, which its presence says too."""
        return self._process.pid

    @property
    def lived_seconds(self) -> float:
        """How long ago it was started."""
        return time.monotonic() - self.born

    async def wait(self) -> int:
        """Show what it says until it ends; how it ended."""
        assert self._process.stdout is not None
        pump = asyncio.create_task(self._screen.pump(self.name, self._process.stdout))
        try:
            status = await self._process.wait()
            # A process that the worker left behind may hold the pipe open: what it says is not waited for.
            await asyncio.wait([pump], timeout=1.0)
        finally:
            pump.cancel()
        return status

    def terminate(self) -> None:
        """Ask it to drain; a second time: to give everything back at once."""
        if self._process.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process.returncode is None:
            self._process.kill()


def explain_end(status: int) -> str:
    """Say how a process ended."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was ended by {name}"


def _find_program(command: Sequence[str]) -> list[str]:
    """Our own program is that of this interpreter; others are looked for on the PATH."""
    program, *arguments = command
    return [sys.executable, "-m", _PROGRAM, *arguments] if program == _PROGRAM else [program, *arguments]
