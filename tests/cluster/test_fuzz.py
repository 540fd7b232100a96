"""A thousand Jobs that nobody would declare, applied to an API server that takes them: none of them is anybody else's
trouble.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count

import pytest

from jetmill_operator.cluster.errors import InvalidError
from jetmill_operator.cluster.ports import JOB
from support.junk import make_spec
from support.operating import Start
from support.person import Person
from support.wait import eventually

SPECS = 1_000
NAMES = 40
"""Jobs that they are declared as, one spec after another: what the last one left is part of the trouble."""
AT_ONCE = 4
CANARY = "canary"


async def declare_one(person: Person, numbers: Iterator[int], name: str) -> int:
    """Declare the next spec that the API server takes; gives how many it refused before."""
    refused = 0
    for number in numbers:
        body = {"apiVersion": JOB.api_version, "kind": JOB.name, "spec": make_spec(number)}
        body["metadata"] = {"name": name, "namespace": person.namespace}
        try:
            await person.kube.apply(JOB, body, manager="fuzz")
        except InvalidError:
            refused += 1
        else:
            break
    return refused


async def follow_canary(person: Person, times: list[float]) -> None:
    """Change a good Job again and again, and note how long each change takes to be carried out."""
    loop = asyncio.get_running_loop()
    for number in count(1):
        begun = loop.time()
        await person.declare(CANARY, timeoutSeconds=number)
        await person.observed(CANARY)
        times.append(loop.time() - begun)
        await asyncio.sleep(1)  # it is one among many, not the loudest


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_random_specs_never_crash_a_reconcile_nor_stall_the_others(start: Start, person: Person) -> None:
    # A machine that is busy with all this must not cost the lease.
    process = await start(JETMILL_LEASE_SECONDS="60", JETMILL_RENEW_SECONDS="40", JETMILL_RETRY_SECONDS="2")
    numbers, places, times = count(), iter(range(SPECS)), list[float]()
    canary = asyncio.create_task(follow_canary(person, times))

    async def work() -> int:
        return sum([await declare_one(person, numbers, f"job-{place % NAMES:02}") for place in places])

    refused = sum(await asyncio.gather(*(work() for _ in range(AT_ONCE))))
    await eventually(lambda: _all_observed(person), seconds=240, what="the last spec of each to be looked at")
    assert not canary.done(), canary
    canary.cancel()
    crashes = process.list_crashes()
    assert crashes == [], crashes[0]
    assert process.get("/livez") == 200
    runs = process.measure("jetmill_reconcile_total")
    print(f"\n{SPECS} specs taken, {refused} refused by the API server, {runs:.0f} reconciles")
    print(f"the good Job beside them: {len(times)} changes, observed after at most {max(times):.2f} s")


async def _all_observed(person: Person) -> bool:
    bodies = await person.kube.list(JOB)
    seen = {body["metadata"]["name"]: (body.get("status") or {}).get("observedGeneration") for body in bodies}
    return seen == {body["metadata"]["name"]: body["metadata"]["generation"] for body in bodies}
