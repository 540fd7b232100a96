"""Scaling in worker processes on a real nats-server: asked, drained, taken away, and no job noticed."""

from __future__ import annotations

import signal

import pytest

from integration.worker.conftest import Field
from jetmill.ledger.verify import verify
from jetmill.protocol.record import Presence
from jetmill.worker import WorkerExit
from jetmill_operator.policy.victim import DrainPlan, build_workers, plan_drains
from jetmill_operator.scaler.drain import apply_drains
from jetmill_operator.scaler.observation import build_seen, observe_queue
from support.wait import eventually, soon

pytestmark = pytest.mark.integration


async def only(field: Field) -> Presence:
    [presence] = await field.bus.presence.all()
    return presence


async def test_a_worker_that_was_asked_to_drain_is_a_victim_only_once_its_job_has_ended(field: Field) -> None:
    await field.declare("gated")
    process = await field.spawn("gated")
    handle = await field.client.enqueue("gated")
    name = await field.wait_for_file("started-1")
    plan = plan_drains(build_workers(await field.bus.presence.all(), {}), 1, asked=())
    assert plan == DrainPlan(ask=(name,))
    assert await apply_drains(field.bus, plan) == []

    async def drains() -> bool:
        return (await only(field)).draining

    await eventually(drains)
    assert (await only(field)).busy == 1
    later = await field.client.enqueue("gated")
    assert plan_drains(build_workers(await field.bus.presence.all(), {}), 1, asked=plan.ask).victims == ()
    (field.folder / "go").touch()
    await soon(handle.result())

    async def confirmed() -> list[str]:
        workers = build_workers(await field.bus.presence.all(), {})
        return await apply_drains(field.bus, plan_drains(workers, 1, asked=plan.ask))

    assert await eventually(confirmed) == [name]
    process.send(signal.SIGTERM)
    assert await process.wait() == WorkerExit.DRAINED
    look = build_seen(await observe_queue(field.bus, "gated"), time=0.0, replicas=0, ready=0)
    assert (look.pending, look.in_flight) == (1, 0)
    await field.spawn("gated")
    assert await soon(later.result()) != name
    assert not (await verify(field.bus)).violations


async def test_a_worker_that_is_told_to_go_on_takes_jobs_again(field: Field) -> None:
    await field.declare("gated")
    await field.spawn("gated")
    (field.folder / "go").touch()
    worker = (await only(field)).worker

    async def confirmed() -> list[str]:
        return await apply_drains(field.bus, DrainPlan(ask=(worker,), victims=(worker,)))

    await eventually(confirmed)
    handle = await field.client.enqueue("gated")
    await apply_drains(field.bus, DrainPlan(undo=(worker,)))
    assert await soon(handle.result()) == worker

    async def goes_on() -> bool:
        return not (await only(field)).draining

    await eventually(goes_on, what="a presence that says so: the job may end before it is written")
