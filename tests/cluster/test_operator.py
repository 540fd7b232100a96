"""The operator as a process, against the API of a real cluster and a nats-server on loopback."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable
from typing import Any

import pytest

from factories import make_hint
from jetmill.bus.ports import Bus
from jetmill.errors import NotFoundError
from jetmill.protocol.plan import Slot, make_slot_id
from jetmill_operator.cluster.ports import DEPLOYMENT, EVENT, JOB, LEASE, POD, SCHEDULED_JOB, Kind
from jetmill_operator.resources.label import APPLIED, BORN, FINALIZER, read_mark
from support.nats import NatsServer
from support.operating import OperatorProcess, Start
from support.person import CHILD, JOB_NAME, Person
from support.wait import eventually

REPLICA_SET = Kind("apps", "v1", "ReplicaSet", "replicasets")


async def image_of(person: Person) -> str:
    deployment = await person.get(DEPLOYMENT, CHILD)
    assert deployment is not None
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


async def test_a_job_is_created_updated_suspended_and_deleted(start: Start, person: Person, bus: Bus) -> None:
    await start()
    await person.declare(deletionPolicy="Delete")
    await person.sees("Ready", "True ScaledToZero")
    body = await person.get()
    assert body is not None
    assert FINALIZER in body["metadata"]["finalizers"]
    await person.declare(deletionPolicy="Delete", worker={"image": "shop:2"}, timeoutSeconds=60)
    await person.observed()
    await eventually(lambda: _is(image_of(person), "shop:2"))
    settings = await bus.admin.settings(JOB_NAME)
    assert settings is not None
    assert settings.timeout_seconds == 60
    await person.declare(deletionPolicy="Delete", suspend=True)
    await person.sees("Ready", "True Suspended")
    settings = await bus.admin.settings(JOB_NAME)
    assert settings is not None
    assert settings.suspend
    await bus.queue.publish(make_hint())
    await person.kube.delete(JOB, person.namespace, JOB_NAME)
    await eventually(lambda: _is(person.get(), None), seconds=180)
    await eventually(lambda: _is(person.get(DEPLOYMENT, CHILD), None), seconds=180)
    with pytest.raises(NotFoundError):
        await bus.queue.depth(JOB_NAME)


async def _is(asked: Awaitable[Any], wanted: Any) -> bool:
    return bool(await asked == wanted)


async def test_drift_is_repaired_and_what_is_others_is_left_alone(start: Start, person: Person) -> None:
    await start()
    await person.declare()
    await person.sees("Ready", "True ScaledToZero")
    labels = {"metadata": {"labels": {"team": "shop"}, "annotations": {"note": "mine"}}}
    await person.kube.patch(DEPLOYMENT, person.namespace, CHILD, labels, manager="kubectl")
    scale = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": CHILD, "namespace": person.namespace},
        "spec": {"replicas": 0},
    }
    await person.kube.apply(DEPLOYMENT, scale, manager="kubectl", subresource="scale")
    deployment = await person.get(DEPLOYMENT, CHILD)
    assert deployment is not None
    template = deployment["spec"]["template"]
    template["spec"]["containers"][0]["image"] = "evil:1"
    await person.kube.patch(DEPLOYMENT, person.namespace, CHILD, {"spec": {"template": template}}, manager="kubectl")
    await eventually(lambda: _is(image_of(person), "shop:1"))
    deployment = await person.get(DEPLOYMENT, CHILD)
    assert deployment is not None
    assert deployment["metadata"]["labels"]["team"] == "shop"
    assert deployment["metadata"]["annotations"]["note"] == "mine"
    assert deployment["spec"]["replicas"] == 0
    await person.kube.delete(DEPLOYMENT, person.namespace, CHILD)
    await eventually(lambda: _exists(person, DEPLOYMENT, CHILD))


async def _exists(person: Person, kind: Kind, name: str) -> bool:
    return await person.get(kind, name) is not None


async def test_a_job_that_may_have_no_workers_never_starts_a_pod_by_being_created(start: Start, person: Person) -> None:
    await start()
    await person.declare()
    await person.sees("Ready", "True ScaledToZero")
    await person.declare(worker={"image": "shop:2"})
    await person.observed()
    assert await person.kube.list(POD) == []
    sets = await person.kube.list(REPLICA_SET)
    assert {one["spec"]["replicas"] for one in sets} <= {0}
    created = [event for event in await person.kube.list(EVENT) if event["reason"] == "SuccessfulCreate"]
    assert created == []


def is_quiet(process: OperatorProcess) -> bool:
    """Nothing waits, nothing runs."""
    return process.measure("jetmill_workqueue_depth") + process.measure("jetmill_workqueue_running") == 0


def is_rolled_out(deployment: dict[str, Any]) -> bool:
    """Kubernetes' own controller has said its last word on it; a few of them a second, and each word is a write."""
    status = deployment.get("status") or {}
    reasons = {one["type"]: one["reason"] for one in status.get("conditions") or []}
    seen = status.get("observedGeneration") == deployment["metadata"]["generation"]
    return seen and reasons.get("Progressing") == "NewReplicaSetAvailable"


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_second_pass_writes_nothing(start: Start, person: Person) -> None:
    """Counted by resourceVersions: whoever writes, even the same again by another way, moves one."""
    names = [f"job-{number:03}" for number in range(200)]
    first = await start()
    for name in names:
        await person.declare(name)

    async def versions() -> dict[str, str]:
        found = {}
        for kind in (JOB, DEPLOYMENT):
            for body in await person.kube.list(kind):
                found[f"{kind.name} {body['metadata']['name']}"] = body["metadata"]["resourceVersion"]
        return found

    async def all_ready() -> bool:
        bodies = await person.kube.list(JOB)
        ready = [
            body
            for body in bodies
            for one in (body.get("status") or {}).get("conditions") or []
            if one["type"] == "Ready" and one["status"] == "True"
        ]
        return len(ready) == len(names)

    await eventually(all_ready, seconds=300)
    await eventually(lambda: is_quiet(first), seconds=300)
    first.send(signal.SIGTERM)
    assert await first.wait() == 0

    async def all_rolled_out() -> bool:
        return all(is_rolled_out(body) for body in await person.kube.list(DEPLOYMENT))

    await eventually(all_rolled_out, seconds=300)
    before = await versions()
    assert len(before) == 2 * len(names)
    second = await start()
    await eventually(lambda: second.measure("jetmill_reconcile_total") >= len(names), seconds=300)
    await eventually(lambda: is_quiet(second), seconds=300)
    assert await versions() == before


async def test_specs_that_pass_the_rules_and_cannot_be_obeyed_say_field_and_cure(start: Start, person: Person) -> None:
    await start()
    await person.declare("bad-schema", payload={"schema": {"type": "nonsense"}})
    await person.declare(
        "bad-pod", worker={"image": "a", "podTemplate": {"spec": {"restartPolicy": "Never", "nonsense": True}}}
    )
    await person.declare(
        "bad-merge", worker={"image": "a", "podTemplate": {"spec": {"containers": [{"image": "nameless"}]}}}
    )
    await person.declare()
    for name, said in (("bad-schema", "spec.payload.schema"), ("bad-pod", "nonsense"), ("bad-merge", "containers[0]")):
        await person.sees("Stalled", "True InvalidSpec", name)
        body = await person.get(JOB, name)
        assert body is not None
        assert said in next(one["message"] for one in body["status"]["conditions"] if one["type"] == "Stalled")
    await person.sees("Ready", "True ScaledToZero")
    await person.declare("bad-pod", worker={"image": "a"})
    await person.sees("Ready", "True ScaledToZero", "bad-pod")


async def test_a_foreign_deployment_of_that_name_is_never_taken(start: Start, person: Person) -> None:
    labels = {"app": "mine"}
    foreign = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": CHILD, "namespace": person.namespace},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    }
    await person.kube.create(DEPLOYMENT, foreign, manager="kubectl")
    await start()
    await person.declare()
    await person.sees("Stalled", "True Conflict")
    found = await person.get(DEPLOYMENT, CHILD)
    assert found is not None
    assert found["spec"]["selector"]["matchLabels"] == labels
    assert APPLIED not in (found["metadata"].get("annotations") or {})


async def test_a_schedule_is_planned_suspended_and_goes_with_its_slots(start: Start, person: Person, bus: Bus) -> None:
    await start()
    await person.declare()
    await person.sees("Ready", "True ScaledToZero")
    body = {
        "apiVersion": "jetmill.dev/v1alpha1",
        "kind": "ScheduledJob",
        "metadata": {"name": "daily", "namespace": person.namespace},
        "spec": {"jobRef": {"name": JOB_NAME}, "schedule": "0 9 * * *", "timeZone": "Europe/Berlin"},
    }
    await person.kube.apply(SCHEDULED_JOB, body, manager="kubectl")

    async def read() -> tuple[str, int, int]:
        found = await person.get(SCHEDULED_JOB, "daily") or {"metadata": {"generation": 0}}
        status = found.get("status") or {}
        [ready] = [
            one for one in status.get("conditions") or [{"type": "Ready", "reason": ""}] if one["type"] == "Ready"
        ]
        observed = status.get("observedGeneration") == found["metadata"]["generation"]
        return ready["reason"] if observed else "", len(status.get("nextRuns") or []), len(await planned())

    async def planned() -> list[Slot]:
        return [slot for stored in await bus.ledger.plans() for slot in stored.plan.slots]

    async def is_so(*wanted: object) -> bool:
        return await read() == wanted

    await eventually(lambda: is_so("Scheduled", 5, 4), seconds=180)
    [first, *_] = await planned()
    await person.kube.patch(SCHEDULED_JOB, person.namespace, "daily", {"spec": {"suspend": True}})
    await eventually(lambda: is_so("Suspended", 0, 0), seconds=180)
    [stored] = await bus.ledger.plans()
    entry = await bus.ledger.read(make_slot_id(stored.uid, first.time))
    assert entry is not None
    assert entry.record.reason == "withdrawn"
    await person.kube.patch(SCHEDULED_JOB, person.namespace, "daily", {"spec": {"suspend": False}})
    await eventually(lambda: is_so("Scheduled", 5, 4), seconds=180)
    await person.kube.delete(SCHEDULED_JOB, person.namespace, "daily")

    async def is_gone() -> bool:
        return await person.get(SCHEDULED_JOB, "daily") is None and await planned() == []

    await eventually(is_gone, seconds=180)


async def test_while_nats_is_away_jobs_say_so_and_are_made_good_after(
    start: Start, person: Person, nats: NatsServer, bus: Bus
) -> None:
    process = await start()
    await person.declare()
    await person.sees("Ready", "True ScaledToZero")
    nats.kill()
    await person.sees("Ready", "False BusUnavailable")
    await person.declare(worker={"image": "shop:2"}, suspend=True)
    await eventually(lambda: _is(image_of(person), "shop:2"), seconds=180)
    assert process.get("/readyz") == 503
    assert process.get("/livez") == 200
    nats.restart()
    await person.sees("Ready", "True Suspended")

    async def is_paused() -> bool:
        settings = await bus.admin.settings(JOB_NAME)
        return settings is not None and settings.suspend

    await eventually(lambda: bus.link.connected)
    await eventually(is_paused)
    assert process.get("/readyz") == 200


async def test_an_operator_that_is_told_to_stop_hands_over(start: Start, person: Person) -> None:
    first = await start(JETMILL_POD_NAME="first")
    second = await start(wait=False, JETMILL_POD_NAME="second")
    await second.says("operator_standing_by")
    await eventually(lambda: second.get("/readyz") == 200)
    began = asyncio.get_running_loop().time()
    first.send(signal.SIGTERM)
    await second.says("operator_leading")
    print(f"handed over after {asyncio.get_running_loop().time() - began:.2f} s")
    assert await first.wait() == 0
    lease = await person.get(LEASE, "jetmill-operator")
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == "second"
    await person.declare()
    await person.sees("Ready", "True ScaledToZero")


async def test_who_has_lost_the_lease_ends_with_status_1_and_writes_nothing(start: Start, person: Person) -> None:
    first = await start(JETMILL_POD_NAME="first")
    first.send(signal.SIGSTOP)
    second = await start(JETMILL_POD_NAME="second")
    await person.declare()
    await person.sees("Ready", "True ScaledToZero")
    await eventually(lambda: _is_looked_at(person))  # the second has then no more to write
    before = await person.get()
    first.send(signal.SIGCONT)
    assert await first.wait() == 1
    assert await person.get() == before
    assert second.get("/readyz") == 200


async def _is_looked_at(person: Person) -> bool:
    body = await person.get()
    return body is not None and "scaling" in body.get("status", {})


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_an_operator_killed_after_any_single_write_leads_to_the_same_world(start: Start, person: Person) -> None:
    """Each write in turn, until one has nothing left to be killed at."""
    worker = {"image": "shop:1", "serviceAccount": {"create": True}, "disruptionBudget": {"maxUnavailable": 1}}
    writes = 0
    for k in range(1, 20):
        name = f"job-{k}"
        await person.declare(name, worker=worker)
        mortal = await start(wait=False, die_after=k, JETMILL_LEASE_NAME=f"mortal-{k}")
        done = asyncio.create_task(person.sees("Ready", "True ScaledToZero", name))
        died = asyncio.create_task(mortal.wait())
        await asyncio.wait({done, died}, return_when=asyncio.FIRST_COMPLETED)
        if not died.done():
            mortal.send(signal.SIGTERM)
        assert await died in (0, -signal.SIGKILL), mortal.log
        if k > 1 and done.done() and "operator_stopped" in mortal.log:
            break
        writes = k
        done.cancel()
        await asyncio.gather(done, return_exceptions=True)
        heir = await start(JETMILL_LEASE_NAME=f"heir-{k}")
        await person.sees("Ready", "True ScaledToZero", name)
        deployment = await person.get(DEPLOYMENT, f"{name}-worker")
        assert deployment is not None
        assert read_mark(deployment) not in (None, BORN)
        assert deployment["spec"]["replicas"] == 0
        owners = await person.kube.owners(DEPLOYMENT, person.namespace, f"{name}-worker", ".spec.replicas")
        assert owners == {"jetmill-autoscaler"}
        heir.send(signal.SIGTERM)
        assert await heir.wait() == 0
    print(f"killed after each of {writes} writes")
    assert writes >= 6
