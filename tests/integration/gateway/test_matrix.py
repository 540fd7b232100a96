"""Who gets in where: every route that there is, by everybody that there may be, made from the table of routes.

One gateway answers all of them: what it keeps of one request for another is what the reviewer said, and nothing changes
that here. How often somebody may ask is no matter of these tests (test_access.py).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
import pytest_asyncio
from litestar import get
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler

from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.errors import ConfigError
from jetmill_operator.gateway.access.right import CANCEL, PLURALS, Right, Scope
from jetmill_operator.gateway.web.app import HANDLERS
from jetmill_operator.gateway.web.guard import LOGIN, STREAM, right_of
from jetmill_operator.gateway.web.route.dashboard import FOLDER
from support.gateway import NAMESPACE, OTHER, RunningGateway, TableReviewer, parameters, serve
from support.nats import NatsServer

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROUTES = [
    pytest.param(one, method, path, id=f"{method} {path}")
    for one in HANDLERS
    if isinstance(one, HTTPRouteHandler)
    for path in sorted(one.paths)
    for method in sorted(one.http_methods)
]
BODIES: dict[str, Any] = {
    "/api/v1/jobs": {"job": "mail"},
    "/api/v1/jobs/bulk": {"jobs": [{"job": "mail"}]},
    "/api/v1/jobs/{job_id:str}/reschedule": {"delaySeconds": 60},
    "/api/v1/operations": {"action": "cancel", "filter": {"user": "nobody-at-all"}, "confirm": 0},
    "/api/v1/operations/preview": {"action": "cancel"},
    "/api/v1/session": {"token": "garbage"},
    "/api/v1/schedules/{name:str}": {"spec": {"jobRef": {"name": "mail"}, "every": "1d"}},
    "/api/v1/schedules/{name:str}/trigger": {},
    "/api/v1/webhooks/{name:str}/recover": {"since": "2026-01-01T00:00:00Z"},
    "/api/v1/stream/messages": {"topic": "news", "message": 1},
    "/api/v1/events": {"type": "doc.created", "data": {"n": 1}},
    "/api/v1/events/dead": {"subscription": "mails", "seq": 1, "action": "discard"},
}
for plural in PLURALS:
    BODIES[f"/api/v1/declarations/{plural}"] = {"name": "mail", "spec": {}}
    BODIES[f"/api/v1/declarations/{plural}/{{name:str}}"] = {"spec": {}}
ABSENT = frozenset({("POST", "/api/v1/events/dead")})
"""What these mean is not there, for whoever may ask."""
QUERIES: dict[str, dict[str, str]] = {"/api/v1/calendar": {"every": "90s"}}
REFUSED = (401, 403, 404)


@pytest.fixture
def reviewer(one_reviewer: TableReviewer) -> TableReviewer:
    return one_reviewer


@pytest.fixture
def bus(one_bus: Bus) -> Bus:
    return one_bus


@pytest.fixture
def gateway(one_gateway: RunningGateway) -> RunningGateway:
    return one_gateway


@pytest_asyncio.fixture(loop_scope="module")
async def http(gateway: RunningGateway) -> AsyncIterator[httpx.AsyncClient]:
    """Nobody's: each request says who asks."""
    async with gateway.client() as client:
        yield client


async def ask(
    http: httpx.AsyncClient,
    who: str,
    method: str,
    path: str,
    *,
    job_id: str,
    delivery: str = "x",
    namespace: str = NAMESPACE,
) -> int:
    """The status that somebody gets; their token is `who`, "" for none."""
    body = {"json": BODIES[path]} if path in BODIES and method in ("POST", "PUT", "PATCH") else {}
    namespaced = path.startswith("/api/v1/") and _has_namespace(path, method)
    query = QUERIES.get(path, {}) | ({"namespace": namespace} if namespaced else {})
    asset = next((file.name for file in (FOLDER / "assets").glob("*.js")), "none")
    given = {"job_id": job_id, "delivery": delivery, "seq": "1", "name": "mail", "job": "mail"}
    if path.startswith("/assets/"):
        given = {"name": asset}
    headers = {"Authorization": f"Bearer {who}"} if who else {}
    response = await http.request(method, parameters(path, given), params=query, headers=headers, **body)
    assert not http.cookies, "nobody is to be known by anything but his token"
    return response.status_code


def _has_namespace(path: str, method: str) -> bool:
    found = next(one for one in HANDLERS if path in one.paths and method in getattr(one, "http_methods", ()))
    return needed(found).scope in (Scope.NAMESPACE, Scope.NAME, Scope.JOB, Scope.BODY)


def needed(handler: BaseRouteHandler) -> Right:
    right = right_of(handler)
    assert right is not None, f"{handler} declares no right"
    return right


def may(reviewer: TableReviewer, user: str, right: Right, *, namespace: str, job: str) -> bool:
    return any((user, right.verb, right.resource, namespace, one) in reviewer.grants for one in ("", job))


@pytest.mark.parametrize(("handler", "method", "path"), ROUTES)
async def test_without_an_accepted_token_nobody_gets_in(
    http: httpx.AsyncClient, reviewer: TableReviewer, handler: HTTPRouteHandler, method: str, path: str
) -> None:
    right = needed(handler)
    for token in ("", "garbage", "expired", "for-another-audience"):
        status = await ask(http, token, method, path, job_id="x")
        if right.scope is Scope.NOBODY and not handler.opt.get(LOGIN):
            assert status == 200
        else:
            assert status == 401, (token, status)


USERS = ("viewer", "editor", "stranger", "mailer", "admin", "nobody")


@pytest.mark.parametrize(("handler", "method", "path"), ROUTES)
async def test_each_gets_in_just_where_a_right_says_so(
    http: httpx.AsyncClient, reviewer: TableReviewer, sdk: Client, handler: HTTPRouteHandler, method: str, path: str
) -> None:
    right = needed(handler)
    ids = {job: (await sdk.enqueue(job)).id for job in ("mail", "report")}
    ids["delivery"] = (await sdk.enqueue("wh--mail", {"event": "{}"})).id
    for user in USERS:
        if not right.resource:
            status = await ask(http, f"token-of-{user}", method, path, job_id="x")
            assert status == _without_right(handler, method)
            continue
        for namespace in (NAMESPACE, OTHER):
            for job in ("mail", "report"):
                await _check(http, reviewer, ids, handler, method, path, user=user, namespace=namespace, job=job)


def _without_right(handler: HTTPRouteHandler, method: str) -> int:
    """What whoever is somebody gets: a stream wants topics, and asks for the right of each (test_watch.py)."""
    if handler.opt.get(LOGIN):
        return 401
    if handler.opt.get(STREAM):
        return 400
    return {"DELETE": 204, "POST": 201}.get(method, 200)


async def _check(
    http: httpx.AsyncClient,
    reviewer: TableReviewer,
    ids: Mapping[str, str],
    handler: HTTPRouteHandler,
    method: str,
    path: str,
    *,
    user: str,
    namespace: str,
    job: str,
) -> None:
    right = needed(handler)
    if right.scope in (Scope.BODY, Scope.NAME) and job != "mail":
        return  # the bodies, and the paths of objects, name mail
    job_id = ids[job] if namespace == NAMESPACE else "absent"
    given = {"job_id": job_id, "delivery": ids["delivery"], "namespace": namespace}
    status = await ask(http, f"token-of-{user}", method, path, **given)
    allowed = may(reviewer, user, right, namespace=namespace, job=job)
    if right.scope is Scope.NAMESPACE:
        allowed = may(reviewer, user, right, namespace=namespace, job="")
    if right.scope is Scope.JOB and namespace == OTHER:
        assert status == (403 if _sees(reviewer, user, namespace, "") and not allowed else 404)
    elif allowed and path == "/api/v1/operations" and method == "POST":
        wanted = may(reviewer, user, CANCEL, namespace=namespace, job="")
        accepted = 202 if namespace == NAMESPACE else 503  # the other one has nothing yet
        assert status == (accepted if wanted else 403), (status, user, namespace)
    elif allowed and path.startswith("/api/v1/operations/{name"):
        assert status == 404, "there is none of that name"
    elif allowed or path.endswith("/bulk"):
        absent = namespace == OTHER or (method, path) in ABSENT
        assert status not in REFUSED or (status == 404 and absent), (status, user, namespace, job)
    elif right.scope is Scope.JOB:
        assert status == (403 if _sees(reviewer, user, namespace, job) else 404), (status, user, namespace, job)
    else:
        assert status == 403, (status, user, namespace, job)


def _sees(reviewer: TableReviewer, user: str, namespace: str, job: str) -> bool:
    return any((user, "get", "jobs/runs", namespace, one) in reviewer.grants for one in {"", job})


async def test_what_one_may_not_see_is_answered_as_what_is_not_there(gateway: RunningGateway, sdk: Client) -> None:
    handle = await sdk.enqueue("report")
    async with gateway.client("token-of-mailer") as client:
        hidden = (await client.get(f"/api/v1/jobs/{handle.id}")).json()
        absent = (await client.get("/api/v1/jobs/not-there")).json()
    for body in (hidden, absent):
        body.pop("instance")
    assert hidden["detail"].replace(handle.id, "") == absent["detail"].replace("not-there", "")
    assert {**hidden, "detail": ""} == {**absent, "detail": ""}


async def test_in_bulk_each_job_is_judged_by_its_own_right(gateway: RunningGateway) -> None:
    async with gateway.client("token-of-mailer") as client:
        response = await client.post("/api/v1/jobs/bulk", json={"jobs": [{"job": "report"}, {"job": "mail"}]})
    refused, accepted = response.json()["items"]
    assert refused["problem"]["status"] == 403
    assert accepted["created"]


async def test_a_handler_without_a_declared_right_does_not_start(nats: NatsServer) -> None:
    @get("/api/v1/forgotten")
    async def forgotten() -> str:
        return "open to all"

    with pytest.raises(ConfigError, match="without a declared right"):
        async with serve(nats.url, None, more=[forgotten]):
            pass
