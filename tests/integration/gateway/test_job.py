"""One job over REST: enqueued, looked at, acted on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.client.declaration import Registry, job
from jetmill.client.settings import ClientSettings
from jetmill.worker import Worker, WorkerSettings
from jetmill.worker.context import JobContext
from jetmill_operator.gateway.web.problem import BASE, MEDIA_TYPE, TYPES
from support.gateway import RunningGateway
from support.nats import NatsServer
from support.wait import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
JOBS = "/api/v1/jobs"


@pytest.fixture
def bus(one_bus: Bus) -> Bus:
    return one_bus


@pytest.fixture
def gateway(one_gateway: RunningGateway) -> RunningGateway:
    return one_gateway


def check_problem(response: Any, slug: str) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    assert response.headers["content-type"] == MEDIA_TYPE, response.text
    assert (body["type"], body["status"]) == (BASE + slug, TYPES[slug][0]), body
    assert response.status_code == body["status"]
    assert body["instance"] == f"urn:jetmill:request:{response.headers['x-request-id']}"
    return body


async def test_a_job_is_enqueued_as_whoever_asks(gateway: RunningGateway, sdk: Client) -> None:
    async with gateway.client("token-of-editor") as client:
        response = await client.post(JOBS, json={"job": "mail", "payload": {"to": "ada"}, "labels": {"team": "a"}})
    body = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"{JOBS}/{body['id']}?namespace=shop"
    status = await sdk.status(body["id"])
    assert (status.user, status.payload, status.labels) == ("editor", {"to": "ada"}, {"team": "a"})
    assert status.history[0].by == "editor"


async def test_the_body_cannot_say_who_asks(gateway: RunningGateway) -> None:
    async with gateway.client("token-of-editor") as client:
        response = await client.post(JOBS, json={"job": "mail", "user": "somebody-else"})
    check_problem(response, "invalid-request")


async def test_what_a_job_says_is_what_the_client_says(gateway: RunningGateway, sdk: Client) -> None:
    handle = await sdk.enqueue("mail", {"to": "ada"}, delay=3600, max_retries=2, priority="high", user="ada")
    async with gateway.client("token-of-admin") as client:
        body = (await client.get(f"{JOBS}/{handle.id}")).json()
        history = (await client.get(f"{JOBS}/{handle.id}/history")).json()["items"]
        payload = (await client.get(f"{JOBS}/{handle.id}/payload")).json()
    assert (body["state"], body["priority"], body["maxRetries"], body["user"]) == ("scheduled", "high", 2, "ada")
    assert "payload" not in body
    assert [one["state"] for one in history] == ["scheduled"]
    assert payload == {"payload": {"to": "ada"}}
    for link in body["links"].values():
        assert link.startswith(f"{JOBS}/{handle.id}")


async def test_an_unchanged_job_is_not_sent_again(gateway: RunningGateway, sdk: Client) -> None:
    handle = await sdk.enqueue("mail")
    async with gateway.client("token-of-viewer") as client:
        etag = (await client.get(f"{JOBS}/{handle.id}")).headers["etag"]
        same = await client.get(f"{JOBS}/{handle.id}", headers={"If-None-Match": etag})
        await sdk.cancel(handle.id)
        other = await client.get(f"{JOBS}/{handle.id}", headers={"If-None-Match": etag})
    assert (same.status_code, same.content) == (304, b"")
    assert (other.status_code, other.json()["state"]) == (200, "cancelled")


async def test_the_same_key_fifty_times_at_once_is_one_job(gateway: RunningGateway) -> None:
    async with gateway.client("token-of-editor", **{"Idempotency-Key": "order-17"}) as client:
        answers = await asyncio.gather(
            *(client.post(JOBS, json={"job": "mail", "payload": {"order": 17}}) for _ in range(50))
        )
    assert {answer.json()["id"] for answer in answers} == {answers[0].json()["id"]}
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]


async def test_the_same_key_with_something_else_is_refused(gateway: RunningGateway) -> None:
    async with gateway.client("token-of-editor", **{"Idempotency-Key": "order-18"}) as client:
        await client.post(JOBS, json={"job": "mail", "payload": {"order": 18}})
        response = await client.post(JOBS, json={"job": "mail", "payload": {"order": 19}})
    check_problem(response, "idempotency-key-reused")


async def test_the_same_key_of_two_people_is_two_jobs(gateway: RunningGateway) -> None:
    ids = set()
    for user in ("editor", "admin"):
        async with gateway.client(f"token-of-{user}", **{"Idempotency-Key": "order-20"}) as client:
            ids.add((await client.post(JOBS, json={"job": "mail"})).json()["id"])
    assert len(ids) == 2


async def test_who_prefers_to_wait_gets_the_result(gateway: RunningGateway, nats: NatsServer) -> None:
    registry = Registry()

    @job(registry=registry)
    async def mail(to: str, ctx: JobContext) -> str:
        ctx.log("writing", to=to)
        return f"sent to {to}"

    connection = ClientSettings(url=nats.url, namespace="shop")
    settings = WorkerSettings(connection=connection, jobs=("mail",), grace_seconds=0.0)
    async with (
        Worker(settings=settings, registry=registry),
        gateway.client("token-of-admin", Prefer="wait=30") as client,
    ):
        created = (await client.post(JOBS, json={"job": "mail", "payload": {"to": "ada"}})).json()
        result = (await client.get(f"{JOBS}/{created['id']}/result")).json()

        async def read_logs() -> list[Any]:
            """Lines come when they come, the result may be quicker."""
            found: list[Any] = (await client.get(f"{JOBS}/{created['id']}/logs")).json()["items"]
            return found

        logs = await eventually(read_logs)
    assert (created["state"], created["hasResult"]) == ("succeeded", True)
    assert [(one["attempt"], one["state"]) for one in created["attempts"]] == [(1, "succeeded")]
    assert result == {"state": "succeeded", "result": "sent to ada"}
    assert [one["data"]["message"] for one in logs] == ["writing"]


async def test_a_wait_ends_when_the_job_does(gateway: RunningGateway, sdk: Client) -> None:
    handle = await sdk.enqueue("mail")
    async with gateway.client("token-of-viewer", Prefer="wait=30") as client:
        waiting = asyncio.create_task(client.get(f"{JOBS}/{handle.id}"))
        await asyncio.sleep(0)
        await sdk.cancel(handle.id)
        response = await waiting
    assert response.json()["state"] == "cancelled"
    assert response.headers["preference-applied"] == "wait=30"


async def test_what_a_person_does_is_in_the_ledger_under_their_name(gateway: RunningGateway, sdk: Client) -> None:
    handle = await sdk.enqueue("mail", delay=3600)
    async with gateway.client("token-of-editor") as client:
        moved = await client.post(f"{JOBS}/{handle.id}/reschedule", json={"delaySeconds": 7200})
        cancelled = await client.post(f"{JOBS}/{handle.id}/cancel")
        again = await client.post(f"{JOBS}/{handle.id}/cancel")
        retried = await client.post(f"{JOBS}/{handle.id}/retry")
        discarded = await client.post(f"{JOBS}/{handle.id}/discard")
    assert [one.status_code for one in (moved, cancelled, again, retried)] == [200, 200, 200, 202]
    assert cancelled.json()["seq"] == again.json()["seq"]
    check_problem(discarded, "job-state")
    history = (await sdk.status(handle.id)).history
    assert [one.state for one in history] == ["scheduled", "scheduled", "cancelled", "queued"]
    assert {one.by for one in history[1:]} == {"editor"}
    assert retried.headers["x-jetmill-seq"] == str(history[-1].seq)


async def test_many_jobs_are_accepted_or_refused_one_by_one(gateway: RunningGateway, sdk: Client) -> None:
    jobs = [{"job": "mail", "payload": {"n": n}} for n in range(20)]
    jobs.insert(5, {"job": "no-such-job"})
    jobs.insert(9, {"job": "mail", "id": "Not A Label"})
    async with gateway.client("token-of-editor") as client:
        response = await client.post(f"{JOBS}/bulk", json={"jobs": jobs})
    items = response.json()["items"]
    assert [one["index"] for one in items] == list(range(22))
    problems = {one["index"]: one["problem"]["type"].removeprefix(BASE) for one in items if "problem" in one}
    assert problems == {5: "unknown-job", 9: "invalid-input"}
    assert (await sdk.status(items[0]["id"])).user == "editor"


async def test_a_job_that_has_no_result_says_why(gateway: RunningGateway, sdk: Client) -> None:
    handle = await sdk.enqueue("mail")
    async with gateway.client("token-of-admin") as client:
        early = await client.get(f"{JOBS}/{handle.id}/result")
        await sdk.cancel(handle.id)
        late = await client.get(f"{JOBS}/{handle.id}/result")
    check_problem(early, "job-state")
    check_problem(late, "job-failed")


async def test_an_unknown_job_is_named_with_those_that_are_known(gateway: RunningGateway) -> None:
    async with gateway.client("token-of-editor") as client:
        body = check_problem(await client.post(JOBS, json={"job": "nope"}), "unknown-job")
    assert "mail, report" in body["detail"]
    assert body["errors"][0]["pointer"] == "#/job"


async def test_the_ledger_is_sound_after_all_that(gateway: RunningGateway, sdk: Client) -> None:
    async with gateway.client("token-of-editor") as client:
        ids = [(await client.post(JOBS, json={"job": "mail"})).json()["id"] for _ in range(5)]
        await asyncio.gather(*(client.post(f"{JOBS}/{one}/cancel") for one in ids for _ in range(3)))
        await asyncio.gather(*(client.post(f"{JOBS}/{one}/retry") for one in ids for _ in range(3)))
    for one in ids:
        assert [step.state for step in (await sdk.status(one)).history][:3] == ["queued", "cancelled", "queued"]


@pytest.mark.parametrize("path", ["workers", "queues", "server", "access"])
async def test_what_there_is_besides_jobs_is_shown(gateway: RunningGateway, sdk: Client, path: str) -> None:
    await sdk.enqueue("report")
    bus = await sdk.connect()

    async def is_ready() -> bool:
        return (await bus.queue.depth("report")).ready >= 1

    await eventually(is_ready)
    async with gateway.client("token-of-viewer") as client:
        body = (await client.get(f"/api/v1/{path}")).json()
    match path:
        case "queues":
            assert {one["job"] for one in body["items"]} >= {"mail", "report"}
            assert next(one for one in body["items"] if one["job"] == "report")["ready"] >= 1
        case "workers":
            assert body["items"] == []
        case "server":
            assert body["namespaces"] == ["shop"]
        case _:
            allowed = {f"{one['verb']} {one['resource']}" for one in body["rights"] if one["allowed"]}
            assert "get jobs/runs" in allowed
            assert "create jobs/cancel" not in allowed
