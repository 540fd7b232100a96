"""Declaring over HTTP: created, edited and deleted by who may, never over what somebody else has changed meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from jetmill_operator.cluster.errors import ForbiddenError, InvalidError, UnavailableError
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import JOB, SCHEDULED_JOB, WEBHOOK, Body, Kind
from jetmill_operator.gateway.web.parts import Ground
from support.gateway import NAMESPACE, RunningGateway, TableReviewer, serve
from support.nats import NatsServer

pytestmark = pytest.mark.integration
JOBS = "/api/v1/declarations/jobs"
SPEC = {"handler": "app:mail", "worker": {"image": "app:1"}}
VERBS = ("create", "update", "patch", "delete", "get", "list")


@pytest.fixture
def cluster() -> LocalCluster:
    return LocalCluster()


@pytest.fixture
async def gateway(nats: NatsServer, cluster: LocalCluster, reviewer: TableReviewer) -> AsyncIterator[RunningGateway]:
    for kind in (JOB, SCHEDULED_JOB, WEBHOOK):
        reviewer.allow("editor", *(f"{verb} {kind.plural}" for verb in VERBS))
    async with serve(nats.url, reviewer, cluster=cluster) as running:
        yield running


@pytest.fixture
async def editor(gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client("token-of-editor") as http:
        yield http


async def declare(http: httpx.AsyncClient, name: str = "mail", **more: Any) -> httpx.Response:
    answer = await http.post(JOBS, json={"name": name, "spec": SPEC, **more})
    assert answer.status_code == 201, answer.text
    return answer


def slug_of(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["type"]).rpartition("/")[2]


async def test_a_job_is_declared_edited_and_deleted(editor: httpx.AsyncClient, cluster: LocalCluster) -> None:
    made = await declare(editor, labels={"team": "a"})
    assert made.headers["location"] == f"{JOBS}/mail"
    tag = made.headers["etag"]
    assert tag == (await editor.get(f"{JOBS}/mail")).headers["etag"]
    put = await editor.put(f"{JOBS}/mail", json={"spec": SPEC | {"suspend": True}}, headers={"If-Match": tag})
    assert put.status_code == 200
    assert put.headers["etag"] != tag
    patched = await editor.patch(
        f"{JOBS}/mail",
        json={"spec": {"suspend": None, "timeoutSeconds": 5}, "labels": {"team": None, "tier": "1"}},
        headers={"If-Match": put.headers["etag"], "Content-Type": "application/merge-patch+json"},
    )
    assert patched.status_code == 200
    stored = await cluster.get(JOB, NAMESPACE, "mail")
    assert stored is not None
    assert stored["spec"] == SPEC | {"timeoutSeconds": 5}
    assert stored["metadata"]["labels"] == {"tier": "1"}
    gone = await editor.delete(f"{JOBS}/mail")
    assert (gone.status_code, gone.json()["deleting"]) == (202, True)
    assert await cluster.get(JOB, NAMESPACE, "mail") is None
    assert (await editor.delete(f"{JOBS}/mail")).status_code == 404


async def test_an_edit_names_the_version_that_it_was_made_on(editor: httpx.AsyncClient) -> None:
    tag = (await declare(editor)).headers["etag"]
    edit: dict[str, Any] = {"json": {"spec": SPEC | {"suspend": True}}}
    for method in ("PUT", "PATCH"):
        missing = await editor.request(method, f"{JOBS}/mail", **edit)
        assert (missing.status_code, slug_of(missing)) == (428, "precondition-required")
    first = await editor.put(f"{JOBS}/mail", headers={"If-Match": tag}, **edit)
    late = await editor.put(f"{JOBS}/mail", headers={"If-Match": tag}, **edit)
    assert (first.status_code, late.status_code, slug_of(late)) == (200, 412, "precondition-failed")
    assert late.headers["etag"] == first.headers["etag"]
    assert (await editor.delete(f"{JOBS}/mail", headers={"If-Match": tag})).status_code == 412
    assert (await editor.put(f"{JOBS}/mail", headers={"If-Match": "*"}, **edit)).status_code == 200
    assert (await editor.put(f"{JOBS}/nothing", headers={"If-Match": "*"}, **edit)).status_code == 404
    for odd in ("117", "W/", '"1", 2'):
        answer = await editor.put(f"{JOBS}/mail", headers={"If-Match": odd}, **edit)
        assert (answer.status_code, slug_of(answer)) == (400, "invalid-parameter")


class Meddler(LocalCluster):
    """Somebody else edits an object whenever it was read."""

    meddle = False

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        found = await super().get(kind, namespace, name)
        if self.meddle and found is not None:
            mark = {"metadata": {"annotations": {"seen": found["metadata"]["resourceVersion"]}}}
            await self.patch(kind, namespace, name, mark, manager="kubectl")
        return found


async def test_what_changes_between_the_look_and_the_write_is_not_overwritten(
    nats: NatsServer, reviewer: TableReviewer
) -> None:
    reviewer.allow("editor", *(f"{verb} jobs" for verb in VERBS))
    cluster = Meddler()
    async with serve(nats.url, reviewer, cluster=cluster) as gateway, gateway.client("token-of-editor") as http:
        await declare(http)
        cluster.meddle = True
        answer = await http.patch(f"{JOBS}/mail", json={"spec": {"suspend": True}}, headers={"If-Match": "*"})
        assert (answer.status_code, slug_of(answer)) == (412, "precondition-failed")
        cluster.meddle = False
        assert "suspend" not in (await http.get(f"{JOBS}/mail")).json()["spec"]


async def test_a_name_is_declared_once(editor: httpx.AsyncClient) -> None:
    await declare(editor)
    answer = await editor.post(JOBS, json={"name": "mail", "spec": SPEC})
    assert (answer.status_code, slug_of(answer)) == (409, "already-declared")


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"name": "mail", "spec": {"handler": "app:mail"}}, {"#/spec/worker"}),
        (
            {"name": "mail", "spec": SPEC | {"timeoutSeconds": -1, "retrie": {}}},
            {"#/spec/timeoutSeconds", "#/spec/retrie"},
        ),
        ({"name": "No Name", "spec": SPEC}, {"#/name"}),
        ({"name": "mail", "spec": {**SPEC, "worker": {"image": "a", "env": [{"nme": "X"}]}}}, None),
    ],
)
async def test_what_the_model_refuses_is_pointed_at(
    editor: httpx.AsyncClient, cluster: LocalCluster, body: Any, pointers: set[str] | None
) -> None:
    answer = await editor.post(JOBS, json=body)
    assert (answer.status_code, slug_of(answer)) == (422, "invalid-declaration")
    found = {one["pointer"] for one in answer.json()["errors"]}
    assert found == pointers if pointers is not None else any(one.startswith("#/spec/worker/env/0/") for one in found)
    assert await cluster.list(JOB) == []


async def test_schedules_and_webhooks_are_declared_alike(editor: httpx.AsyncClient, cluster: LocalCluster) -> None:
    hook = {"name": "crm", "spec": {"events": ["job.failed"], "url": "https://crm.example/hook"}}
    assert (await editor.post("/api/v1/declarations/webhooks", json=hook)).status_code == 201
    assert await cluster.get(WEBHOOK, NAMESPACE, "crm") is not None
    bad = await editor.post("/api/v1/declarations/webhooks", json={"name": "x", "spec": {"events": [], "url": "ftp:"}})
    assert {one["pointer"] for one in bad.json()["errors"]} == {"#/spec/events", "#/spec/url"}
    assert (await editor.get("/api/v1/declarations/scheduledjobs")).json() == {"items": []}


class Refusing(LocalCluster):
    """An API server that says no."""

    error: Exception

    async def create(self, kind: Kind, body: Body, *, manager: str = "") -> Body:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (
            InvalidError("no", code=422, causes=(("spec.retry.factor", "too small"), ("metadata.name", "odd"))),
            422,
            "invalid-declaration",
        ),
        (ForbiddenError("quota exceeded"), 403, "cluster-refused"),
        (UnavailableError("the API server is away"), 503, "cluster-unavailable"),
    ],
)
async def test_what_the_cluster_says_no_to_is_said(
    nats: NatsServer, reviewer: TableReviewer, error: Exception, status: int, slug: str
) -> None:
    reviewer.allow("editor", "create jobs")
    cluster = Refusing()
    cluster.error = error
    async with serve(nats.url, reviewer, cluster=cluster) as gateway, gateway.client("token-of-editor") as http:
        answer = await http.post(JOBS, json={"name": "mail", "spec": SPEC})
    assert (answer.status_code, slug_of(answer)) == (status, slug)
    if status == 422:
        told = {(one["pointer"], one["detail"]) for one in answer.json()["errors"]}
        assert told == {("#/spec/retry/factor", "too small"), ("#/name", "odd")}


async def test_whoever_may_not_do_it_with_kubectl_may_not_do_it_here(
    gateway: RunningGateway, reviewer: TableReviewer, editor: httpx.AsyncClient
) -> None:
    for name in ("mail", "report"):
        await declare(editor, name)
    any_version = {"If-Match": "*"}
    async with gateway.client("token-of-viewer") as viewer, gateway.client("token-of-mailer") as mailer:
        assert (await viewer.post(JOBS, json={"name": "x", "spec": SPEC})).status_code == 403
        assert (await viewer.delete(f"{JOBS}/mail")).status_code == 403
        change = {"spec": {"suspend": True}}
        assert (await mailer.patch(f"{JOBS}/mail", json=change, headers=any_version)).status_code == 200
        assert (await mailer.patch(f"{JOBS}/report", json=change, headers=any_version)).status_code == 403
        assert (await mailer.delete(f"{JOBS}/report")).status_code == 403
        assert (await mailer.delete(f"{JOBS}/mail")).status_code == 202


async def test_what_a_file_declares_is_edited_in_that_file(nats: NatsServer) -> None:
    cluster = LocalCluster()
    ground = Ground(lambda _kind, _namespace, name: "jobs.yaml:3" if name == "mail" else None, image="folder")
    async with serve(nats.url, None, cluster=cluster) as gateway, gateway.client() as http:
        await declare(http)
        gateway.parts.ground = ground
        attempts = [
            await http.post(JOBS, json={"name": "mail", "spec": SPEC}),
            await http.put(f"{JOBS}/mail", json={"spec": SPEC}, headers={"If-Match": "*"}),
            await http.patch(f"{JOBS}/mail", json={"spec": {}}, headers={"If-Match": "*"}),
            await http.delete(f"{JOBS}/mail"),
        ]
        for answer in attempts:
            assert (answer.status_code, slug_of(answer)) == (409, "declared-in-file")
            assert "jobs.yaml:3" in answer.json()["detail"]
        free = await http.post(JOBS, json={"name": "report", "spec": {"handler": "app:report"}})
        assert (free.status_code, free.json()["spec"]["worker"]) == (201, {"image": "folder"})
