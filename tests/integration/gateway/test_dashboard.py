"""The dashboard over HTTP: what is kept for how long, and what a browser is told that it may do."""

from __future__ import annotations

import re

import pytest

from support.gateway import RunningGateway

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def gateway(one_gateway: RunningGateway) -> RunningGateway:
    return one_gateway


async def test_the_document_is_asked_for_anew_and_may_run_nothing_but_its_own_scripts(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        answer = await client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-cache"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
    assert policy["frame-ancestors"] == "'none'"


async def test_what_carries_a_hash_is_kept_for_ever_and_comes_packed(gateway: RunningGateway) -> None:
    async with gateway.client() as client:
        document = (await client.get("/")).text
        name = re.findall(r'src="\./(assets/[^"]+\.js)"', document)[0]
        packed = await client.get(f"/{name}", headers={"Accept-Encoding": "gzip"})
        plain = await client.get(f"/{name}", headers={"Accept-Encoding": "identity"})
        again = await client.get(f"/{name}", headers={"If-None-Match": packed.headers["etag"]})
    assert packed.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert packed.text == plain.text
    assert "content-encoding" not in plain.headers
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/jobs?state=failed&label=tenant%3Dacme", "/jobs/0199f3c2", "/declarations/mail", "/dead"]
)
async def test_an_address_of_the_page_gives_the_document_with_a_base_that_leads_back(
    gateway: RunningGateway, path: str
) -> None:
    async with gateway.client() as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    depth = path.partition("?")[0].count("/") - 1
    assert f'<base href="{"../" * depth or "./"}" />' in answer.text


@pytest.mark.parametrize(
    "path", ["/assets/none.js", "/assets/..%2Findex.html", "/assets/%2e%2e/%2e%2e/app.py", "/nowhere"]
)
async def test_nothing_else_is_served(gateway: RunningGateway, path: str) -> None:
    async with gateway.client() as client:
        answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")
