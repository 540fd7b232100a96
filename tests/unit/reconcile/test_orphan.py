"""Plans whose schedule is not there any more."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from jetmill_operator.cluster.ports import SCHEDULED_JOB
from jetmill_operator.reconcile.orphan import KEPT, Orphans
from support.almanac import KEY, NAMESPACE, Almanac


@pytest.fixture
async def almanac() -> AsyncIterator[Almanac]:
    almanac = Almanac()
    await almanac.prepare()
    yield almanac
    await almanac.bench.prove()
    await almanac.bus.link.close()


async def test_what_nobody_declares_any_more_is_withdrawn_and_in_the_end_forgotten(almanac: Almanac) -> None:
    """Its finalizer was removed by force, while no operator ran."""
    await almanac.declare(schedule="*/15 * * * *")
    orphans = Orphans(almanac.cluster, almanac.buses, lambda: {NAMESPACE}, identity="test")
    assert await orphans.look(NAMESPACE) == 0, "it is there"
    patch = {"metadata": {"finalizers": None}}
    await almanac.cluster.patch(SCHEDULED_JOB, NAMESPACE, KEY.name, patch)
    await almanac.cluster.delete(SCHEDULED_JOB, NAMESPACE, KEY.name)
    assert await orphans.look(NAMESPACE) == 1
    assert await almanac.state("12:15") == "withdrawn"
    assert (await almanac.plan()).gone
    assert await orphans.look(NAMESPACE) == 0
    almanac.bench.pass_time(KEPT / 1e6 + 1)
    await orphans.look(NAMESPACE)
    assert await almanac.bus.ledger.plans() == []


async def test_a_schedule_that_was_made_anew_does_not_fire_twice(almanac: Almanac) -> None:
    """As when `jetmill dev` begins again: another uid, the same name."""
    hand = await almanac.hand()
    await almanac.declare(schedule="*/15 * * * *")
    await almanac.cluster.patch(SCHEDULED_JOB, NAMESPACE, KEY.name, {"metadata": {"finalizers": None}})
    await almanac.cluster.delete(SCHEDULED_JOB, NAMESPACE, KEY.name)
    await Orphans(almanac.cluster, almanac.buses, lambda: {NAMESPACE}).look(NAMESPACE)
    await almanac.declare(schedule="*/15 * * * *")
    await almanac.pass_time(1_800)
    assert await almanac.run_due(hand) == ["12:15", "12:30"]
