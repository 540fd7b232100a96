"""What is declared, as the cluster has it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import JOB, SCHEDULED_JOB, WEBHOOK
from support.gateway import NAMESPACE, OTHER, RunningGateway, TableReviewer, serve
from support.nats import NatsServer

pytestmark = pytest.mark.integration


@pytest.fixture
async def cluster() -> LocalCluster:
    cluster = LocalCluster()
    for kind, namespace, name in ((JOB, NAMESPACE, "mail"), (JOB, NAMESPACE, "a-job"), (JOB, OTHER, "secret")):
        head = {"name": name, "namespace": namespace, "labels": {"team": "x"}}
        body = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": head, "spec": {"handler": "app:mail"}}
        await cluster.apply(kind, body, manager="kubectl")
    status = {"metadata": {"name": "mail", "namespace": NAMESPACE}, "status": {"replicas": 2}}
    await cluster.apply(
        JOB, {"apiVersion": JOB.api_version, "kind": "Job", **status}, manager="x", subresource="status"
    )
    return cluster


@pytest.fixture
async def gateway(nats: NatsServer, cluster: LocalCluster, reviewer: TableReviewer) -> AsyncIterator[RunningGateway]:
    reviewer.allow("viewer", "list jobs", "get jobs", "list scheduledjobs")
    async with serve(nats.url, reviewer, cluster=cluster) as running:
        yield running


async def test_they_are_listed_with_their_status_by_name(gateway: RunningGateway) -> None:
    async with gateway.client("token-of-viewer") as http:
        items = (await http.get("/api/v1/declarations/jobs")).json()["items"]
        assert [(one["name"], one["namespace"]) for one in items] == [("a-job", NAMESPACE), ("mail", NAMESPACE)]
        assert items[1]["status"] == {"replicas": 2}
        assert items[1]["spec"] == {"handler": "app:mail"}
        assert (await http.get("/api/v1/declarations/scheduledjobs")).json() == {"items": []}


async def test_one_has_the_version_that_an_edit_would_name(gateway: RunningGateway, cluster: LocalCluster) -> None:
    stored = await cluster.get(JOB, NAMESPACE, "mail")
    assert stored is not None
    async with gateway.client("token-of-viewer") as http:
        answer = await http.get("/api/v1/declarations/jobs/mail")
        assert answer.headers["etag"] == f'"{stored["metadata"]["resourceVersion"]}"'
        assert (answer.json()["labels"], answer.json()["uid"]) == ({"team": "x"}, stored["metadata"]["uid"])
        for name in ("nothing", "A.B", "secret"):
            assert (await http.get(f"/api/v1/declarations/jobs/{name}")).status_code == 404


async def test_whoever_may_not_see_them_with_kubectl_does_not_see_them_here(gateway: RunningGateway) -> None:
    async with gateway.client("token-of-viewer") as http:
        assert (await http.get("/api/v1/declarations/webhooks")).status_code == 403
        assert (await http.get("/api/v1/declarations/scheduledjobs/a")).status_code == 403
        other = await http.get("/api/v1/declarations/jobs", params={"namespace": OTHER})
        assert other.status_code == 403


async def test_a_gateway_without_a_cluster_says_so(local: RunningGateway) -> None:
    async with local.client() as http:
        for kind in (JOB, SCHEDULED_JOB, WEBHOOK):
            answer = await http.get(f"/api/v1/declarations/{kind.plural}")
            assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (503, "cluster-unavailable")
