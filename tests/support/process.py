"""A part of Jetmill as a process: started, asked, signalled, killed. What it says of itself is in its log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from support.wait import eventually

_OURS = {"JETMILL_HEALTH_HOST": "127.0.0.1", "JETMILL_HEALTH_PORT": "0", "JETMILL_LOG_FORMAT": "json"}


class PartProcess:
    """One process; its log is a file of JSON lines."""

    name: ClassVar[str]
    """What it is: the name of its command, and of its log."""
    environ: ClassVar[Mapping[str, str]]
    """Variables that tests give it if they say nothing else."""
    hidden: ClassVar[tuple[str, ...]] = ("JETMILL_",)
    """Variables that begin so are not handed down."""

    def __init__(self, folder: Path, environ: Mapping[str, str], *, words: Sequence[str] = ()) -> None:
        """`words`: what Python is to run instead of the command, after `-m`."""
        self._log = folder / f"{self.name}-{time.monotonic_ns()}.log"
        handed = {name: value for name, value in os.environ.items() if not name.startswith(self.hidden)}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *(words or ("jetmill", self.name))],
                env={**handed, **_OURS, **self.environ, **environ},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @classmethod
    @contextlib.contextmanager
    def start(cls, folder: Path, environ: Mapping[str, str], **options: Any) -> Iterator[Self]:
        process = cls(folder, environ, **options)
        try:
            yield process
        finally:
            process.kill()

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """Its exit status; None: it runs."""
        return self._process.poll()

    def find(self, event: str) -> dict[str, Any] | None:
        """The first log line of an event."""
        for line in self.log.splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("msg") == event:
                    return entry
        return None

    async def says(self, event: str) -> dict[str, Any]:
        """Wait for a log line."""

        def look() -> dict[str, Any] | None:
            assert self.ended is None or self.find(event), f"it has ended:\n{self.log}"
            return self.find(event)

        found: dict[str, Any] = await eventually(look, seconds=120, what=f"{event} in:\n{self.log}")
        return found

    def get(self, path: str) -> int:
        """The status of an answer of its health port."""
        try:
            with urllib.request.urlopen(self._url(path), timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as err:
            return err.code

    def measure(self, metric: str) -> float:
        """The sum of a metric over its labels."""
        with urllib.request.urlopen(self._url("/metrics"), timeout=60) as answer:
            text = answer.read().decode()
        return sum(float(value) for value in re.findall(rf"^{metric}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))

    def _url(self, path: str) -> str:
        started = self.find(f"{self.name}_started")
        assert started is not None
        return f"http://127.0.0.1:{started['health_port']}{path}"

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        return await asyncio.wait_for(asyncio.to_thread(self._process.wait), 120)

    def kill(self) -> None:
        """SIGKILL; returns when it is dead. Idempotent."""
        if self.ended is None:
            self._process.kill()
        self._process.wait()
