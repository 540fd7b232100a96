"""Schedules over REST: what is in force, when it fires, and what is done with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from factories import make_plan
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.client.schedule import ScheduleOptions
from jetmill.errors import InputError, PermissionDeniedError, UnknownScheduleError
from jetmill.http import HttpClient, HttpSettings
from jetmill.protocol.plan import Slot, Template, make_slot_id
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import SCHEDULED_JOB
from support.gateway import NAMESPACE, RunningGateway, TableReviewer, serve
from support.nats import NatsServer

pytestmark = pytest.mark.integration
BERLIN = "schedule=30+2+*+*+*&timeZone=Europe/Berlin"


@pytest.fixture
async def gateway(nats: NatsServer, reviewer: TableReviewer) -> AsyncIterator[RunningGateway]:
    cluster = LocalCluster()
    body = {
        "apiVersion": "jetmill.dev/v1alpha1",
        "kind": "ScheduledJob",
        "metadata": {"name": "mail", "namespace": NAMESPACE},
        "spec": {"jobRef": {"name": "mail"}, "schedule": "0 9 * * *"},
    }
    await cluster.apply(SCHEDULED_JOB, body, manager="kubectl")
    async with serve(nats.url, reviewer, cluster=cluster) as running:
        yield running


async def plan_nightly(bus: Bus, uid: str) -> tuple[int, int]:
    """A schedule whose last slot was a minute ago, and whose next is in an hour."""
    now = bus.link.now() // 1_000_000 * 1_000_000
    last, following = now - 60_000_000, now + 3_600_000_000
    stored = await bus.ledger.read_plan(uid)
    plan = make_plan(
        schedule=f"nightly-{uid[-1]}",
        job="mail",
        slots=[last, following],
        complete=True,
        missed=3,
        expression="30 2 * * *",
        time_zone="Europe/Berlin",
        template=Template(payload=msgspec.Raw(b'{"to":"ada"}'), gate="forbid:schedule/x"),
    )
    await bus.ledger.append_plan(uid, plan, expected=0 if stored is None else stored.seq)
    return last, following


async def test_a_schedule_is_shown_as_it_is_in_force(gateway: RunningGateway, bus: Bus) -> None:
    uid = "0f0e6c3c-0000-4000-8000-000000000002"
    last, following = await plan_nightly(bus, uid)
    async with gateway.client("token-of-admin") as http:
        found = (await http.get("/api/v1/schedules/nightly-2", params={"namespace": NAMESPACE})).json()
        listed = (await http.get("/api/v1/schedules", params={"namespace": NAMESPACE})).json()["items"]
        absent = await http.get("/api/v1/schedules/nobody", params={"namespace": NAMESPACE})
    assert (found["job"], found["schedule"], found["timeZone"], found["missed"]) == (
        "mail", "30 2 * * *", "Europe/Berlin", 3,
    )  # fmt: skip
    assert found["lastId"] == make_slot_id(uid, last)
    assert Slot(last, last) < Slot(following, following)
    assert found["last"] < found["next"]
    assert found in listed
    assert [one["name"] for one in listed] == sorted(one["name"] for one in listed)
    assert (absent.status_code, absent.json()["type"].rpartition("/")[2]) == (404, "not-found")


async def test_when_it_fires_is_told_with_the_shifts_of_the_clocks(gateway: RunningGateway, bus: Bus) -> None:
    await plan_nightly(bus, "0f0e6c3c-0000-4000-8000-000000000003")
    query: dict[str, str | int] = {"namespace": NAMESPACE, "count": 2, "from": "2027-03-27T12:00:00Z"}
    async with gateway.client("token-of-admin") as http:
        items = (await http.get("/api/v1/schedules/nightly-3/next", params=query)).json()["items"]
        zoneless = await http.get("/api/v1/schedules/nightly-3/next", params={**query, "from": "2027-03-27T12:00:00"})
    assert [one["local"] for one in items] == ["2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"]
    assert items[0]["time"] == "2027-03-28T01:00:00Z"
    assert items[0]["note"] == "clocks go forward: instead of 02:30:00"
    assert "note" not in items[1]
    assert zoneless.status_code == 400


async def test_anybody_may_try_an_expression(gateway: RunningGateway) -> None:
    async with gateway.client("token-of-nobody") as http:
        items = (await http.get(f"/api/v1/calendar?{BERLIN}&from=2026-10-24T12:00:00Z&count=2")).json()["items"]
        steps = (await http.get("/api/v1/calendar?every=90s&from=2026-01-01T00:00:00Z&count=1")).json()["items"]
        refused = await http.get("/api/v1/calendar?schedule=0+25+*+*+*")
        both = await http.get("/api/v1/calendar?schedule=0+2+*+*+*&every=90s")
    assert [one["local"] for one in items] == ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
    assert [one["time"] for one in steps] == ["2026-01-01T00:01:30Z"]
    assert refused.status_code == 422
    assert "character 3" in refused.json()["detail"]
    assert both.status_code == refused.status_code


async def test_a_trigger_enqueues_a_job_of_its_own(gateway: RunningGateway, bus: Bus) -> None:
    await plan_nightly(bus, "0f0e6c3c-0000-4000-8000-000000000004")
    path, query = "/api/v1/schedules/nightly-4/trigger", {"namespace": NAMESPACE}
    async with gateway.client("token-of-editor") as http:
        made = await http.post(path, params=query, json={"id": "by-hand-1"})
        again = await http.post(path, params=query, json={"id": "by-hand-1"})
        other = await http.post(path, params=query, json={"payload": {"to": "bob"}})
    assert (made.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert (made.json()["id"], made.json()["schedule"], made.json()["state"]) == ("by-hand-1", "nightly-4", "queued")
    first, second = await bus.ledger.read("by-hand-1"), await bus.ledger.read(other.json()["id"])
    assert first is not None
    assert second is not None
    assert (first.record.gate, first.record.by) == ("forbid:schedule/x", "editor")
    assert bytes(first.record.payload or b"") == b'{"to":"ada"}'
    assert bytes(second.record.payload or b"") == b'{"to":"bob"}'


async def test_it_is_suspended_and_resumed_by_who_may_change_it(gateway: RunningGateway) -> None:
    query = {"namespace": NAMESPACE}
    async with gateway.client("token-of-mailer") as http:
        suspended = await http.post("/api/v1/schedules/mail/suspend", params=query)
        again = await http.post("/api/v1/schedules/mail/suspend", params=query)
        resumed = await http.post("/api/v1/schedules/mail/resume", params=query)
        absent = await http.post("/api/v1/schedules/nobody/suspend", params=query)
    assert (suspended.status_code, suspended.json()["spec"]["suspend"]) == (200, True)
    assert again.json()["resourceVersion"] == suspended.json()["resourceVersion"]
    assert resumed.json()["spec"]["suspend"] is False
    assert absent.status_code == 403
    async with gateway.client("token-of-viewer") as http:
        assert (await http.post("/api/v1/schedules/mail/suspend", params=query)).status_code == 403


# From code


async def test_a_program_has_a_schedule_be_there_and_removes_it(gateway: RunningGateway) -> None:
    cluster = gateway.parts.cluster
    assert cluster is not None
    async with HttpClient(HttpSettings(url=gateway.url, namespace=NAMESPACE, token="token-of-admin")) as client:
        options: ScheduleOptions = {
            "time_zone": "Europe/Berlin",
            "payload": {"to": "ada"},
            "concurrency_policy": "Forbid",
            "starting_deadline": timedelta(minutes=10),
            "jitter": 30,
            "catch_up": "All",
            "catch_up_max": 3,
            "start_at": datetime(2030, 1, 1, tzinfo=UTC),
        }
        assert await client.schedule("report", cron="0 9 * * *", name="by-code", **options) == "by-code"
        body = await cluster.get(SCHEDULED_JOB, NAMESPACE, "by-code")
        assert body is not None
        assert body["metadata"]["labels"] == {"jetmill.dev/managed": "client"}
        assert body["spec"] == {
            "jobRef": {"name": "report"},
            "schedule": "0 9 * * *",
            "timeZone": "Europe/Berlin",
            "payload": {"to": "ada"},
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 600.0,
            "jitterSeconds": 30,
            "catchUp": {"policy": "All", "max": 3},
            "startAt": "2030-01-01T00:00:00+00:00",
        }
        await client.schedule("report", cron="0 9 * * *", name="by-code", **options)
        again = await cluster.get(SCHEDULED_JOB, NAMESPACE, "by-code")
        assert again == body, "the same again changes nothing"
        await client.schedule("report", every=timedelta(minutes=5), name="by-code")
        edited = await cluster.get(SCHEDULED_JOB, NAMESPACE, "by-code")
        assert edited is not None
        assert edited["spec"] == {"jobRef": {"name": "report"}, "every": "300s"}
        await client.unschedule("by-code")
        await client.unschedule("by-code")
        assert await cluster.get(SCHEDULED_JOB, NAMESPACE, "by-code") is None


async def test_what_a_person_declared_and_what_is_no_schedule_is_refused(gateway: RunningGateway) -> None:
    async with HttpClient(HttpSettings(url=gateway.url, namespace=NAMESPACE, token="token-of-admin")) as client:
        with pytest.raises(InputError, match="somebody declared it"):
            await client.schedule("mail", every="1d")
        with pytest.raises(InputError, match="somebody declared it"):
            await client.unschedule("mail")
        with pytest.raises(InputError, match="character 3: hour") as refused:
            await client.schedule("report", cron="0 25 * * *")
        assert refused.value.field == "spec.schedule"
        with pytest.raises(InputError, match="cron or every"):
            await client.schedule("report")
        with pytest.raises(InputError, match="whole seconds"):
            await client.schedule("report", every=timedelta(seconds=0.5))
        with pytest.raises(InputError, match="no schedule nobody"):
            await client.trigger("nobody")
    async with HttpClient(HttpSettings(url=gateway.url, namespace=NAMESPACE, token="token-of-viewer")) as viewer:
        with pytest.raises(PermissionDeniedError):
            await viewer.schedule("report", every="1d")


async def test_a_program_triggers_a_schedule_over_either_wire(gateway: RunningGateway, bus: Bus) -> None:
    await plan_nightly(bus, "0f0e6c3c-0000-4000-8000-000000000005")
    async with HttpClient(HttpSettings(url=gateway.url, namespace=NAMESPACE, token="token-of-editor")) as client:
        handle = await client.trigger("nightly-5", id="over-http")
        again = await client.trigger("nightly-5", id="over-http")
        assert (handle.id, handle.job, handle.created, again.created) == ("over-http", "mail", True, False)
    sdk = Client(bus=bus)
    handle = await sdk.trigger("nightly-5", {"to": "eve"})
    assert (handle.job, handle.created) == ("mail", True)
    assert (await sdk.status(handle.id)).payload == {"to": "eve"}
    with pytest.raises(UnknownScheduleError):
        await sdk.trigger("nobody")
