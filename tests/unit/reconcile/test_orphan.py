"""What is left in NATS of schedules and Webhooks that are not there any more."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from jetmill.client.client import Client
from jetmill.protocol.delivery import name_note
from jetmill.protocol.name import name_deliveries
from jetmill.protocol.record import JobSettings, WebhookSettings
from jetmill.protocol.state import State
from jetmill_operator.cluster.ports import SCHEDULED_JOB, WEBHOOK
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


async def apply_settings(almanac: Almanac, name: str, *, uid: str) -> JobSettings:
    """As an operator left them."""
    webhook = WebhookSettings(events=["order.*"], url="https://hooks.example.com/")
    settings = JobSettings(job=name_deliveries(name), uid=uid, executor="async", webhook=webhook)
    await almanac.bus.admin.apply_job(settings)
    await almanac.bus.notes.write(name_note(name), b"{}", expected=0)
    return settings


async def test_what_is_left_of_a_webhook_goes_with_all_that_waits_to_be_sent(almanac: Almanac) -> None:
    """Dispatchers go by the settings: they would send to it, and try again, for ever."""
    head = {"name": "there", "namespace": NAMESPACE}
    there = await almanac.cluster.apply(
        WEBHOOK, {"apiVersion": WEBHOOK.api_version, "kind": "Webhook", "metadata": head, "spec": {}}, manager="kubectl"
    )
    kept = await apply_settings(almanac, "there", uid=there["metadata"]["uid"])
    gone = await apply_settings(almanac, "gone", uid="of-nobody")
    client = Client(bus=almanac.bus)
    waiting = await client.enqueue(gone.job, {"event": "{}"})
    stays = await client.enqueue(kept.job, {"event": "{}"})
    orphans = Orphans(almanac.cluster, almanac.buses, lambda: {NAMESPACE})
    assert await orphans.look_at_webhooks(NAMESPACE) == 1
    left = {settings.job: settings for settings in await almanac.bus.admin.all_settings()}
    assert (gone.job in left, left.get(kept.job)) == (False, kept)
    assert await almanac.bus.notes.read(name_note("gone")) is None
    assert await almanac.bus.notes.read(name_note("there")) is not None
    assert (await client.status(waiting.id)).state is State.CANCELLED
    assert (await client.status(stays.id)).state is State.QUEUED
    assert await orphans.look_at_webhooks(NAMESPACE) == 0


async def test_a_job_is_no_webhook_that_was_left(almanac: Almanac) -> None:
    """Jobs have an end of their own, and some have no object at all."""
    before = await almanac.bus.admin.all_settings()
    await Orphans(almanac.cluster, almanac.buses, lambda: {NAMESPACE}).look_at_webhooks(NAMESPACE)
    assert await almanac.bus.admin.all_settings() == before != []
