"""An operator as a process, and what it says of itself.

`python -m support.operating K` runs one that is killed (SIGKILL) right after the K-th write that it made: the same
Operator, over a cluster that counts.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from jetmill.log import configure
from jetmill_operator.reconcile.operator import Operator, Outside, open_kube
from jetmill_operator.reconcile.settings import OperatorSettings, settings_from_env
from support.process import PartProcess
from support.site import CrashError, Hands
from support.wait import eventually

TESTS = Path(__file__).resolve().parents[1]
Start = Callable[..., Awaitable["OperatorProcess"]]
"""Starts one, with more variables, and gives it when it leads."""


class OperatorProcess(PartProcess):
    """Tries again at once where another leads; a busy machine does not cost it the lease."""

    name = "operator"
    environ: ClassVar = {
        "PYTHONPATH": str(TESTS),
        "JETMILL_LEASE_SECONDS": "15",
        "JETMILL_RENEW_SECONDS": "10",
        "JETMILL_RETRY_SECONDS": "0.5",
    }

    def __init__(self, folder: Path, environ: Mapping[str, str], *, die_after: int | None = None) -> None:
        super().__init__(folder, environ, words=() if die_after is None else ("support.operating", str(die_after)))

    def list_crashes(self) -> list[dict[str, Any]]:
        """What its log says of reconciles that ended by an error which nobody expected."""
        entries = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [entry for entry in entries if entry.get("msg") == "reconcile_failed" and "exception" in entry]

    async def ready(self) -> None:
        """Wait until it leads and has listed everything."""
        await self.says("operator_leading")
        await eventually(lambda: self.get("/readyz") == 200, seconds=60, what=f"to be ready:\n{self.log}")


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
