"""The end of a Job: what waits, what runs, and a NATS that is away."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
import pytest

from factories import make_data, make_hint, make_job_id, make_presence, make_record
from jetmill.bus.connect import BusOptions, connect_trunk
from jetmill.errors import NotFoundError, RefusedError
from jetmill.protocol.codec import encode
from jetmill.protocol.state import State
from jetmill_operator.cluster.ports import DEPLOYMENT, JOB, Key
from jetmill_operator.resources.label import FINALIZER, RELEASE
from support.declare import make_body
from support.nats import NatsServer
from support.site import Site
from support.wait import eventually

pytestmark = pytest.mark.integration
JOB_NAME = "send-email"


async def begin(site: Site, **spec: Any) -> None:
    await site.declare(make_body(**{"deletionPolicy": "Delete", **spec}))
    await site.settle()


async def enqueue(site: Site) -> str:
    job_id = make_job_id()
    await site.bus.ledger.append(job_id, make_data(), expected=0)
    await site.bus.queue.publish(make_hint(id=job_id, seq=1))
    return job_id


async def start(site: Site, job_id: str, *, worker: str) -> int:
    """What a worker does when it takes a job; gives the sequence of its claim."""
    entry = await site.bus.ledger.read(job_id)
    assert entry is not None
    record = make_record(State.RUNNING, worker=worker, payload_seq=entry.seq)
    return await site.bus.ledger.append(job_id, encode(record), expected=entry.seq)


async def delete(site: Site) -> None:
    await site.cluster.delete(JOB, site.namespace, JOB_NAME)
    await site.settle()


async def state_of(site: Site, job_id: str) -> State:
    entry = await site.bus.ledger.read(job_id)
    assert entry is not None
    return entry.record.state


async def is_gone(site: Site) -> bool:
    return await site.cluster.get(JOB, site.namespace, JOB_NAME) is None


async def test_retain_keeps_the_queue_and_what_waits_in_it(site: Site) -> None:
    await begin(site, deletionPolicy="Retain")
    job_id = await enqueue(site)
    await delete(site)
    assert await is_gone(site)
    assert await site.cluster.list(DEPLOYMENT) == []
    assert await site.bus.queue.hinted(JOB_NAME) == {job_id}
    assert await state_of(site, job_id) is State.QUEUED
    await begin(site, deletionPolicy="Retain")
    assert await site.bus.queue.hinted(JOB_NAME) == {job_id}


async def test_delete_cancels_what_waits_and_takes_the_queue(site: Site) -> None:
    await begin(site)
    ids = [await enqueue(site) for _ in range(60)]
    await delete(site)
    assert await is_gone(site)
    assert {await state_of(site, job_id) for job_id in ids} == {State.CANCELLED}
    last = await site.bus.ledger.read(ids[0])
    assert last is not None
    assert last.record.by == "operator"
    assert await site.bus.admin.settings(JOB_NAME) is None
    with pytest.raises(NotFoundError):
        await site.bus.queue.depth(JOB_NAME)


async def test_what_runs_may_end_before_the_queue_goes(site: Site) -> None:
    await begin(site)
    await site.bus.presence.put(make_presence("worker-1"), ttl_seconds=60)
    running, waiting = await enqueue(site), await enqueue(site)
    claim = await start(site, running, worker="worker-1")
    await delete(site)
    assert not await is_gone(site)
    assert (await site.conditions())["Reconciling"] == "True Deleting"
    assert await state_of(site, waiting) is State.CANCELLED
    assert await state_of(site, running) is State.RUNNING
    assert await site.cluster.list(DEPLOYMENT) == [], "its workers drain"
    settings = await site.bus.admin.settings(JOB_NAME)
    assert settings is not None
    assert settings.suspend
    done = make_record(State.SUCCEEDED, worker="worker-1", payload_seq=1)
    await site.bus.ledger.append(running, encode(done), expected=claim)
    await site.later(2)
    assert await is_gone(site)
    assert await state_of(site, running) is State.SUCCEEDED


async def test_what_outlasts_the_grace_period_is_cancelled(site: Site) -> None:
    await begin(site, timeoutSeconds=100)
    await site.bus.presence.put(make_presence("worker-1"), ttl_seconds=60)
    running = await enqueue(site)
    await start(site, running, worker="worker-1")
    await delete(site)
    await site.later(150)
    assert not await is_gone(site)
    site.again[Key(JOB.name, site.namespace, JOB_NAME)] = 0
    await site.later(15)
    assert await is_gone(site)
    assert await state_of(site, running) is State.CANCELLED


async def test_what_a_worker_left_that_has_gone_is_not_waited_for(site: Site) -> None:
    await begin(site, leaseSeconds=1)
    running = await enqueue(site)
    await start(site, running, worker="gone")
    await eventually(lambda: site.bus.link.connected_seconds > 1)
    await delete(site)
    assert await is_gone(site)
    assert [entry.record.state for entry in await site.bus.ledger.read_chain(running)] == [
        State.QUEUED,
        State.RUNNING,
        State.CANCELLING,
        State.CANCELLED,
    ]


async def test_the_finalizers_of_others_stay_and_hold(site: Site) -> None:
    await begin(site)
    patch = {"metadata": {"finalizers": [FINALIZER, "other/one"]}}
    await site.cluster.patch(JOB, site.namespace, JOB_NAME, patch)
    await delete(site)
    assert (await site.job())["metadata"]["finalizers"] == ["other/one"]


async def test_a_job_whose_queue_never_was_goes_too(site: Site) -> None:
    body = make_body(deletionPolicy="Delete")
    await site.declare(body)
    patch = {"metadata": {"finalizers": [FINALIZER]}}
    await site.cluster.patch(JOB, site.namespace, JOB_NAME, patch)
    await delete(site)
    assert await is_gone(site)


async def test_a_job_that_became_invalid_can_be_deleted(site: Site) -> None:
    await begin(site)
    await site.declare(make_body(deletionPolicy="Delete", timeoutSeconds="soon"))
    await site.settle()
    await delete(site)
    assert await is_gone(site)


@pytest.fixture
async def lost(own_server: NatsServer):
    """A site whose NATS has died after a Job was there."""
    trunk = await connect_trunk(BusOptions(url=own_server.url))
    site = Site(trunk, namespace=f"o-{secrets.token_hex(6)}")
    await begin(site)
    own_server.kill()
    await eventually(lambda: not trunk.connected)
    yield site
    await trunk.close()


async def test_while_nats_is_away_a_job_says_so_and_its_workers_are_kept(lost: Site) -> None:
    await lost.declare(make_body(worker={"image": "shop:2"}))
    await lost.settle()
    conditions = await lost.conditions()
    assert conditions["Ready"] == "False BusUnavailable"
    assert conditions["QueueReady"] == "Unknown BusUnavailable"
    assert conditions["Reconciling"] == "True BusUnavailable"
    deployment = await lost.deployment()
    assert deployment is not None
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "shop:2"
    assert "nextRetryTime" in (await lost.job())["status"]
    writes = len(lost.hands.writes)
    lost.due.add(Key(JOB.name, lost.namespace, JOB_NAME))
    await lost.settle()
    assert len(lost.hands.writes) == writes, "what the status says of the next try is not written anew by each pass"


async def test_when_nats_is_back_all_is_made_good(lost: Site, own_server: NatsServer) -> None:
    await lost.declare(make_body(suspend=True))
    await lost.settle()
    own_server.restart()
    await eventually(lambda: lost.buses.trunk.connected)
    await lost.later(10)
    conditions = await lost.conditions()
    assert conditions["Ready"] == "True Suspended"
    assert "nextRetryTime" not in (await lost.job())["status"]
    settings = await lost.bus.admin.settings(JOB_NAME)
    assert settings is not None
    assert settings.suspend


async def test_a_deletion_waits_for_nats_then_asks_a_person_who_can_let_it_go(lost: Site) -> None:
    await delete(lost)
    await lost.later(30)
    assert "Stalled" not in await lost.conditions()
    await lost.later(31)
    assert (await lost.conditions())["Stalled"] == "True CleanupBlocked"
    assert "jetmill.dev/release=true" in await lost.message("Stalled")
    assert "Warning CleanupBlocked" in await lost.events()
    await lost.cluster.patch(JOB, lost.namespace, JOB_NAME, {"metadata": {"annotations": {RELEASE: "true"}}})
    await lost.settle()
    assert await is_gone(lost)


async def test_a_deletion_that_was_blocked_goes_on_when_nats_is_back(lost: Site, own_server: NatsServer) -> None:
    await delete(lost)
    await lost.later(61)
    own_server.restart()
    await eventually(lambda: lost.buses.trunk.connected)
    await lost.later(2)
    assert await is_gone(lost)


async def test_a_namespace_that_goes_away_is_not_held_for_ever(lost: Site) -> None:
    await lost.cluster.terminate(lost.namespace)
    await lost.settle()
    assert not await is_gone(lost)
    await lost.later(61)
    assert await is_gone(lost)


async def test_retain_needs_no_nats(lost: Site) -> None:
    await lost.declare(make_body(deletionPolicy="Retain"))
    await lost.settle()
    await delete(lost)
    assert await is_gone(lost)


async def test_a_queue_that_is_another_objects_by_now_is_left_alone(site: Site) -> None:
    """A Job of that name was made anew, and its own operator has written its settings."""
    await begin(site)
    job_id = await enqueue(site)
    settings = await site.bus.admin.settings(JOB_NAME)
    assert settings is not None
    await site.bus.admin.apply_job(msgspec.structs.replace(settings, uid="another"))
    await delete(site)
    assert await is_gone(site)
    assert await state_of(site, job_id) is State.QUEUED
    assert await site.bus.queue.hinted(JOB_NAME) == {job_id}


async def test_who_has_been_asleep_overwrites_nothing(site: Site) -> None:
    """The settings that stood there when it decided are not those that stand there now."""
    await begin(site, suspend=True)
    before = await site.bus.admin.settings(JOB_NAME)
    assert before is not None
    theirs = msgspec.structs.replace(before, generation=7, max_retries=7)
    await site.bus.admin.apply_job(theirs)
    with pytest.raises(RefusedError):
        await site.buses.apply(site.namespace, msgspec.structs.replace(before, generation=2), before=before)
    assert await site.bus.admin.settings(JOB_NAME) == theirs
