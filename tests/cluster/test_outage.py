"""What the operator goes by is away, lies or is slow: afterwards everything is as it was declared.

NATS is killed for a minute; the API server stands behind a proxy that fails. Where the operator ends by itself (exit 1,
as a cluster would start it again), another one goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from factories import make_settings
from jetmill.bus.ports import Bus
from jetmill_operator.cluster.kube import KubeCluster
from jetmill_operator.cluster.ports import AUTOSCALER, DEPLOYMENT, JOB
from jetmill_operator.cluster.rest import Rest
from jetmill_operator.policy.reason import Reason
from jetmill_operator.resources.label import RELEASE, name_child
from support.faultproxy import FaultProxy
from support.kube import NAMESPACE, make_namespace
from support.nats import NatsServer
from support.operating import OperatorProcess, Start
from support.person import CHILD, JOB_NAME, Person
from support.raw import Raw
from support.wait import eventually

AWAY_SECONDS = 60.0


@pytest.fixture
async def neighbour(rest: Rest) -> AsyncIterator[Person]:
    """Somebody with a namespace that is about to go."""
    async with make_namespace(rest) as name:
        yield Person(KubeCluster(rest, namespaces=(name,)), name)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_nats_away_for_a_minute_delays_and_loses_nothing(
    start: Start, person: Person, neighbour: Person, nats: NatsServer, bus: Bus
) -> None:
    """Jobs are changed and deleted meanwhile, and a whole namespace is."""
    process = await start(JETMILL_WATCH_NAMESPACES=f"{person.namespace},{neighbour.namespace}")
    for name in ("changed", "patient", "released", "kept"):
        await person.declare(name, deletionPolicy="Retain" if name == "kept" else "Delete")
    await neighbour.declare(deletionPolicy="Delete")
    for name in ("changed", "patient", "released", "kept"):
        await person.sees("Ready", "True ScaledToZero", name)
    await neighbour.sees("Ready", "True ScaledToZero")
    nats.kill()
    killed = asyncio.get_running_loop().time()
    await person.declare("changed", deletionPolicy="Delete", worker={"image": "shop:2"}, timeoutSeconds=77)
    for name in ("patient", "released", "kept"):
        await person.kube.delete(JOB, person.namespace, name)
    await person.kube.delete(NAMESPACE, "", neighbour.namespace)
    await person.misses(JOB, "kept")
    await person.sees("Ready", f"False {Reason.BUS_UNAVAILABLE}", "changed")
    for name in ("patient", "released"):
        await person.sees("Stalled", f"True {Reason.CLEANUP_BLOCKED}", name, seconds=240)
    said = (await person.read_conditions("released"))["Stalled"]["message"]
    assert RELEASE in said
    await person.kube.patch(JOB, person.namespace, "released", {"metadata": {"annotations": {RELEASE: "true"}}})
    await person.misses(JOB, "released")
    await eventually(lambda: _is_gone(neighbour), seconds=240, what="the namespace to be gone")
    assert asyncio.get_running_loop().time() - killed >= AWAY_SECONDS
    assert await person.get(JOB, "patient") is not None
    nats.restart()
    await person.misses(JOB, "patient")
    await person.sees("Ready", "True ScaledToZero", "changed")
    await eventually(lambda: bus.link.connected)
    settings = {one.job: one for one in await bus.admin.all_settings()}
    assert settings["changed"].timeout_seconds == 77
    assert {"kept", "released"} <= set(settings)
    assert "patient" not in settings
    assert process.get("/readyz") == 200


async def _is_gone(person: Person) -> bool:
    return await person.kube.get(NAMESPACE, "", person.namespace) is None


async def test_a_stream_of_somebody_else_is_never_taken(
    start: Start, person: Person, nats: NatsServer, bus: Bus
) -> None:
    """… and the Job beside it is none the worse for it."""
    await bus.admin.apply_namespace()
    await bus.admin.apply_job(make_settings("first"))
    async with Raw.connect(nats.url) as raw:
        theirs = {"name": f"jm_{person.namespace}_q_{JOB_NAME}", "subjects": ["theirs.>"], "storage": "file"}
        await raw.ask(f"STREAM.CREATE.{theirs['name']}", theirs)
        before = await raw.stream(str(theirs["name"]))
        await start()
        await person.declare()
        await person.declare("fine")
        await person.sees("Stalled", f"True {Reason.CONFLICT}")
        assert "not ours" in (await person.read_conditions())["Stalled"]["message"]
        await person.sees("Ready", "True ScaledToZero", "fine")
        assert (await raw.stream(str(theirs["name"])))["config"] == before["config"]
        await person.kube.delete(JOB, person.namespace, JOB_NAME)
        await person.misses(JOB, JOB_NAME)
        assert (await raw.stream(str(theirs["name"])))["config"] == before["config"]


# The API server


@pytest.fixture
def behind(proxy: FaultProxy) -> dict[str, str]:
    """What an operator behind the proxy is told."""
    return {"KUBECONFIG": str(proxy.write_kubeconfig())}


async def goes_on(start: Start, behind: dict[str, str], process: OperatorProcess) -> OperatorProcess:
    """Start another one if that one has ended; it must have ended for a reason."""
    if process.ended is None:
        return process
    assert process.ended == 1, process.log
    return await start(**behind)


async def test_a_job_deleted_while_the_api_server_could_not_be_reached_is_cleaned_up_after(
    start: Start, behind: dict[str, str], proxy: FaultProxy, person: Person, bus: Bus
) -> None:
    process = await start(**behind)
    await person.declare(deletionPolicy="Delete")
    await person.declare("retained")
    for name in (JOB_NAME, "retained"):
        await person.sees("Ready", "True ScaledToZero", name)
    outage = proxy.fail(times=1_000_000)
    proxy.cut()
    await person.kube.delete(JOB, person.namespace, JOB_NAME)
    await person.kube.delete(JOB, person.namespace, "retained")
    assert await process.wait() == 1  # its lease could not be renewed
    assert await person.get() is not None
    proxy.faults.remove(outage)
    process = await goes_on(start, behind, process)
    await person.misses(JOB, JOB_NAME)
    await person.misses(DEPLOYMENT)
    assert [one.job for one in await bus.admin.all_settings()] == ["retained"]
    await eventually(lambda: process.measure("jetmill_declared_jobs") == 0)


async def test_a_deletion_that_the_watch_never_told_is_found_by_the_sentinel(
    start: Start, behind: dict[str, str], proxy: FaultProxy, person: Person
) -> None:
    process = await start(**behind, JETMILL_SENTINEL_SECONDS="5")
    await person.declare(deletionPolicy="Delete")
    await person.sees("Ready", "True ScaledToZero")
    proxy.open.clear()
    await person.kube.delete(JOB, person.namespace, JOB_NAME)
    # A pass that was under way may have seen the deletion: then what there is to find is an object that is gone.
    await eventually(lambda: process.ended is not None or process.find("deletion_missed"), seconds=240)
    failed = process.find("operator_failed")
    assert failed is None or "did not tell of" in failed["error"]
    proxy.open.set()
    await goes_on(start, behind, process)
    await person.misses(JOB, JOB_NAME)
    await person.misses(DEPLOYMENT)


async def test_a_watch_that_is_cut_or_expired_costs_nothing(
    start: Start, behind: dict[str, str], proxy: FaultProxy, person: Person
) -> None:
    process = await start(**behind)
    await person.declare(deletionPolicy="Delete")
    await person.declare("stays")
    for name in (JOB_NAME, "stays"):
        await person.sees("Ready", "True ScaledToZero", name)
    proxy.cut()
    await person.kube.delete(JOB, person.namespace, JOB_NAME)
    await person.misses(JOB, JOB_NAME)
    expired = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
    await proxy.inject("/jobs", expired)
    await person.declare("stays", timeoutSeconds=7)
    await person.observed("stays")
    assert process.ended is None


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_that_has_no_time_is_asked_again(
    start: Start, behind: dict[str, str], proxy: FaultProxy, person: Person, status: int
) -> None:
    """Each write is refused twice, and some reads."""
    refusal = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "not now", "code": status}
    faults = [
        proxy.fail(method, path, status=status, body=refusal, headers={"Retry-After": "1"}, times=2, watch=False)
        for method, path in (
            ("PATCH", f"/deployments/{CHILD}"),
            ("PATCH", f"/deployments/{CHILD}/scale"),
            ("PATCH", f"/jobs/{JOB_NAME}/status"),
            ("GET", f"/jobs/{JOB_NAME}"),
            ("POST", "/events"),
        )
    ]
    process = await start(**behind)
    await person.declare(worker={"image": "a", "podTemplate": {"spec": {"nonsense": 1}}})  # of which an Event tells
    await person.sees("Stalled", f"True {Reason.INVALID_SPEC}")
    await person.declare(scaling={"minReplicas": 1}, worker={"image": "shop:1", "nodeSelector": {"no": "where"}})
    await person.sees("Ready", f"False {Reason.UNSCHEDULABLE}")
    assert [fault.path for fault in faults if not fault.seen] == []
    assert process.ended is None


async def test_a_write_whose_answer_was_lost_is_not_done_twice(
    start: Start, behind: dict[str, str], proxy: FaultProxy, person: Person
) -> None:
    for path in (f"/deployments/{CHILD}", f"/deployments/{CHILD}/scale", f"/jobs/{JOB_NAME}/status"):
        proxy.fail("PATCH", path, pass_on=True)
    process = await start(**behind)
    await person.declare("plain")
    await person.declare()
    for name in ("plain", JOB_NAME):
        await person.sees("Ready", "True ScaledToZero", name)
    plain, ours = [await person.get(DEPLOYMENT, name_child(name)) for name in ("plain", JOB_NAME)]
    assert plain is not None
    assert ours is not None
    assert ours["metadata"]["generation"] == plain["metadata"]["generation"]
    owners = await person.kube.owners(DEPLOYMENT, person.namespace, CHILD, ".spec.replicas")
    assert owners == {AUTOSCALER}
    assert process.ended is None


async def test_a_slow_stream_is_read_to_its_end(
    start: Start, behind: dict[str, str], proxy: FaultProxy, person: Person
) -> None:
    process = await start(**behind)
    proxy.trickle = True
    await person.declare()
    await person.observed()
    await person.declare(worker={"image": "shop:2", "podAnnotations": {"text": "x" * 500}})
    await person.observed()
    assert process.ended is None


async def test_an_object_that_has_gone_in_the_same_moment_is_no_failure(start: Start, person: Person) -> None:
    """Declared and deleted again and again, faster than anybody could follow."""
    process = await start()
    for number in range(30):
        await person.declare("ghost", deletionPolicy="Delete" if number % 2 else "Retain")
        await person.kube.delete(JOB, person.namespace, "ghost")
        await person.kube.delete(DEPLOYMENT, person.namespace, "ghost-worker")
    await person.misses(JOB, "ghost")
    await person.declare("ghost")
    await person.sees("Ready", "True ScaledToZero", "ghost")
    assert process.list_crashes() == []
