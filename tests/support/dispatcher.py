"""A dispatcher as a process, and what it says of itself."""

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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from support.wait import eventually


class DispatcherProcess:
    """One process that serves the namespace `shop`; its log is a file of JSON lines."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._log = folder / f"dispatcher-{time.monotonic_ns()}.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jetmill", "dispatcher"],
                env={
                    **{name: value for name, value in os.environ.items() if not name.startswith(("JETMILL_", "KUBE"))},
                    "JETMILL_WATCH_NAMESPACES": "shop",
                    "JETMILL_HEALTH_HOST": "127.0.0.1",
                    "JETMILL_HEALTH_PORT": "0",
                    "JETMILL_LOG_FORMAT": "json",
                    **environ,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @classmethod
    @contextlib.contextmanager
    def start(cls, folder: Path, environ: Mapping[str, str]) -> Iterator[DispatcherProcess]:
        process = cls(folder, environ)
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
            assert self._process.poll() is None or self.find(event), f"it has ended:\n{self.log}"
            return self.find(event)

        found: dict[str, Any] = await eventually(look, seconds=40, what=f"{event} in:\n{self.log}")
        return found

    def get(self, path: str) -> int:
        """The status of an answer of its health port."""
        try:
            with urllib.request.urlopen(self._url(path), timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as err:
            return err.code

    def measure(self, metric: str) -> float:
        """The sum of a metric over its labels."""
        with urllib.request.urlopen(self._url("/metrics"), timeout=5) as answer:
            text = answer.read().decode()
        return sum(float(value) for value in re.findall(rf"^{metric}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE))

    def _url(self, path: str) -> str:
        started = self.find("dispatcher_started")
        assert started is not None
        return f"http://127.0.0.1:{started['health_port']}{path}"

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        return await asyncio.wait_for(asyncio.to_thread(self._process.wait), 40)

    def kill(self) -> None:
        """SIGKILL; returns when it is dead. Idempotent."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
