"""What clients send that is wrong: always a problem of the right kind, never a 500, and nothing of it in the ledger."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jetmill_operator.gateway.web.app import HANDLERS
from jetmill_operator.gateway.web.problem import BASE, MEDIA_TYPE, TYPES
from support.gateway import RunningGateway

pytestmark = pytest.mark.asyncio(loop_scope="module")
JOBS = "/api/v1/jobs"
DEEP = 50_000

BODIES: list[tuple[str, bytes, int]] = [
    ("nothing", b"", 400),
    ("not JSON", b"{'job': 'mail'}", 400),
    ("not UTF-8", b'{"job": "\xff\xfe"}', 400),
    ("a lone surrogate", b'{"job": "mail", "payload": {"a": "\\ud800"}}', 400),
    ("deep lists", b'{"job":"mail","payload":{"a":' + b"[" * DEEP + b"]" * DEEP + b"}}", 400),
    ("deep objects", b'{"a":' * DEEP + b"1" + b"}" * DEEP, 400),
    ("101 deep", b'{"job":"mail","payload":{"a":' + b"[" * 101 + b"]" * 101 + b"}}", 400),
    ("the same name twice", b'{"job": "mail", "job": "report"}', 400),
    ("the same name twice, far within", b'{"job": "mail", "payload": {"a": {"b": 1, "b": 2}}}', 400),
    ("an integer of 400 digits", b'{"job":"mail","payload":{"a":' + b"9" * 400 + b"}}", 400),
    ("an integer of 5,000 digits", b'{"job":"mail","payload":{"a":' + b"9" * 5_000 + b"}}", 400),
    ("a float that no float holds", b'{"job":"mail","payload":{"a":1e999}}', 400),
    ("NaN", b'{"job":"mail","payload":{"a":NaN}}', 400),
    ("a list", b"[]", 400),
    ("null", b"null", 400),
    ("an unknown field", b'{"job": "mail", "que": 1}', 400),
    ("a wrong type", b'{"job": 5}', 400),
    ("a payload that is a list", b'{"job": "mail", "payload": []}', 400),
    ("a time without a zone", b'{"job": "mail", "at": "2026-01-01T00:00:00"}', 400),
    ("a delay below 0", b'{"job": "mail", "delaySeconds": -1}', 400),
    ("a huge delay", b'{"job": "mail", "delaySeconds": 1e300}', 400),
    ("the last moment", b'{"job": "mail", "at": "9999-12-31T23:59:59Z", "delaySeconds": 1}', 422),
    ("a name that is a wildcard", b'{"job": "*"}', 422),
    ("a name with a dot", b'{"job": "mail.>"}', 422),
    ("a name with a line feed", b'{"job": "mail\\nPUB x 1"}', 422),
    ("an id that is a wildcard", b'{"job": "mail", "id": ">"}', 422),
    ("labels that are no texts", b'{"job": "mail", "labels": {"a": 1}}', 400),
    ("an empty key", b'{"job": "mail", "concurrencyKey": ""}', 422),
    ("a policy without a key", b'{"job": "mail", "concurrencyPolicy": "skip"}', 422),
    ("a policy that is none", b'{"job": "mail", "concurrencyPolicy": "never"}', 400),
    ("more than 1 MiB", b'{"job":"mail","payload":{"a":"' + b"x" * 1_100_000 + b'"}}', 413),
]


def check(response: Any) -> str:
    """That it is a problem of a known type; gives its slug."""
    assert response.status_code != 500, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    body = response.json()
    slug = str(body["type"]).removeprefix(BASE)
    assert TYPES[slug] == (response.status_code, body["title"])
    assert body["status"] == response.status_code
    return slug


@pytest.fixture
def local(one_local: RunningGateway) -> RunningGateway:
    return one_local


@pytest_asyncio.fixture(loop_scope="module")
async def client(local: RunningGateway) -> Any:
    async with local.client(**{"Content-Type": "application/json"}) as client:
        yield client


@pytest.mark.parametrize(("body", "status"), [pytest.param(*one[1:], id=one[0]) for one in BODIES])
async def test_a_body_that_cannot_be_meant_is_refused(client: Any, body: bytes, status: int) -> None:
    response = await client.post(JOBS, content=body)
    check(response)
    assert response.status_code == status, response.text


async def test_what_is_wrong_is_pointed_at(client: Any) -> None:
    body = (await client.post(JOBS, json={"job": "mail", "maxRetries": "many"})).json()
    assert body["errors"][0]["pointer"] == "#/maxRetries"
    body = (await client.post(f"{JOBS}/bulk", json={"jobs": [{"job": "mail"}, {"job": 1}]})).json()
    assert body["errors"][0]["pointer"] == "#/jobs/1/job"


async def test_too_many_in_bulk_are_refused(client: Any) -> None:
    assert check(await client.post(f"{JOBS}/bulk", json={"jobs": [{"job": "mail"}] * 1_001})) == "invalid-request"
    assert check(await client.post(f"{JOBS}/bulk", json={"jobs": []})) == "invalid-request"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_body_that_is_no_json_is_not_read(client: Any, kind: str) -> None:
    response = await client.post(JOBS, content=b'{"job": "mail"}', headers={"Content-Type": kind})
    assert check(response) == "unsupported-media-type"


@pytest.mark.parametrize(
    "query", ["namspace=shop", "namespace=shop&namespace=office", "namespace=*", "namespace=a.b", "x"]
)
async def test_a_query_that_means_nothing_is_refused(client: Any, query: str) -> None:
    assert check(await client.get(f"{JOBS}/some-id?{query}")) == "invalid-parameter"


@pytest.mark.parametrize("path", ["/api", "/api/v1", "/api/v2/jobs", "/api/v1/jobs/a/b/c", "/..%2f..%2fetc", "/%00"])
async def test_an_address_without_anything_is_a_problem_too(client: Any, path: str) -> None:
    assert check(await client.get(path)) in ("not-found", "job-not-found", "method-not-allowed")


@pytest.mark.parametrize("name", ["*", ">", "a.b", "a b", "ä", "x" * 64, "%0d%0a", "..", "-"])
async def test_an_id_that_can_be_none_is_a_job_that_is_not_there(client: Any, name: str) -> None:
    assert check(await client.get(f"{JOBS}/{quote(name, safe='')}")) in (
        "job-not-found",
        "not-found",
        "method-not-allowed",
    )


async def test_headers_that_are_garbage_are_no_matter(local: RunningGateway) -> None:
    for name, value in [
        ("Prefer", "wait=x"),
        ("Prefer", "wait=-" + "9" * 500),
        ("If-None-Match", '"' * 99),
        ("X-Request-Id", "a b\tc"),
        ("Idempotency-Key", "k" * 300),
        ("Cookie", "a=b; ;;; =x"),
        ("Authorization", "Bearer"),
    ]:
        async with local.client(**{name: value}) as client:
            response = (
                await client.post(JOBS, json={"job": "report"})
                if name == "Idempotency-Key"
                else await client.get(f"{JOBS}/x")
            )
        check(response)


async def test_bytes_that_are_no_http_close_the_connection_alone(local: RunningGateway) -> None:
    address = urlsplit(local.url)
    for junk in (
        b"\x00" * 64,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(address.hostname, address.port, family=socket.AF_INET)
        writer.write(junk)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        await writer.wait_closed()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    async with local.client() as client:
        assert (await client.get("/livez")).status_code == 200


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "job",
        "payload",
        "id",
        "priority",
        "delaySeconds",
        "at",
        "maxRetries",
        "timeoutSeconds",
        "labels",
        "startBy",
        "jobs",
    ]
)


PATHS = sorted((method, path) for one in HANDLERS for path in one.paths for method in getattr(one, "http_methods", ()))


async def test_whatever_is_sent_the_answer_is_never_a_500(local: RunningGateway) -> None:
    """In a thread, as Hypothesis wants it; the gateway serves on this loop meanwhile."""

    @settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(
        route=st.sampled_from(PATHS),
        body=VALUES | st.dictionaries(FIELDS, VALUES, max_size=4),
        query=st.dictionaries(st.sampled_from(["namespace", "kind", "x"]), st.text(max_size=8), max_size=2),
    )
    def send(route: tuple[str, str], body: Any, query: dict[str, str]) -> None:
        method, path = route
        content = json.dumps(body).encode() if method == "POST" else None
        response = http.request(method, path.replace("{job_id:str}", "some-id"), content=content, params=query)
        if response.status_code >= 400:
            check(response)

    headers = {"Content-Type": "application/json"}
    with httpx.Client(base_url=local.url, headers=headers, timeout=60.0, trust_env=False) as http:
        await asyncio.to_thread(send)
