"""Pods that go in the middle of jobs: no job is lost, and no attempt is spent on what was nobody's fault."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.yard import Yard, assert_untouched, count
from jetmill.protocol.state import CRASH_BUDGET, Reason, State
from support.figure import Note
from support.release import TAG

SHORT_GRACE = {"env": [{"name": "JETMILL_GRACE_SECONDS", "value": "1"}]}
"""Workers that let nothing run on when they are told to stop."""


async def declare_two(yard: Yard, *, worker: dict[str, Any] | None = None, **spec: Any) -> tuple[str, list[str]]:
    """A Job with two workers of five slots, and their pods."""
    worker = {"concurrency": 5, **(worker or {})}
    job = await yard.declare(worker=worker, scaling={"minReplicas": 2, "maxReplicas": 2}, leaseSeconds=6, **spec)
    return job, await yard.ready_pods(job, 2)


async def test_a_pod_that_is_deleted_ends_its_jobs_in_peace(yard: Yard) -> None:
    job, pods = await declare_two(yard, timeoutSeconds=60)
    ids = await yard.enqueue(job, *[{"seconds": 8}] * 10)
    hosts = await yard.running(ids, 10)
    await yard.kubectl("delete", "pod", pods[0], "--wait=false")
    chains = await yard.reckon()
    assert_untouched(chains)
    assert set(hosts.values()) == set(pods)


async def test_a_pod_that_is_evicted_gives_its_jobs_back(yard: Yard) -> None:
    job, pods = await declare_two(yard, worker=SHORT_GRACE, timeoutSeconds=60)
    ids = await yard.enqueue(job, *[{"seconds": 12}] * 10)
    hosts = await yard.running(ids, 10)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pods[0]}}
    path = f"/api/v1/namespaces/{yard.release.shop}/pods/{pods[0]}/eviction"
    await yard.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(eviction))
    chains = await yard.reckon()
    assert count(chains, "state") == {State.SUCCEEDED: 10}
    assert count(chains, "attempt") == {1: 10}
    assert count(chains, "crashes") == {0: 10}
    assert count(chains, "interrupted") == {0: 5, 1: 5}
    assert sorted(hosts.values()).count(pods[0]) == 5


async def test_jobs_of_a_pod_that_is_killed_are_taken_over(yard: Yard, note_figure: Note) -> None:
    job, pods = await declare_two(yard, timeoutSeconds=60)
    ids = await yard.enqueue(job, *[{"seconds": 10}] * 10)
    await yard.running(ids, 10)
    await yard.kubectl("delete", "pod", pods[0], "--grace-period=0", "--force")
    chains = await yard.reckon()
    assert count(chains, "state") == {State.SUCCEEDED: 10}
    assert count(chains, "attempt") == {1: 10}
    assert count(chains, "crashes") == {0: 5, 1: 5}
    gaps = [(chain.runs[1].time - chain.runs[0].time) / 1e6 for chain in chains if chain.crashes]
    note_figure(
        f"taken over from a killed pod: {min(gaps):.1f} to {max(gaps):.1f} s after their first start, lease 6 s"
    )


async def test_a_job_that_eats_its_pods_memory_becomes_poison_and_harms_no_other(yard: Yard) -> None:
    job = await yard.declare(
        "gorge",
        worker={"concurrency": 1},
        leaseSeconds=3,
        scaling={"minReplicas": 2, "maxReplicas": 2},
    )
    await yard.ready_pods(job, 2)
    (glutton,) = await yard.enqueue(job, {"megabytes": 1000})
    await yard.enqueue(job, *[{"megabytes": 1}] * 10)

    async def killed_for_memory() -> bool:
        states = [
            state["terminated"]["reason"]
            for pod in await yard.pods(job)
            for one in pod["status"].get("containerStatuses", [])
            for state in (one["lastState"], one["state"])
            if "terminated" in state
        ]
        return "OOMKilled" in states

    await yard.until(killed_for_memory, what="a container that was killed for its memory")
    chains = {chain.entries[-1].id: chain for chain in await yard.reckon(seconds=240)}
    last = chains.pop(glutton)
    assert (last.state, last.reason, last.attempt, last.crashes) == (State.FAILED, Reason.POISON, 1, CRASH_BUDGET)
    assert len(last.runs) == CRASH_BUDGET + 1
    assert_untouched(chains.values())


async def test_a_rolling_update_under_load_loses_nothing_and_spends_no_attempt(yard: Yard, note_figure: Note) -> None:
    job, pods = await declare_two(yard, timeoutSeconds=60)
    changes = [
        {"worker": {"env": [{"name": "SEASON", "value": "winter"}]}},
        {"worker": {"image": f"jetmill/shop:{TAG}"}},
    ]
    rollouts = 0
    for change in changes:
        await yard.enqueue(job, *[{"seconds": 3}] * 10)
        await yard.kubectl("patch", "jmj", job, "--type=merge", "-p", json.dumps({"spec": change}))
        before = set(pods)

        async def replaced(before: set[str] = before) -> list[str]:
            await yard.enqueue(job, *[{"seconds": 0.2}] * 4, {"seconds": 4})
            names = [pod["metadata"]["name"] for pod in await yard.pods(job)]
            return names if len(names) == 2 and not before & set(names) else []

        pods = await yard.until(replaced, what="all pods to be new ones")
        rollouts += 1
    chains = await yard.reckon()
    assert_untouched(chains)
    note_figure(f"{rollouts} rolling updates: {len(chains)} jobs meanwhile, none interrupted")


async def test_nothing_is_lost_when_the_pod_of_nats_goes(yard: Yard, note_figure: Note) -> None:
    job, _ = await declare_two(yard, timeoutSeconds=60)
    await yard.enqueue(job, *[{"seconds": number / 4} for number in range(40)])
    nats = f"pod/{yard.release.name}-nats-0"
    await yard.kubectl("delete", nats, "--wait=false", namespace=yard.release.home)
    for _ in range(20):
        await yard.enqueue(job, *[{"seconds": 0.5}] * 2)
    chains = await yard.reckon()
    assert count(chains, "state") == {State.SUCCEEDED: 80}
    assert count(chains, "attempt") == {1: 80}
    longest = max(chain.wait_seconds for chain in chains)
    note_figure(f"pod of NATS killed under load: 80 jobs done, longest wait {longest:.1f} s, {sum_of(chains)}")


async def test_nothing_is_lost_when_the_pod_of_the_operator_goes(yard: Yard, note_figure: Note) -> None:
    job = await yard.declare(worker={"concurrency": 4}, scaling={"maxReplicas": 3, "targetDrainSeconds": 5})
    ids = await yard.enqueue(job, *[{"seconds": 8}] * 12)
    await yard.running(ids, 4)
    selector = "app.kubernetes.io/component=operator"
    await yard.kubectl("delete", "pod", "-l", selector, "--grace-period=0", "--force", namespace=yard.release.home)
    idle = await yard.declare(scaling={"maxReplicas": 1, "cooldownSeconds": 0})  # answered by the one that comes
    woken = await yard.enqueue(idle, {"seconds": 0})
    chains = await yard.reckon()
    assert_untouched(chains)
    waited = next(chain.wait_seconds for chain in chains if chain.entries[0].id == woken[0])
    note_figure(f"operator killed under load: 13 jobs done, a Job of the next operator woke in {waited:.1f} s")


def sum_of(chains: list[Any]) -> str:
    crashes, interrupted = (sum(getattr(chain, what) for chain in chains) for what in ("crashes", "interrupted"))
    return f"{crashes} takeovers, {interrupted} interruptions"


@pytest.fixture(autouse=True)
async def _calm(yard: Yard) -> None:
    """Begin with pods that stand: the test before may have taken one."""
    for what in (f"statefulset/{yard.release.name}-nats", f"deployment/{yard.release.name}-operator"):
        await yard.kubectl("rollout", "status", what, "--timeout=90s", namespace=yard.release.home)
