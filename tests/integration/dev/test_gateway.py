"""`jetmill dev` serves jobs over HTTP as well."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.dev import Dev
from support.nats import find_free_port
from support.wait import PROCESS_SECONDS, eventually

pytestmark = pytest.mark.integration
Start = Callable[..., Awaitable[Dev]]


async def enqueue(http: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    """The job, once its Job is known."""

    async def post() -> httpx.Response | None:
        answer = await http.post("jobs", json=body, headers={"Prefer": "wait=30"})
        return answer if answer.status_code == 201 else None

    job: dict[str, Any] = (await eventually(post, seconds=PROCESS_SECONDS, what="the Job to be known")).json()
    return job


async def test_a_job_that_was_enqueued_over_http_runs_and_is_in_the_list(start: Start) -> None:
    dev = await start()
    url = (await dev.says(r"gateway (http://127\.0\.0\.1:\d+)"))[1]
    async with httpx.AsyncClient(base_url=f"{url}/api/v1/", trust_env=False, timeout=60.0) as http:
        body: dict[str, Any] = {"job": "greet", "payload": {"name": "Ada"}}
        job = await enqueue(http, body)

        async def result() -> Any:
            answer = await http.get(f"jobs/{job['id']}/result", headers={"Prefer": "wait=30"})
            return answer.json().get("result")

        assert await eventually(result, seconds=PROCESS_SECONDS, what="the result") == "Hello, Ada!"
        seq = (await http.get(f"jobs/{job['id']}")).json()["seq"]
        found = (await http.get("jobs", params={"after": seq, "state": "succeeded"})).json()
        assert [one["id"] for one in found["items"]] == [job["id"]]
        declared = (await http.get("declarations/jobs")).json()["items"]
        assert [(one["name"], one["spec"]["handler"]) for one in declared] == [("greet", "tasks:greet")]
        assert (await http.get("docs")).status_code == 200


async def test_a_job_may_be_declared_over_http_and_what_a_file_declares_is_edited_there(start: Start) -> None:
    dev = await start()
    url = (await dev.says(r"gateway (http://127\.0\.0\.1:\d+)"))[1]
    async with httpx.AsyncClient(base_url=f"{url}/api/v1/", trust_env=False, timeout=60.0) as http:
        made = await http.post("declarations/jobs", json={"name": "greet-too", "spec": {"handler": "tasks:greet"}})
        assert made.status_code == 201, made.text
        body: dict[str, Any] = {"job": "greet-too", "payload": {"name": "Ada"}}
        job = await enqueue(http, body)

        async def succeeded() -> bool:
            answer = await http.get(f"jobs/{job['id']}", headers={"Prefer": "wait=30"})
            return bool(answer.json()["state"] == "succeeded")

        await eventually(succeeded, seconds=PROCESS_SECONDS)
        assert (await http.delete("declarations/jobs/greet-too")).status_code == 202
        refused = await http.delete("declarations/jobs/greet")
        assert refused.status_code == 409
        assert "greet.yaml:1" in refused.json()["detail"]


async def test_a_port_that_was_asked_for_is_the_port(start: Start) -> None:
    port = find_free_port()
    dev = await start("--gateway-port", str(port))
    await dev.says(rf"gateway http://127\.0\.0\.1:{port} ")


async def test_a_port_that_was_asked_for_and_is_taken_is_said(start: Start, folder: Path) -> None:
    dev = await start("--gateway-port", "0")
    taken = (await dev.says(r"gateway http://127\.0\.0\.1:(\d+) "))[1]
    other = await start("--gateway-port", taken, "--data", str(folder / "other"))
    await other.says(rf"cannot listen on 127\.0\.0\.1 port {taken}")
