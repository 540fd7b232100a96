"""The autoscaler at work: on a cluster and a bus in memory, in time that passes by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import structlog

from jetmill_operator.cluster.errors import ForbiddenError
from jetmill_operator.cluster.ports import DEPLOYMENT, JOB, POD
from jetmill_operator.policy.crew import COST, MARK
from jetmill_operator.reconcile.scaler import AT_ONCE, BLIND_SECONDS, Scaler
from support.declare import NAMESPACE
from support.stand import CHILD, KEY, Stand, open_stand
from support.taker import Taker
from support.virtual import VirtualLoop

Script = Callable[[Stand], Awaitable[None]]


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


def play(script: Script, *, replicas: int = 0, start: bool = True, **spec: Any) -> None:
    """A stand with so many workers, and a scaler that has begun."""

    async def run() -> None:
        async with open_stand(**spec) as stand:
            await stand.begin(replicas=replicas)
            if start:
                stand.start()
            await script(stand)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(asyncio.wait_for(run(), 100_000))


async def rest(stand: Stand) -> None:
    """Wait until nothing is looked at any more."""
    scaler = stand.scaler
    assert scaler is not None
    await stand.until(lambda: scaler.resting == 1)


# From zero


def test_a_job_that_is_enqueued_at_zero_starts_a_worker_at_once() -> None:
    async def script(stand: Stand) -> None:
        await rest(stand)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await stand.enqueue()
        await stand.until(lambda: stand.workers)
        assert loop.time() - begun < 0.5
        assert await stand.replicas() == 1
        await stand.until(lambda: stand.condition("ScalingActive"))
        [event] = [event for event in await stand.events() if "Scaled" in event]
        assert event.startswith("ScaledUp: 0 → 1: 1 waiting, ")
        assert event.endswith("1.0 s a job (assumed), drain in 30 s (woken)")

    play(script)


def test_a_job_whose_wake_was_lost_is_seen_by_the_tail_of_its_queue() -> None:
    async def script(stand: Stand) -> None:
        await rest(stand)
        await stand.enqueue(wake=False)
        await stand.until(lambda: stand.workers, seconds=5)

    play(script)


def test_a_delayed_job_that_becomes_due_at_zero_wakes_by_itself() -> None:
    async def script(stand: Stand) -> None:
        await rest(stand)
        await stand.enqueue(due=stand.world.clock.now() + 120_000_000)
        await rest(stand)
        await asyncio.sleep(100)
        assert stand.workers == {}
        assert (await stand.status())["backlog"]["delayed"] == 1
        await asyncio.sleep(20)
        await stand.until(lambda: stand.workers, seconds=5)

    play(script)


def test_a_job_at_rest_costs_one_request_for_its_whole_namespace_now_and_then() -> None:
    async def script(stand: Stand) -> None:
        await rest(stand)
        looks, lists = stand.queue.looks, stand.queue.lists
        writes = len(stand.hands.writes)
        await asyncio.sleep(120)
        assert stand.queue.looks == looks
        assert 30 <= stand.queue.lists - lists <= 45
        assert len(stand.hands.writes) == writes

    play(script)


def test_a_busy_jobs_wakes_are_not_even_heard() -> None:
    async def script(stand: Stand) -> None:
        await stand.until(lambda: stand.has(2))
        assert stand.scaler is not None
        await asyncio.sleep(10)
        assert stand.listeners("wake") == 0

    play(script, replicas=2, scaling={"minReplicas": 2})


# Up


def test_a_backlog_adds_workers_in_one_step_and_says_why() -> None:
    async def script(stand: Stand) -> None:
        await rest(stand)
        await stand.enqueue(900)
        await stand.until(lambda: len(stand.workers) > 1)
        assert len(await stand.events()) == 2, "Ready, and one step"
        await asyncio.sleep(30)
        scaling = (await stand.status())["scaling"]
        assert scaling["desired"] == await stand.replicas()
        assert "900 waiting" in scaling["message"]
        assert await stand.condition("ScalingLimited") == "True MaxReplicas"
        assert await stand.condition("ScalingActive") == "True Decided"

    play(script, worker={"image": "shop:1", "concurrency": 2}, scaling={"maxReplicas": 6})


def test_a_write_rests_on_the_version_that_was_read() -> None:
    """Somebody else was faster: it is read and decided anew, never written over."""

    async def script(stand: Stand) -> None:
        await rest(stand)
        scaler = stand.scaler
        assert scaler is not None
        versions: list[Any] = []
        apply = stand.hands.apply

        async def be_late(kind: Any, body: Any, **options: Any) -> Any:
            if options.get("subresource") == "scale":
                versions.append(body["metadata"]["resourceVersion"])
                if len(versions) == 1:
                    await stand.scale(3)
            return await apply(kind, body, **options)

        stand.hands.apply = be_late  # type: ignore[method-assign]
        await stand.enqueue()
        await stand.until(lambda: stand.workers)
        await asyncio.sleep(5)
        assert len(versions) == 1, "three are more than enough"
        assert await stand.replicas() == 3

    play(script)


@pytest.mark.field("Job.spec.scaling.minReplicas")
def test_min_replicas_is_obeyed_without_metrics_and_nothing_else_changes() -> None:
    async def script(stand: Stand) -> None:
        stand.connected = False
        stand.start()
        await stand.until(lambda: stand.has(3))
        assert len([write for write in stand.hands.writes if "scale" in write]) == 1
        await asyncio.sleep(BLIND_SECONDS + 10)
        assert await stand.condition("ScalingActive") == "False MetricsUnavailable"

    play(script, start=False, scaling={"minReplicas": 3})


def test_while_the_bus_is_away_the_number_stays_and_the_status_says_so() -> None:
    async def script(stand: Stand) -> None:
        await asyncio.sleep(5)
        stand.connected = False
        await asyncio.sleep(300)
        assert await stand.replicas() == 4
        assert await stand.condition("ScalingActive") == "False MetricsUnavailable"
        stand.connected = True
        await asyncio.sleep(15)
        assert await stand.condition("ScalingActive") == "True Decided"
        await stand.until(lambda: stand.has(0), seconds=400)

    play(script, replicas=4, scaling={"cooldownSeconds": 20})


def test_a_short_outage_is_not_worth_a_word() -> None:
    async def script(stand: Stand) -> None:
        await asyncio.sleep(30)
        writes = len(stand.hands.writes)
        said = await stand.status()
        stand.connected = False
        await asyncio.sleep(BLIND_SECONDS / 2)
        stand.connected = True
        await asyncio.sleep(30)
        assert await stand.status() == said
        assert len(stand.hands.writes) == writes

    play(script, replicas=2, scaling={"minReplicas": 2})


def test_a_job_at_zero_says_so_too_when_the_bus_is_away_and_wakes_when_it_is_back() -> None:
    async def script(stand: Stand) -> None:
        await rest(stand)
        stand.connected = False
        await asyncio.sleep(60)
        assert await stand.condition("ScalingActive") == "False MetricsUnavailable"
        await stand.enqueue(wake=False)
        stand.connected = True
        await stand.until(lambda: stand.workers, seconds=5)
        await asyncio.sleep(15)
        assert await stand.condition("ScalingActive") == "True Decided"

    play(script)


# Down


def test_workers_leave_after_the_cooldown_and_the_windows_warm_up_after_a_restart() -> None:
    async def script(stand: Stand) -> None:
        await asyncio.sleep(55)
        assert stand.gone == []
        await stand.succeed()
        await asyncio.sleep(55)
        assert stand.gone == [], "the new one has not watched for a whole cooldown"
        await stand.until(lambda: stand.has(0), seconds=300)
        assert stand.killed == []

    play(script, replicas=4)


def test_a_restart_writes_nothing() -> None:
    async def script(stand: Stand) -> None:
        await asyncio.sleep(30)
        body = await stand.cluster.get(JOB, NAMESPACE, KEY.name)
        await stand.succeed()
        await asyncio.sleep(30)
        assert await stand.cluster.get(JOB, NAMESPACE, KEY.name) == body
        assert stand.hands.writes == []

    play(script, replicas=2, scaling={"minReplicas": 2})


def test_marks_that_a_dead_leader_left_are_taken_off() -> None:
    async def script(stand: Stand) -> None:
        name = f"{CHILD}-001"
        await stand.cluster.patch(POD, NAMESPACE, name, {"metadata": {"annotations": {COST: MARK}}}, manager="dead")
        theirs = {"metadata": {"annotations": {COST: "7"}}}
        await stand.cluster.patch(POD, NAMESPACE, f"{CHILD}-002", theirs, manager="somebody")
        stand.start()
        await asyncio.sleep(1)
        assert await stand.marks() == [f"{CHILD}-002"], "what is not ours is left alone"

    play(script, start=False, replicas=2, scaling={"minReplicas": 2})


def test_no_one_leaves_during_a_rollout() -> None:
    async def script(stand: Stand) -> None:
        await stand.roll()
        stand.start()
        await asyncio.sleep(200)
        assert await stand.replicas() == 4
        assert not [worker for worker in stand.workers.values() if worker.resting]
        await stand.replica_set.finish_rollout()
        await stand.until(lambda: stand.has(0))

    play(script, start=False, replicas=4, scaling={"cooldownSeconds": 0})


def test_a_pod_that_never_became_a_worker_goes_first() -> None:
    async def script(stand: Stand) -> None:
        stand.replica_set.roomy = False
        await stand.scale(4)
        await stand.until(lambda: _count_pods(stand, 4))
        await asyncio.sleep(200)
        assert await stand.replicas() == 2
        assert sorted(stand.workers) == [f"{CHILD}-001", f"{CHILD}-002"]
        assert stand.gone == [f"{CHILD}-004", f"{CHILD}-003"]

    play(script, replicas=2, scaling={"minReplicas": 2, "cooldownSeconds": 10})


def test_pods_that_cannot_be_made_need_no_farewell() -> None:
    async def script(stand: Stand) -> None:
        stand.replica_set.frozen = True
        await stand.scale(8)
        meta = {"namespace": NAMESPACE, "name": CHILD}
        generation = (await stand.deployment())["metadata"]["generation"]
        status = {"observedGeneration": generation, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}
        said = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "status": status}
        await stand.cluster.apply(DEPLOYMENT, said, manager="kube-controller-manager", subresource="status")
        await stand.until(lambda: stand.has(4), seconds=60)
        assert stand.gone == []

    play(script, replicas=2, scaling={"minReplicas": 2, "cooldownSeconds": 10})


def test_while_no_node_has_room_no_more_are_asked_for() -> None:
    async def script(stand: Stand) -> None:
        await rest(stand)
        stand.replica_set.roomy = False
        await stand.enqueue(30)
        await stand.until(lambda: _count_pods(stand, 1))
        await asyncio.sleep(20)
        await stand.enqueue(3000)
        await asyncio.sleep(60)
        assert await stand.condition("ScalingLimited") == "True Unschedulable"
        assert await stand.replicas() < 10

    play(script, worker={"image": "shop:1", "concurrency": 4}, scaling={"maxReplicas": 50})


def test_a_suspended_job_keeps_workers_only_for_what_is_in_hand() -> None:
    async def script(stand: Stand) -> None:
        await stand.enqueue(5)
        await Taker(stand.plain, want=1).next()
        stand.workers[f"{CHILD}-002"].begin()
        patch = {"spec": {"suspend": True}}
        await stand.cluster.patch(JOB, NAMESPACE, KEY.name, patch, manager="kubectl")
        await stand.until(lambda: stand.has(1), seconds=300)
        assert list(stand.workers) == [f"{CHILD}-002"]
        assert stand.killed == []

    play(script, replicas=3, scaling={"minReplicas": 2})


# Somebody else


def test_one_change_by_hand_is_taken_as_it_is() -> None:
    async def script(stand: Stand) -> None:
        await asyncio.sleep(10)
        await stand.scale(5)
        await asyncio.sleep(30)
        assert await stand.replicas() == 5
        await stand.until(lambda: stand.has(2), seconds=300)
        assert await stand.condition("ScalingLimited") == "False WithinLimits"

    play(script, replicas=2, scaling={"minReplicas": 2, "cooldownSeconds": 60})


def test_who_sets_the_number_again_and_again_is_left_alone_and_it_is_said() -> None:
    async def script(stand: Stand) -> None:
        await asyncio.sleep(10)
        for _ in range(2):
            await stand.scale(7)
            await asyncio.sleep(5)
            await stand.scale(6)
            await asyncio.sleep(5)
        await asyncio.sleep(60)
        assert await stand.replicas() == 6, "else it would be four at most"
        assert await stand.condition("ScalingLimited") == "True ForeignScaler"
        assert len([event for event in await stand.events() if event.startswith("ForeignScaler")]) == 1
        await stand.until(lambda: stand.has(2), seconds=400)
        await asyncio.sleep(30)
        assert await stand.condition("ScalingLimited") == "False WithinLimits"

    play(script, replicas=2, scaling={"minReplicas": 2, "maxReplicas": 4, "cooldownSeconds": 10})


# Riders


def test_what_waits_for_a_rider_wakes_and_scales_the_carrier() -> None:
    async def script(stand: Stand) -> None:
        await stand.declare("send-sms", worker={"from": {"name": KEY.name}})
        await stand.until(lambda: stand.has_settings("send-sms"))
        await rest(stand)
        await stand.enqueue(40, job="send-sms")
        await stand.until(lambda: stand.workers, seconds=1)
        await asyncio.sleep(30)
        assert (await stand.status("send-sms"))["backlog"]["ready"] == 40
        assert (await stand.status())["backlog"]["ready"] == 0
        assert "40 waiting" in (await stand.status())["scaling"]["message"]
        conditions = {one["type"]: one["reason"] for one in (await stand.status("send-sms"))["conditions"]}
        assert conditions["ScalingActive"] == "Riding"

    play(script, worker={"image": "shop:1", "concurrency": 2})


# The process


def test_a_refusal_of_the_api_server_is_tried_again_and_holds_up_nobody() -> None:
    async def script(stand: Stand) -> None:
        await rest(stand)
        apply, refusals = stand.hands.apply, 3

        async def refuse(kind: Any, body: Any, **options: Any) -> Any:
            nonlocal refusals
            if options.get("subresource") == "scale" and refusals:
                refusals -= 1
                raise ForbiddenError("a policy says no")
            return await apply(kind, body, **options)

        stand.hands.apply = refuse  # type: ignore[method-assign]
        await stand.enqueue()
        await stand.until(lambda: stand.workers, seconds=60)
        assert refusals == 0

    play(script)


def test_a_queue_that_is_missing_is_made_again() -> None:
    async def script(stand: Stand) -> None:
        await asyncio.sleep(5)
        del stand.world.queues[KEY.name]
        await stand.until(lambda: KEY.name in stand.world.queues, seconds=60)
        await asyncio.sleep(30)
        assert await stand.replicas() == 2

    play(script, replicas=2, scaling={"minReplicas": 2})


def test_a_job_that_is_deleted_or_rides_from_now_on_is_looked_at_no_more() -> None:
    async def script(stand: Stand) -> None:
        await asyncio.sleep(5)
        await stand.cluster.delete(JOB, NAMESPACE, KEY.name)
        await stand.until(lambda: _is_gone(stand))
        await asyncio.sleep(3)
        looks = stand.queue.looks
        await asyncio.sleep(60)
        assert stand.queue.looks == looks
        assert stand.listeners("wake") == 0

    play(script, replicas=2, scaling={"minReplicas": 2})


def test_the_metrics_tell_what_was_decided() -> None:
    async def script(stand: Stand) -> None:
        await rest(stand)
        await stand.enqueue()
        await stand.until(lambda: stand.workers)
        await asyncio.sleep(3)
        metrics = stand.team.parts.metrics
        samples = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for metric in metrics.collect()
            for sample in metric.samples
            if "autoscaler" in sample.name
        }
        assert samples["jetmill_autoscaler_decisions_total", "up", "woken"] == 1
        place = ("send-email", NAMESPACE)
        assert samples["jetmill_autoscaler_desired_replicas", *place] == 1
        assert samples["jetmill_autoscaler_current_replicas", *place] == 1
        assert samples["jetmill_autoscaler_limited", *place] == 0
        assert samples["jetmill_autoscaler_strays_total",] == 0

    play(script)


def test_many_jobs_are_looked_at_eight_at_once_and_then_left_in_peace() -> None:
    """Of each that is at zero: two looks, then a page of tails for all of them."""

    async def script(stand: Stand) -> None:
        together, most = 0, 0
        flow = stand.queue.flow

        async def count(job: str) -> Any:
            nonlocal together, most
            together += 1
            most = max(most, together)
            await asyncio.sleep(0)
            together -= 1
            return await flow(job)

        stand.queue.flow = count  # type: ignore[method-assign]
        for number in range(30):
            await stand.declare(f"job-{number}")
        stand.start()
        scaler = stand.scaler
        assert isinstance(scaler, Scaler)
        await stand.until(lambda: scaler.resting == 31)
        assert most <= AT_ONCE
        assert stand.queue.looks <= 12 * 31, "a status that follows within ten seconds is waited for"
        assert stand.presence_reads <= 30
        looks = stand.queue.looks
        await asyncio.sleep(60)
        assert stand.queue.looks == looks

    play(script, start=False)


async def _count_pods(stand: Stand, count: int) -> bool:
    return len(await stand.cluster.list(POD)) == count


async def _is_gone(stand: Stand) -> bool:
    return await stand.cluster.get(JOB, NAMESPACE, KEY.name) is None
