"""Why a job does not run, asked over HTTP: what is found is what keeps it, now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from factories import make_data, make_plan
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.protocol.plan import make_slot_id
from jetmill.protocol.record import JobSettings, Presence
from jetmill.protocol.state import Reason, State
from jetmill_operator.cluster.errors import UnavailableError
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import JOB, Body, Kind
from support.gateway import NAMESPACE, RunningGateway, TableReviewer, declare, serve
from support.nats import NatsServer
from support.wait import eventually

pytestmark = pytest.mark.integration


async def find(http: httpx.AsyncClient, path: str) -> dict[str, dict[str, Any]]:
    """The causes by code."""
    answer = await http.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["looked"].endswith("Z")
    return {one["code"]: one for one in body.get("items", [])}


async def test_what_keeps_a_job_is_named_while_it_does_and_no_longer(
    bus: Bus, local: RunningGateway, sdk: Client
) -> None:
    await bus.admin.apply_job(JobSettings(job="slow", suspend=True))
    job = await sdk.enqueue("slow")
    later = await sdk.enqueue("slow", delay=3600)
    async with local.client() as http:
        found = await find(http, f"jobs/{job.id}/why")
        assert found.keys() == {"suspended", "no_worker"}
        assert found["suspended"]["cure"] == "set spec.suspend: false"
        assert (await find(http, "queues/slow/why")).keys() == {"suspended", "no_worker"}
        assert (await find(http, f"jobs/{later.id}/why")).keys() == {"waiting_until", "suspended"}
        await bus.admin.apply_job(JobSettings(job="slow"))
        await bus.presence.put(Presence(worker="w", jobs=["slow"], slots=4), ttl_seconds=600)

        async def is_next() -> bool:
            return (await find(http, f"jobs/{job.id}/why")).keys() == {"next"}

        await eventually(is_next, what="nothing but its turn to be waited for")
        await bus.presence.remove("w")
        await sdk.cancel(job.id)
        assert (await find(http, f"jobs/{job.id}/why")).keys() == {"done"}
        assert (await find(http, "queues/nothing/why")).keys() == {"unknown_job"}
        refusal = await http.get("/api/v1/queues/No%20name/why", params={"namespace": NAMESPACE})
        assert (refusal.status_code, refusal.json()["errors"][0]["parameter"]) == (400, "job")
        assert (await http.get("/api/v1/jobs/nothing/why")).status_code == 404


async def test_a_suspended_schedule_is_told_to_those_who_may_list_schedules(
    gateway: RunningGateway, reviewer: TableReviewer, bus: Bus
) -> None:
    await declare(bus, "nightly")
    uid, soon = "0f0e6c3c-0000-4000-8000-000000000009", bus.link.now() + 3_600_000_000
    fields = {"schedule": "at-night", "job": "nightly", "expression": "0 2 * * *", "complete": True}
    first = make_plan(**fields, slots=[soon])
    seq = await bus.ledger.append_plan(uid, first, expected=0)
    job_id = make_slot_id(uid, soon)
    queued = make_data(State.SCHEDULED, job="nightly", schedule="at-night", generation=1, due=soon)
    record = await bus.ledger.append(job_id, queued, expected=0)
    reviewer.allow("editor", "list scheduledjobs")
    async with gateway.client("token-of-viewer") as viewer, gateway.client("token-of-editor") as editor:
        assert (await find(editor, "queues/nightly/why")).keys() == set()
        await bus.ledger.append_plan(uid, make_plan(**fields, generation=2, suspended=True), expected=seq)
        gone = make_data(State.CANCELLED, job="nightly", schedule="at-night", generation=2, reason=Reason.WITHDRAWN)
        await bus.ledger.append(job_id, gone, expected=record)
        assert (await find(editor, "queues/nightly/why")).keys() == {"schedule_suspended"}
        assert (await find(viewer, "queues/nightly/why")).keys() == set()
        found = await find(viewer, f"jobs/{job_id}/why")
    assert found["schedule_suspended"]["cure"] == "jetmill schedule resume at-night"


async def test_which_job_has_the_key_is_told_to_those_who_may_see_it(gateway: RunningGateway, sdk: Client) -> None:
    first = await sdk.enqueue("report", concurrency_key="one-at-a-time")
    second = await sdk.enqueue("mail", concurrency_key="one-at-a-time")
    told = {}
    for user in ("viewer", "mailer"):
        async with gateway.client(f"token-of-{user}") as http:
            told[user] = (await find(http, f"jobs/{second.id}/why")).get("held", {}).get("text", "")
    assert told["mailer"] == "" or first.id not in told["mailer"]
    for handle in (first, second):
        await sdk.cancel(handle.id)


class Clouded(LocalCluster):
    """An API server that may be away."""

    away = False

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        if self.away:
            raise UnavailableError("the API server is away")
        return await super().get(kind, namespace, name)


@pytest.fixture
async def cluster() -> Clouded:
    cluster = Clouded()
    head = {"name": "mail", "namespace": NAMESPACE}
    body = {"apiVersion": JOB.api_version, "kind": "Job", "metadata": head, "spec": {"handler": "a:b"}}
    await cluster.apply(JOB, body, manager="kubectl")
    said = {"type": "Stalled", "status": "True", "reason": "ImagePullFailed", "message": "image a:1 cannot be pulled"}
    status = {"apiVersion": JOB.api_version, "kind": "Job", "metadata": head, "status": {"conditions": [said]}}
    await cluster.apply(JOB, status, manager="x", subresource="status")
    return cluster


@pytest.fixture
async def clustered(nats: NatsServer, cluster: Clouded, reviewer: TableReviewer) -> AsyncIterator[RunningGateway]:
    reviewer.allow("viewer", "get jobs")
    async with serve(nats.url, reviewer, cluster=cluster) as running:
        yield running


async def test_what_the_cluster_says_is_told_to_those_who_may_see_the_job_there(
    clustered: RunningGateway, cluster: Clouded, sdk: Client
) -> None:
    job = await sdk.enqueue("mail")
    async with clustered.client("token-of-viewer") as viewer, clustered.client("token-of-editor") as editor:
        for path in (f"jobs/{job.id}/why", "queues/mail/why"):
            assert (await find(viewer, path))["ImagePullFailed"]["text"] == "image a:1 cannot be pulled"
            assert "ImagePullFailed" not in await find(editor, path)
        cluster.away = True
        assert {"no_worker", "cluster_away"} <= (await find(viewer, f"jobs/{job.id}/why")).keys()
    await sdk.cancel(job.id)


async def test_while_nats_is_away_that_is_why(tmp_path: Path, reviewer: TableReviewer) -> None:
    with NatsServer.start(tmp_path) as own:
        bus = await connect(BusOptions(url=own.url, namespace=NAMESPACE))
        await declare(bus, "mail")
        job = await Client(bus=bus).enqueue("mail")
        await bus.link.close()
        async with serve(own.url, reviewer) as gateway, gateway.client("token-of-viewer") as http:
            own.kill()
            await eventually(lambda: not gateway.parts.namespaces.trunk.connected, what="the gateway to notice")
            assert (await find(http, f"jobs/{job.id}/why")).keys() == {"nats_away"}
