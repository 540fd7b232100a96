"""Lists over HTTP: what was written is found by every filter, in pages, counted and grouped."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from factories import make_error, make_record
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from jetmill.ledger.draft import Submission
from jetmill.ledger.submit import submit
from jetmill.protocol.codec import encode
from jetmill.protocol.record import Call
from jetmill.protocol.state import Reason, State
from support.gateway import declare, serve
from support.nats import NatsServer
from support.wait import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
async def own_bus(nats: NatsServer) -> AsyncIterator[Bus]:
    """A namespace of its own: lists are of everything that there is."""
    bus = await connect(BusOptions(url=nats.url, namespace=f"l-{secrets.token_hex(6)}"))
    await declare(bus, "mail", "report")
    yield bus
    await bus.link.close()


class Asker:
    """Asks for lists that include all that was written."""

    def __init__(self, http: httpx.AsyncClient, bus: Bus) -> None:
        self.http = http
        self.bus = bus

    async def get(self, path: str, /, **params: Any) -> httpx.Response:
        return await self.http.get(f"/api/v1/{path}", params={"after": await self.bus.ledger.last_seq(), **params})

    async def read(self, path: str, /, **params: Any) -> dict[str, Any]:
        answer = await self.get(path, **params)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def ids(self, **params: Any) -> list[str]:
        return [one["id"] for one in (await self.read("jobs", **params))["items"]]

    async def fail(self, job_id: str, message: str) -> None:
        """Let a job fail as a worker would have it."""
        last = await self.bus.ledger.read(job_id)
        assert last is not None
        running = make_record(State.RUNNING, job=last.record.job, payload=None, worker="w-1", lease="l")
        seq = await self.bus.ledger.append(job_id, encode(running), expected=last.seq)
        error = make_error(type="ValueError", message=message)
        ended = make_record(State.FAILED, job=last.record.job, payload=None, reason=Reason.EXHAUSTED, error=error)
        await self.bus.ledger.append(job_id, encode(ended), expected=seq)


@pytest.fixture
async def asker(nats: NatsServer, own_bus: Bus) -> AsyncIterator[Asker]:
    namespace = own_bus.subjects.namespace
    async with serve(nats.url, None, namespaces=(namespace,), rate_burst=10_000) as running, running.client() as http:
        yield Asker(http, own_bus)


async def put(bus: Bus, job_id: str, job: str = "mail", **call: Any) -> None:
    await submit(bus, Submission(job=job, payload=b"{}", id=job_id, call=Call(**call)), by="test")


async def test_what_was_written_is_in_the_next_list_that_asks_for_it(asker: Asker) -> None:
    for number in range(3):
        created = await asker.http.post("/api/v1/jobs", json={"job": "mail", "id": f"job-{number}"})
        body = await asker.http.get("/api/v1/jobs", params={"after": created.json()["seq"]})
        assert body.json()["items"][0]["id"] == f"job-{number}"
        assert body.json()["seq"] >= created.json()["seq"]
        assert float(body.headers["x-jetmill-lag"]) >= 0


async def test_a_row_says_what_the_record_says(asker: Asker) -> None:
    await put(asker.bus, "one", user="ada", labels={"team": "x"})
    await asker.fail("one", "no such mailbox")
    row = (await asker.read("jobs"))["items"][0]
    times = {name: row.pop(name) for name in ("created", "updated", "started", "ended")}
    assert all(value.endswith("Z") for value in times.values())
    assert row == {
        "id": "one",
        "namespace": asker.bus.subjects.namespace,
        "job": "mail",
        "state": "failed",
        "reason": "exhausted",
        "enqueueing": 1,
        "attempt": 1,
        "crashes": 0,
        "priority": "normal",
        "user": "ada",
        "labels": {"team": "x"},
        "worker": "w-1",
        "error": {"type": "ValueError", "message": "no such mailbox"},
        "seq": row["seq"],
    }


async def test_each_filter_narrows_and_all_hold_at_once(asker: Asker) -> None:
    bus = asker.bus
    await put(bus, "a", user="ada", labels={"team": "x", "size": "big"})
    await put(bus, "b", job="report", user="bob", labels={"team": "x"})
    await put(bus, "c", user="bob")
    await asker.fail("c", "Disk is full")
    await Client(bus=bus, by="test").cancel("b")
    assert await asker.ids() == ["c", "b", "a"]
    assert await asker.ids(sort="created") == ["a", "b", "c"]
    assert await asker.ids(job="report") == ["b"]
    assert await asker.ids(job=["mail", "report"], sort="created") == ["a", "b", "c"]
    assert await asker.ids(job="mail,report", state="open") == ["a"]
    assert await asker.ids(state=["failed", "cancelled"], sort="-updated") == ["b", "c"]
    assert await asker.ids(reason="exhausted") == ["c"]
    assert await asker.ids(label="team=x") == ["b", "a"]
    assert await asker.ids(label=["team=x", "size=big"]) == ["a"]
    assert await asker.ids(user="bob", job="mail") == ["c"]
    assert await asker.ids(error="disk is") == ["c"]
    middle = (await asker.read("jobs", job="report"))["items"][0]["created"]
    assert await asker.ids(createdAfter=middle) == ["c", "b"]
    assert await asker.ids(createdBefore=middle) == ["a"]
    assert await asker.ids(updatedAfter="2099-01-01T00:00:00Z") == []
    assert (await asker.read("count", user="bob"))["count"] == 2


async def test_pages_follow_each_other_without_gap_or_repeat(asker: Asker) -> None:
    for number in range(7):
        await put(asker.bus, f"job-{number}")
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await asker.read("jobs", limit=3, sort="created", **({"cursor": cursor} if cursor else {}))
        found += [one["id"] for one in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert found == [f"job-{number}" for number in range(7)]


async def test_only_the_fields_that_are_wanted_come(asker: Asker) -> None:
    await put(asker.bus, "one")
    page = await asker.read("jobs", fields="state,job")
    assert page["items"] == [{"id": "one", "state": "queued", "job": "mail"}]


async def test_groups_and_dead_letters_are_counted(asker: Asker) -> None:
    for number, message in enumerate(("disk 1 is full", "disk 2 is full", "no route")):
        await put(asker.bus, f"job-{number}")
        await asker.fail(f"job-{number}", message)
    await put(asker.bus, "open", job="report")
    by_state = await asker.read("groups", by="state")
    assert {one["key"]: one["count"] for one in by_state["items"]} == {"failed": 3, "queued": 1}
    assert by_state["count"] == 4
    dead = await asker.read("deadletters")
    assert dead["count"] == 3
    assert [one["count"] for one in dead["items"]] == sorted((one["count"] for one in dead["items"]), reverse=True)
    assert sum(one["count"] for one in dead["items"]) == 3
    assert (await asker.read("deadletters", error="no route"))["count"] == 1
    for group in dead["items"]:
        assert (await asker.read("count", state="failed", errorGroup=group["key"]))["count"] == group["count"]
    assert (await asker.get("deadletters", state="queued")).status_code == 400


async def test_statistics_say_what_is_and_what_happened(asker: Asker) -> None:
    await put(asker.bus, "a")
    await put(asker.bus, "b", job="report")
    await asker.fail("a", "no")
    found = await asker.read("stats", step=3600)
    assert found["states"] == {"failed": 1, "queued": 1}
    assert sum(one["enqueued"] for one in found["items"]) == 2
    assert sum(one["failed"] for one in found["items"]) == 1
    assert (await asker.read("stats", job="report"))["states"] == {"queued": 1}


BAD = [
    "jobs?cursor=garbage",
    "jobs?cursor=" + "a" * 5_000,
    "jobs?cursor=%00%ff",
    "jobs?limit=0",
    "jobs?limit=201",
    "jobs?limit=x",
    "jobs?sort=name",
    "jobs?state=unheard",
    "jobs?reason=unheard",
    "jobs?job=A.B",
    "jobs?job=*",
    "jobs?label=x",
    "jobs?label=a=1&label=a=2",
    "jobs?error=ab",
    "jobs?createdAfter=yesterday",
    "jobs?createdAfter=2026-01-01T00:00:00",
    "jobs?fields=payload",
    "jobs?after=-1",
    "jobs?after=99999999999999999999",
    "jobs?sate=failed",
    "jobs?sort=created&sort=-created",
    "jobs?job=" + ",".join(f"j{number}" for number in range(60)),
    "groups?by=worker",
    "stats?step=30",
    "stats?step=90",
    "stats?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
    "stats?since=2000-01-01T00:00:00Z&step=60",
    "stats?until=0001-01-01T00:00:00Z",
    "count?cursor=a",
]


async def test_what_cannot_be_asked_for_is_said_and_never_a_defect(asker: Asker) -> None:
    for path in BAD:
        answer = await asker.http.get(f"/api/v1/{path}")
        assert answer.status_code == 400, (path, answer.status_code, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"].endswith("/invalid-parameter"), (path, answer.text)


async def test_a_cursor_is_good_for_its_own_list_only(asker: Asker) -> None:
    for number in range(3):
        await put(asker.bus, f"job-{number}")
    cursor = (await asker.read("jobs", limit=1))["nextCursor"]
    assert (await asker.get("jobs", limit=1, cursor=cursor, sort="created")).status_code == 400
    assert (await asker.get("jobs", limit=1, cursor=cursor, job="mail")).status_code == 400
    assert (await asker.get("jobs", limit=1, cursor=cursor)).status_code == 200


async def test_a_sequence_that_the_ledger_never_gave_is_waited_for_by_nobody(asker: Asker) -> None:
    answer = await asker.http.get("/api/v1/jobs", params={"after": 10**9})
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (400, "invalid-parameter")
    assert answer.json()["errors"][0]["parameter"] == "after"


async def test_a_number_is_no_time(asker: Asker) -> None:
    for name in ("createdAfter", "createdBefore", "updatedAfter", "updatedBefore"):
        answer = await asker.http.get("/api/v1/jobs", params={name: "0.5"})
        assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (400, name)


async def test_a_gateway_is_ready_once_its_lists_are(asker: Asker) -> None:
    async def is_ready() -> bool:
        return (await asker.http.get("/readyz")).text == "ok\n"

    await eventually(is_ready)


async def test_a_queue_says_how_long_its_jobs_wait_and_run(asker: Asker, own_bus: Bus) -> None:
    await put(own_bus, "first")
    await asker.fail("first", "no such order")
    await put(own_bus, "second")
    assert (await asker.read("count", job="mail"))["count"] == 2
    body = (await asker.http.get("/api/v1/queues", params={"window": 3600})).json()
    mail, report = body["items"]
    assert body["windowSeconds"] == 3600
    assert (mail["job"], mail["ready"], mail["wait"]["count"], mail["run"]["count"]) == ("mail", 2, 1, 1)
    assert 0 < mail["wait"]["p50"] <= mail["wait"]["p95"] <= mail["wait"]["p99"]
    assert mail["oldestSeconds"] >= 0
    assert {"oldestSeconds", "wait", "run"}.isdisjoint(report), "nothing waits, and nothing was measured"
    assert (await asker.http.get("/api/v1/queues", params={"window": 5})).status_code == 400
