"""A thousand Jobs: how long until all are ready, what the operator needs for it, what it asks for at rest."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from jetmill_operator.cluster.ports import DEPLOYMENT, JOB
from support.faultproxy import FaultProxy
from support.figure import Note
from support.operating import OperatorProcess, Start
from support.person import Person
from support.wait import eventually

JOBS = int(os.environ.get("SOAK_JOBS", "1000"))
REST_SECONDS = 180.0
AT_ONCE = 8
LEASE = {"JETMILL_LEASE_SECONDS": "15", "JETMILL_RENEW_SECONDS": "10", "JETMILL_RETRY_SECONDS": "2"}
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What a process has needed so far."""

    cpu_seconds: float
    rss_mib: float

    @classmethod
    def of(cls, process: OperatorProcess) -> Usage:
        """Of now."""
        folder = Path("/proc") / str(process.pid)
        fields = (folder / "stat").read_text().rpartition(") ")[2].split()
        rss = next(line for line in (folder / "status").read_text().splitlines() if line.startswith("VmRSS:"))
        return cls((int(fields[11]) + int(fields[12])) / _TICKS, int(rss.split()[1]) / 1024)


async def declare_all(person: Person) -> None:
    names = iter([f"job-{number:04}" for number in range(JOBS)])

    async def work() -> None:
        for name in names:
            await person.declare(name)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def count_ready(person: Person) -> int:
    return sum(
        one["status"] == "True"
        for body in await person.kube.list(JOB)
        for one in (body.get("status") or {}).get("conditions") or ()
        if one["type"] == "Ready"
    )


async def settle(process: OperatorProcess, *, runs: int) -> None:
    """Wait until so many reconciles have ended, and no key waits or runs for a while."""

    async def is_still() -> bool:
        before = process.measure("jetmill_reconcile_total")
        await asyncio.sleep(5)
        busy = process.measure("jetmill_workqueue_depth") + process.measure("jetmill_workqueue_running")
        return not busy and before >= runs and process.measure("jetmill_reconcile_total") == before

    await eventually(is_still, seconds=900, what="the operator to come to rest")


async def read_versions(person: Person) -> dict[str, str]:
    return {
        f"{kind.name} {body['metadata']['name']}": body["metadata"]["resourceVersion"]
        for kind in (JOB, DEPLOYMENT)
        for body in await person.kube.list(kind)
    }


@pytest.mark.soak
@pytest.mark.timeout(3000)
async def test_a_thousand_jobs_converge_rest_and_cost_no_write_on_a_restart(
    start: Start, person: Person, proxy: FaultProxy, note_figure: Note
) -> None:
    behind = {"KUBECONFIG": str(proxy.write_kubeconfig()), **LEASE}
    await declare_all(person)
    loop = asyncio.get_running_loop()
    first = await start(wait=False, **behind)
    await first.says("operator_leading")
    begun = loop.time()
    await eventually(lambda: _all_ready(person, first), seconds=1500, what="all to be ready")
    note_figure(f"{JOBS} Jobs, declared before the operator started: all ready after {loop.time() - begun:.0f} s")
    await settle(first, runs=JOBS)
    usage = Usage.of(first)
    note_figure(f"until all was at rest: {usage.cpu_seconds:.0f} s of CPU, then {usage.rss_mib:.0f} MiB RSS")

    proxy.answers.clear()
    begun = loop.time()
    await asyncio.sleep(REST_SECONDS)  # this is what is measured
    minutes = (loop.time() - begun) / 60
    spent = Usage.of(first).cpu_seconds - usage.cpu_seconds
    asked = Counter(f"{request.method} {_name(request.path)}" for request, _ in proxy.answers)
    note_figure(
        f"at rest: {len(proxy.answers) / minutes:.0f} API requests a minute "
        f"({', '.join(f'{number / minutes:.1f} {what}' for what, number in asked.most_common(6))}), "
        f"{100 * spent / (60 * minutes):.1f} % of a core"
    )
    assert first.get("/readyz") == 200

    first.send(signal.SIGTERM)
    assert await first.wait() == 0
    before = await read_versions(person)
    assert len(before) == 2 * JOBS
    proxy.answers.clear()
    second = await start(**behind)
    begun = loop.time()
    await settle(second, runs=JOBS)
    writes = [request for request, _ in proxy.answers if request.method != "GET" and "/leases" not in request.path]
    note_figure(
        f"a restart: {len(writes)} writes, {len(proxy.answers)} requests, at rest within {loop.time() - begun:.0f} s"
    )
    assert writes == []
    assert await read_versions(person) == before


async def _all_ready(person: Person, operator: OperatorProcess) -> bool:
    assert operator.ended is None, operator.log
    await asyncio.sleep(1)
    return await count_ready(person) == JOBS


def _name(path: str) -> str:
    """The resource that a path is about."""
    steps = path.split("/")
    return steps[steps.index("namespaces") + 2] if "namespaces" in steps else path
