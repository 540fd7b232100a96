"""Whatever is wrong with a request becomes a problem (RFC 9457) and never a 500."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from support.gateway import JOB, Stand

pytestmark = pytest.mark.integration


def assert_problem(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"https://jetmill.dev/problems/{slug}"
    assert problem["status"] == status
    assert problem["instance"] == f"urn:jetmill:request:{answer.headers['x-request-id']}"
    return problem


async def test_an_address_that_is_not_there(stand: Stand) -> None:
    for path in ("nothing", "jobs/a/b/c", "/", "/api/v2/jobs"):
        assert_problem(await stand.http.get(path), 404, "not-found")


async def test_a_method_that_is_not_known_names_those_that_are(stand: Stand) -> None:
    answer = await stand.http.delete("jobs/a")
    assert_problem(answer, 405, "method-not-allowed")
    assert "GET" in answer.headers["allow"]


BODIES = {
    b"": 400,
    b"{": 400,
    b"[]": 400,
    b"null": 400,
    b'{"job": "send-email", "paylod": {}}': 400,
    b'{"job": 1}': 400,
    b'{"payload": {}}': 400,
    b'{"job": "send-email", "job": "send-email"}': 400,
    b'{"job": "send-email", "payload": {"a": 1, "a": 2}}': 400,
    b'{"job": "send-email", "payload": {"a": 123456789012345678901234567890}}': 400,
    b'{"job": "send-email", "payload": {"a": NaN}}': 400,
    b'{"job": "send-email", "payload": {"a": 1e999}}': 400,
    b'{"job": "send-email", "payload": {"a": "\\ud800"}}': 400,
    b'{"job": "send-email", "payload": {"a": "\xff"}}': 400,
    b'{"job": "send-email", "payload": {"a": ' + b"[" * 200 + b"]" * 200 + b"}}": 400,
    b'{"job": "send-email", "payload": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}": 400,
    b'{"job": "send-email", "delaySeconds": -1}': 400,
    b'{"job": "send-email", "at": "yesterday"}': 400,
    b'{"job": "send-email", "at": "2030-01-01T00:00:00"}': 422,
    b'{"job": "send-email", "at": "2030-01-01T00:00:00Z", "delaySeconds": 5}': 422,
    b'{"job": "send-email", "priority": "urgent"}': 400,
    b'{"job": "send-email", "concurrencyPolicy": "wait"}': 422,
    b'{"job": "no such job"}': 422,
    b'{"job": "nothing"}': 422,
    b'{"job": "send-email", "id": "a.b"}': 422,
}


@pytest.mark.parametrize("number", range(len(BODIES)))
async def test_a_body_that_cannot_be_used(stand: Stand, number: int) -> None:
    body, status = list(BODIES.items())[number]
    answer = await stand.http.post("jobs", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert answer.json()["detail"]


async def test_a_body_that_is_too_large(stand: Stand) -> None:
    body = json.dumps({"job": JOB, "payload": {"a": "x" * 2_000_000}})
    answer = await stand.http.post("jobs", content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 413, "too-large")


async def test_a_body_of_another_kind(stand: Stand) -> None:
    answer = await stand.http.post("jobs", data={"job": JOB})
    assert_problem(answer, 415, "unsupported-media-type")


async def test_a_problem_points_at_the_field(stand: Stand) -> None:
    answer = await stand.http.post("jobs", json={"job": JOB, "timeoutSeconds": -3})
    problem = assert_problem(answer, 400, "invalid-request")
    assert problem["errors"][0]["pointer"] == "#/timeoutSeconds"
    refused = await stand.http.post("jobs", json={"job": JOB, "concurrencyKey": ""})
    assert assert_problem(refused, 422, "invalid-input")["errors"][0]["pointer"] == "#/concurrencyKey"


async def test_a_parameter_that_nobody_reads_is_refused(stand: Stand) -> None:
    problem = assert_problem(await stand.http.get("queues?nmaespace=x"), 400, "invalid-parameter")
    assert problem["errors"] == [{"detail": "there is no such parameter", "parameter": "nmaespace"}]
    assert_problem(await stand.http.get(f"queues?namespace={stand.namespace}&namespace=b"), 400, "invalid-parameter")
    assert_problem(await stand.http.get("queues?namespace=A.B"), 400, "invalid-parameter")
    assert_problem(await stand.http.get("queues?namespace=other"), 404, "namespace-not-served")
    job = await stand.create()
    for query in ("limit=0", "limit=x", "after=-1", "kind=other", "limit=" + "9" * 400):
        assert_problem(await stand.http.get(f"jobs/{job['id']}/logs?{query}"), 400, "invalid-parameter")


async def test_every_answer_has_its_id_and_the_headers_that_keep_pages_safe(stand: Stand) -> None:
    for answer in (await stand.http.get("server"), await stand.http.get("nothing"), await stand.http.post("jobs")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-request-id"]
        assert "server" not in answer.headers
    given = await stand.http.get("server", headers={"X-Request-Id": "my-own-request-1"})
    assert given.headers["x-request-id"] == "my-own-request-1"


async def test_a_page_of_another_site_changes_nothing(stand: Stand) -> None:
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        answer = await stand.http.post("jobs", json={"job": JOB}, headers=headers)
        assert_problem(answer, 403, "foreign-origin")
    rebound = await stand.http.get("server", headers={"Host": "evil.example"})
    assert_problem(rebound, 403, "foreign-origin")
