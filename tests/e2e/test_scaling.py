"""From zero, and back under load: how soon a job runs, and that no running job is ever killed by a step down."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field

import pytest

from e2e.yard import Chain, Yard, assert_untouched
from support.figure import Note


async def test_a_job_at_zero_wakes(yard: Yard, note_figure: Note) -> None:
    job = await yard.declare(scaling={"maxReplicas": 1, "cooldownSeconds": 0})
    waits = []
    for _ in range(3):
        await yard.until(lambda: _has_no_pod(yard, job), what="no pod to be left")
        (job_id,) = await yard.enqueue(job, {"seconds": 0})
        await yard.client.wait_many([job_id], timeout=120)
        (chain,) = await yard.chains([job_id])
        (pod,) = await yard.pods(job)
        rss = await yard.kubectl("exec", pod["metadata"]["name"], "--", "cat", "/sys/fs/cgroup/memory/memory.stat")
        waits.append((chain.wait_seconds, _parse_rss(rss)))
    assert_untouched(await yard.reckon())
    shown = ", ".join(f"{seconds:.1f}" for seconds, _ in waits)
    note_figure(f"from zero, enqueued to running: {shown} s")
    note_figure(f"memory of a worker's pod after one job: {waits[-1][1] / 1e6:.0f} MB (RSS)")


async def _has_no_pod(yard: Yard, job: str) -> bool:
    return not json.loads(await yard.kubectl("get", "pods", "-l", f"jetmill.dev/job={job}", "-o", "json"))["items"]


def _parse_rss(stat: str) -> int:
    return int(dict(line.split() for line in stat.splitlines())["total_rss"])


@dataclass(frozen=True)
class Plan:
    """Waves of long jobs for several Jobs: each wave calls workers up, and they go while the last jobs still run."""

    jobs: int
    waves: int
    per_wave: int
    every_seconds: float
    shortest: float = 20.0
    longest: float = 60.0
    seed: int = 1

    @property
    def total(self) -> int:
        return self.jobs * self.waves * self.per_wave


@dataclass
class Steps:
    """The changes of Deployments' sizes, as they were seen."""

    last: dict[str, int] = field(default_factory=dict)
    up: int = 0
    down: list[tuple[str, float]] = field(default_factory=list)
    """Of which Job, and when (seconds since the epoch)."""
    highest: int = 0

    def note(self, sizes: dict[str, int], *, now: float) -> None:
        for name, size in sizes.items():
            before = self.last.get(name, 0)
            self.up += size > before
            self.down += [(name, now)] * (size < before)
            self.highest = max(self.highest, size)
        self.last = sizes

    def count_in_hand(self, chains: list[Chain]) -> int:
        """How many jobs ran, each counted anew, while their Job stepped down."""
        return sum(
            chain.runs[0].record.job == name and chain.runs[0].time <= now * 1e6 <= chain.entries[-1].time
            for chain in chains
            for name, now in self.down
        )


async def test_no_running_job_is_killed_by_a_step_down(yard: Yard, note_figure: Note) -> None:
    plan = Plan(jobs=4, waves=2, per_wave=14, every_seconds=60, longest=50)
    await _scale_in_under_load(yard, plan, note_figure)


@pytest.mark.soak
@pytest.mark.timeout(2400)
async def test_no_running_job_is_killed_by_steps_down_for_a_quarter_of_an_hour(yard: Yard, note_figure: Note) -> None:
    plan = Plan(jobs=6, waves=7, per_wave=12, every_seconds=130, shortest=30, longest=75)
    await _scale_in_under_load(yard, plan, note_figure)


async def _scale_in_under_load(yard: Yard, plan: Plan, note_figure: Note) -> None:
    scaling = {"maxReplicas": 6, "targetDrainSeconds": 20, "cooldownSeconds": 2}
    names = [
        await yard.declare(worker={"concurrency": 2}, scaling=scaling, timeoutSeconds=120) for _ in range(plan.jobs)
    ]
    steps = Steps()
    watch = asyncio.create_task(_watch(yard, names, steps))
    try:
        await _send_waves(yard, plan, names)
        chains = await yard.reckon(seconds=plan.longest * 8)
    finally:
        watch.cancel()
    assert len(chains) == plan.total
    assert_untouched(chains)
    in_hand = steps.count_in_hand(chains)
    assert in_hand, "no worker left while jobs ran: this has shown nothing"
    note_figure(
        f"{len(chains)} jobs of {plan.shortest:.0f} to {plan.longest:.0f} s of {plan.jobs} Jobs with up to "
        f"{steps.highest} workers: {steps.up} steps up and {len(steps.down)} down seen, with {in_hand} jobs in hand "
        "meanwhile; 0 killed, 0 interrupted"
    )


async def _send_waves(yard: Yard, plan: Plan, names: list[str]) -> None:
    chance = random.Random(plan.seed)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for wave in range(plan.waves):
        due = begun + wave * plan.every_seconds
        await yard.until(lambda due=due: bool(loop.time() >= due), seconds=300, what="the next wave")  # type: ignore[misc]
        for name in names:
            naps = [{"seconds": chance.uniform(plan.shortest, plan.longest)} for _ in range(plan.per_wave)]
            await yard.enqueue(name, *naps)


async def _watch(yard: Yard, names: list[str], steps: Steps) -> None:
    """Note each Deployment's size, time and again."""
    columns = r"-o=jsonpath={range .items[*]}{.metadata.labels.jetmill\.dev/job} {.spec.replicas}{'\n'}{end}"
    while True:
        answer = await yard.kubectl("get", "deployments", "-l", "app.kubernetes.io/name=jetmill-worker", columns)
        sizes = {name: int(size) for name, size in (line.split() for line in answer.splitlines())}
        steps.note({name: sizes.get(name, 0) for name in names}, now=time.time())
        await asyncio.sleep(1.0)
