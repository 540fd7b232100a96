"""An operator as a process, and what it says of itself.

`python -m support.operating K` runs one that is killed (SIGKILL) right after the K-th write that it made: the same
Operator, over a cluster that counts.
"""

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
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from jetmill.log import configure
from jetmill_operator.reconcile.operator import Operator, Outside, open_kube
from jetmill_operator.reconcile.settings import OperatorSettings, settings_from_env
from support.site import CrashError, Hands
from support.wait import eventually

TESTS = Path(__file__).resolve().parents[1]
Start = Callable[..., Awaitable["OperatorProcess"]]
"""Starts one, with more variables, and gives it when it leads."""


class OperatorProcess:
    """One process; its log is a file of JSON lines."""

    def __init__(self, folder: Path, environ: Mapping[str, str], *, die_after: int | None = None) -> None:
        self._log = folder / f"operator-{time.monotonic_ns()}.log"
        words = ["jetmill", "operator"] if die_after is None else ["support.operating", str(die_after)]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *words],
                env={
                    **{name: value for name, value in os.environ.items() if not name.startswith("JETMILL_")},
                    "PYTHONPATH": str(TESTS),
                    "JETMILL_HEALTH_HOST": "127.0.0.1",
                    "JETMILL_HEALTH_PORT": "0",
                    "JETMILL_LOG_FORMAT": "json",
                    "JETMILL_LEASE_SECONDS": "4",
                    "JETMILL_RENEW_SECONDS": "3",
                    "JETMILL_RETRY_SECONDS": "0.5",
                    **environ,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @classmethod
    @contextlib.contextmanager
    def start(cls, folder: Path, environ: Mapping[str, str], **options: Any) -> Iterator[OperatorProcess]:
        process = cls(folder, environ, **options)
        try:
            yield process
        finally:
            process.kill()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def find(self, event: str) -> dict[str, Any] | None:
        """The first log line of an event."""
        for line in self.log.splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if isinstance(entry, dict) and entry.get("msg") == event:
                    return entry
        return None

    def list_crashes(self) -> list[dict[str, Any]]:
        """What its log says of reconciles that ended by an error which nobody expected."""
        entries = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [entry for entry in entries if entry.get("msg") == "reconcile_failed" and "exception" in entry]

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """Its exit status; None: it runs."""
        return self._process.poll()

    async def says(self, event: str) -> dict[str, Any]:
        """Wait for a log line."""

        def look() -> dict[str, Any] | None:
            assert self._process.poll() is None or self.find(event), f"it has ended:\n{self.log}"
            return self.find(event)

        found: dict[str, Any] = await eventually(look, seconds=40, what=f"{event} in:\n{self.log}")
        return found

    async def ready(self) -> None:
        """Wait until it leads and has listed everything."""
        await self.says("operator_leading")
        await eventually(lambda: self.get("/readyz") == 200, seconds=40, what=f"to be ready:\n{self.log}")

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
        started = self.find("operator_started")
        assert started is not None
        return f"http://127.0.0.1:{started['health_port']}{path}"

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        return await asyncio.wait_for(asyncio.to_thread(self._process.wait), 40)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
        self._process.wait()


@asynccontextmanager
async def _open_mortal(settings: OperatorSettings, die_after: int) -> AsyncIterator[Outside]:
    async with open_kube(settings) as outside:
        hands = Mortal(outside.cluster)
        hands.die_after = die_after
        yield replace(outside, cluster=hands)


class Mortal(Hands):
    """Kills its process after a write; the lease's own writes do not count."""

    def _note(self, what: str, done: Any) -> Any:
        if "Lease" in what:
            return done
        try:
            return super()._note(what, done)
        except CrashError:
            os.kill(os.getpid(), signal.SIGKILL)
            raise


def main() -> int:
    """Run the operator that is killed after so many writes."""
    settings = settings_from_env()
    configure(settings.log_format, settings.log_level)

    async def run() -> int:
        operator = Operator(settings, open_cluster=lambda given: _open_mortal(given, int(sys.argv[1])))
        return await operator.run()

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
