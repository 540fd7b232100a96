"""A Job from its declaration to its queue and workers, and what becomes of both when it changes."""

from __future__ import annotations

import pytest

from factories import make_hint
from jetmill.bus.ports import Depth
from jetmill.protocol.record import TriggerSettings
from jetmill_operator.cluster.ports import BUDGET, DEPLOYMENT, EVENT, JOB, SERVICE_ACCOUNT, Key
from jetmill_operator.policy.condition import Backlog, Scaling
from jetmill_operator.policy.reason import Reason
from jetmill_operator.reconcile.board import Sighting
from jetmill_operator.resources.label import BORN, read_mark
from support.declare import make_body
from support.raw import Raw
from support.site import CrashError, Site
from support.wait import eventually

pytestmark = pytest.mark.integration
JOB_NAME = "send-email"


async def test_a_new_job_has_its_queue_its_workers_and_is_ready(site: Site) -> None:
    await site.declare(make_body())
    await site.settle()
    settings = await site.bus.admin.settings(JOB_NAME)
    assert settings is not None
    assert settings.handler == "shop.tasks:send_email"
    assert await site.bus.queue.depth(JOB_NAME) == Depth(0, 0, 0)
    deployment = await site.deployment()
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 0
    conditions = await site.conditions()
    assert conditions["Ready"] == "True ScaledToZero"
    assert "Stalled" not in conditions
    assert "Reconciling" not in conditions
    body = await site.job()
    assert body["status"]["observedGeneration"] == body["metadata"]["generation"] == 1
    assert await site.events() == ["Normal Ready"]


async def test_a_second_pass_writes_nothing(site: Site) -> None:
    await site.declare(make_body(worker={"image": "a", "serviceAccount": {"create": True}, "disruptionBudget": {}}))
    await site.settle()
    site.hands.writes.clear()
    site.due.add(Key(JOB.name, site.namespace, JOB_NAME))
    assert await site.settle() == 1
    assert site.hands.writes == []


async def test_another_process_finds_everything_done(site: Site) -> None:
    await site.declare(make_body())
    await site.settle()
    site.stop()
    heir = Site(site.buses.trunk, namespace=site.namespace, cluster=site.cluster)
    await heir.begin()
    await heir.settle()
    assert heir.hands.writes == []


async def test_the_autoscaler_owns_the_replicas_from_the_beginning(site: Site) -> None:
    await site.declare(make_body())
    await site.settle()
    owners = await site.cluster.owners(DEPLOYMENT, site.namespace, "send-email-worker", ".spec.replicas")
    assert owners == {"jetmill-autoscaler"}
    await site.scale(5)
    await site.declare(make_body(worker={"image": "shop:2"}))
    await site.settle()
    deployment = await site.deployment()
    assert deployment is not None
    assert deployment["spec"]["replicas"] == 5
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:2"


async def test_drift_is_repaired_and_what_others_added_is_left_alone(site: Site) -> None:
    await site.declare(make_body())
    await site.settle()
    deployment = await site.deployment()
    assert deployment is not None
    template = deployment["spec"]["template"]
    template["spec"]["containers"][0]["image"] = "evil:1"
    labels = {"team": "shop"}
    patch = {"metadata": {"labels": labels, "annotations": {"note": "mine"}}, "spec": {"template": template}}
    await site.cluster.patch(DEPLOYMENT, site.namespace, "send-email-worker", patch, manager="kubectl-edit")
    await site.settle()
    deployment = await site.deployment()
    assert deployment is not None
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:1"
    assert deployment["metadata"]["labels"]["team"] == "shop"
    assert deployment["metadata"]["annotations"]["note"] == "mine"


async def test_a_deleted_child_comes_back(site: Site) -> None:
    await site.declare(make_body())
    await site.settle()
    await site.cluster.delete(DEPLOYMENT, site.namespace, "send-email-worker")
    await site.settle()
    assert await site.deployment() is not None


async def test_a_deleted_queue_comes_back(site: Site, nats_server) -> None:
    await site.declare(make_body())
    await site.settle()
    async with Raw.connect(nats_server.url) as raw:
        await raw.ask(f"STREAM.DELETE.{site.bus.subjects.queue_stream(JOB_NAME)}")
    site.due.add(Key(JOB.name, site.namespace, JOB_NAME))
    await site.settle()
    assert await site.bus.queue.depth(JOB_NAME) == Depth(0, 0, 0)


async def test_a_foreign_deployment_is_never_taken_and_the_queue_is_there(site: Site) -> None:
    foreign = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "send-email-worker", "namespace": site.namespace},
        "spec": {"replicas": 3},
    }
    before = await site.cluster.create(DEPLOYMENT, foreign, manager="somebody")
    await site.declare(make_body())
    await site.settle()
    conditions = await site.conditions()
    assert conditions["Stalled"] == conditions["Ready"].replace("False", "True") == "True Conflict"
    assert conditions["QueueReady"] == "True Applied"
    assert await site.deployment() == before
    assert "Warning Conflict" in await site.events()
    writes = len(site.hands.writes)
    await site.later(60)
    assert len(site.hands.writes) == writes, "to wait for a person costs no write"
    await site.cluster.delete(DEPLOYMENT, site.namespace, "send-email-worker")
    await site.later(60)
    assert (await site.conditions())["Ready"] == "True ScaledToZero"


async def test_a_foreign_stream_is_never_taken(site: Site, nats_server) -> None:
    stream = site.bus.subjects.queue_stream(JOB_NAME)
    async with Raw.connect(nats_server.url) as raw:
        await raw.ask(f"STREAM.CREATE.{stream}", {"name": stream, "subjects": [f"{stream}.>"]})
        await site.declare(make_body())
        await site.settle()
        assert (await site.conditions())["Stalled"] == "True Conflict"
        assert stream in await site.message()
        await raw.ask(f"STREAM.DELETE.{stream}")
    await site.later(60)
    assert (await site.conditions())["Ready"] == "True ScaledToZero"


async def test_a_spec_that_the_model_refuses_says_field_and_cure_and_stops_nobody_else(site: Site) -> None:
    """Such a Job can be there: the CRD was older, or its rules cannot say it."""
    await site.declare(make_body("bad", handler="no handler", timeoutSeconds="soon"))
    await site.declare(make_body())
    await site.settle()
    assert (await site.conditions("bad"))["Stalled"] == "True InvalidSpec"
    message = await site.message("Stalled", "bad")
    assert "spec.handler" in message
    assert "spec.timeoutSeconds" in message
    assert await site.deployment("bad") is None
    assert (await site.conditions())["Ready"] == "True ScaledToZero"
    await site.declare(make_body("bad"))
    await site.settle()
    assert (await site.conditions("bad"))["Ready"] == "True ScaledToZero"


async def test_a_filter_that_is_no_expression_stalls_the_job_and_says_where_and_what_was_there_stays(
    site: Site,
) -> None:
    await site.declare(make_body(triggers=[{"event": "order.placed", "filter": "event.data.amount > 100"}]))
    await site.settle()
    before = await site.bus.admin.settings(JOB_NAME)
    assert before is not None
    assert before.triggers == [TriggerSettings(event="order.placed", expression="event.data.amount > 100")]
    await site.declare(make_body(triggers=[{"event": "order.placed", "filter": "event.data.amount >> 100"}]))
    await site.settle()
    assert (await site.conditions())["Stalled"] == "True InvalidSpec"
    conditions = (await site.job())["status"]["conditions"]
    said = next(one["message"] for one in conditions if one["type"] == "Stalled")
    assert "spec.triggers[0].filter: line 1, column 20" in said
    assert await site.bus.admin.settings(JOB_NAME) == before
    await site.declare(make_body())
    await site.settle()
    after = await site.bus.admin.settings(JOB_NAME)
    assert after is not None
    assert after.triggers == []


async def test_suspending_pauses_the_consumers_and_going_on_lets_them(site: Site) -> None:
    await site.declare(make_body())
    await site.settle()
    for suspend, ready in ((True, "True Suspended"), (False, "True ScaledToZero")):
        await site.declare(make_body(suspend=suspend))
        await site.settle()
        settings = await site.bus.admin.settings(JOB_NAME)
        assert settings is not None
        assert settings.suspend is suspend
        conditions = await site.conditions()
        assert conditions["Ready"] == ready
        assert conditions["Suspended"].startswith(str(suspend))


async def test_a_rider_is_served_by_its_carrier_and_shows_how_that_fares(site: Site) -> None:
    await site.declare(make_body())
    await site.declare(make_body("report", worker={"from": {"name": JOB_NAME}}))
    await site.settle()

    settings = await site.bus.admin.settings("report")
    assert settings is not None
    assert settings.carrier == JOB_NAME
    assert await site.deployment("report") is None
    assert (await site.conditions("report"))["ScalingActive"] == "False Riding"
    await site.report(readyReplicas=1, replicas=1, updatedReplicas=1)
    await site.scale(1)
    await site.report(readyReplicas=1, replicas=1, updatedReplicas=1)
    await site.settle()
    assert (await site.conditions("report"))["Ready"] == "True Serving"


async def test_a_rider_waits_for_its_carrier_and_goes_on_when_it_comes(site: Site) -> None:
    await site.declare(make_body("report", worker={"from": {"name": JOB_NAME}}))
    await site.settle()
    conditions = await site.conditions("report")
    assert conditions["Stalled"] == "True CarrierMissing"
    assert conditions["QueueReady"] == "True Applied"
    await site.declare(make_body())
    await site.settle()
    assert "Stalled" not in await site.conditions("report")
    await site.declare(make_body(worker={"from": {"name": "report"}}))
    await site.settle()
    assert {(await site.conditions(name))["Stalled"] for name in ("report", JOB_NAME)} == {"True CarrierMissing"}


async def test_workers_that_cannot_start_are_seen_on_their_pods(site: Site) -> None:
    await site.declare(make_body())
    await site.settle()
    await site.scale(1)
    await site.report(replicas=1, updatedReplicas=1)
    await site.settle()
    assert (await site.conditions())["WorkersAvailable"] == "False Starting"
    await site.add_pod({"reason": "ImagePullBackOff", "message": "no such image"})
    await site.settle()
    conditions = await site.conditions()
    assert (conditions["Ready"], conditions["WorkersAvailable"]) == ("False ImagePullFailed", "False ImagePullFailed")
    assert "Warning ImagePullFailed" in await site.events()
    await site.report(replicas=1, updatedReplicas=1, readyReplicas=1)
    await site.settle()
    assert (await site.conditions())["Ready"] == "True Serving"


async def test_the_backlog_is_counted_while_there_is_one(site: Site) -> None:
    await site.declare(make_body())
    await site.settle()
    await site.bus.queue.publish(make_hint())

    async def is_ready() -> bool:
        return (await site.bus.queue.depth(JOB_NAME)).ready == 1

    await eventually(is_ready)
    site.due.add(Key(JOB.name, site.namespace, JOB_NAME))
    await site.later(10)
    assert (await site.job())["status"]["backlog"] == {"ready": 1, "inFlight": 0, "delayed": 0}
    assert site.again[Key(JOB.name, site.namespace, JOB_NAME)] == 10


async def test_counters_are_written_at_most_every_ten_seconds_and_what_matters_at_once(site: Site) -> None:
    key = Key(JOB.name, site.namespace, JOB_NAME)
    await site.declare(make_body())
    await site.settle()

    async def see(ready: int, **scaling: object) -> int:
        before = len(site.hands.writes)
        decided = Scaling(1, "Backlog", f"{ready} waiting", "2026-01-01T00:00:00Z", **scaling)  # type: ignore[arg-type]
        site.board.put(key, Sighting(Backlog(ready, 0, 0), decided))
        await site.settle()
        return len(site.hands.writes) - before

    await site.later(10)
    assert await see(1) == 1
    assert await see(2) == 0
    assert await see(3, limited=Reason.MAX_REPLICAS) == 1
    assert (await site.job())["status"]["backlog"]["ready"] == 3
    assert await see(4, limited=Reason.MAX_REPLICAS) == 0
    await site.later(10)
    assert await see(5, limited=Reason.MAX_REPLICAS) == 1
    assert (await site.job())["status"]["scaling"]["message"] == "5 waiting"


async def test_a_namespace_that_goes_away_takes_everything_quietly(site: Site) -> None:
    await site.declare(make_body())
    await site.settle()
    await site.cluster.terminate(site.namespace)
    await site.settle()
    assert await site.cluster.list(JOB) == await site.cluster.list(DEPLOYMENT) == []


async def test_a_job_in_a_namespace_that_goes_away_before_it_was_seen_is_let_be(site: Site) -> None:
    await site.declare(make_body())
    await site.cluster.terminate(site.namespace)
    await site.settle()
    assert await site.cluster.list(JOB) == []


@pytest.mark.parametrize("worker", [None, {"image": "a", "serviceAccount": {"create": True}, "disruptionBudget": {}}])
async def test_a_crash_after_any_write_leads_to_the_same_world(site: Site, worker) -> None:
    async def world(place: Site) -> object:
        found = []
        for kind in (JOB, DEPLOYMENT, SERVICE_ACCOUNT, BUDGET):
            for body in await place.cluster.list(kind, namespace=place.namespace):
                meta = {name: body["metadata"].get(name) for name in ("name", "labels", "finalizers")}
                spec = body.get("spec")
                assert read_mark(body) != BORN
                status = [(c["type"], c["status"], c["reason"]) for c in body.get("status", {}).get("conditions", [])]
                found.append((kind.name, meta, spec, status))
        return found

    await site.declare(make_body(worker=worker))
    await site.settle()
    wanted, total = await world(site), len(site.hands.writes)
    assert total >= 5
    for k in range(1, total + 1):
        place = Site(site.buses.trunk, namespace=f"{site.namespace}-{k}")
        await place.declare(make_body(worker=worker))
        place.hands.die_after = k
        with pytest.raises(CrashError):
            await place.settle()
        place.stop()
        heir = Site(site.buses.trunk, namespace=place.namespace, cluster=place.cluster)
        await heir.begin()
        await heir.settle()
        assert str(await world(heir)).replace(place.namespace, site.namespace) == str(wanted), f"after write {k}"


async def test_events_are_of_the_jobs_namespace_and_name_it(site: Site) -> None:
    await site.declare(make_body())
    await site.settle()
    [event] = await site.cluster.list(EVENT)
    assert event["metadata"]["namespace"] == site.namespace
    assert event["involvedObject"]["name"] == JOB_NAME
