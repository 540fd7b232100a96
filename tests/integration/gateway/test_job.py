"""One job over HTTP: enqueued, asked for, acted on."""

from __future__ import annotations

import pytest

from support.gateway import JOB, Stand

pytestmark = pytest.mark.integration


async def test_a_job_that_was_created_is_there_with_its_history_and_its_user(stand: Stand) -> None:
    created = await stand.http.post("jobs", json={"job": JOB, "payload": {"to": "a"}, "labels": {"team": "x"}})
    assert created.status_code == 201
    got = await stand.http.get(created.headers["Location"].removeprefix("/api/v1/"))
    body = got.json()
    assert body == created.json()
    assert (body["state"], body["user"], body["labels"]) == ("queued", "local", {"team": "x"})
    assert [one["by"] for one in body["history"]] == ["local"]
    assert got.headers["ETag"] == f'"{body["seq"]}"'
    assert "payload" not in body


async def test_what_is_known_already_is_not_sent_again(stand: Stand) -> None:
    job = await stand.create()
    answer = await stand.http.get(f"jobs/{job['id']}", headers={"If-None-Match": f'"{job["seq"]}"'})
    assert (answer.status_code, answer.content) == (304, b"")


async def test_the_payload_is_what_was_given(stand: Stand) -> None:
    job = await stand.create(payload={"to": ["a", {"b": 1.5}]})
    answer = await stand.http.get(f"jobs/{job['id']}/payload")
    assert answer.json() == {"id": job["id"], "payload": {"to": ["a", {"b": 1.5}]}}


async def test_a_large_payload_is_fetched_from_where_it_lies(stand: Stand) -> None:
    job = await stand.create(payload={"text": "x" * 600_000})
    answer = await stand.http.get(f"jobs/{job['id']}/payload")
    assert answer.json()["payload"] == {"text": "x" * 600_000}


async def test_a_job_that_is_not_there_is_a_problem(stand: Stand) -> None:
    for path in ("nothing", "nothing/history", "nothing/payload", "nothing/result", "nothing/logs"):
        answer = await stand.http.get(f"jobs/{path}")
        assert answer.status_code == 404
        assert answer.json()["type"] == "https://jetmill.dev/problems/job-not-found"
    for action in ("cancel", "retry", "discard"):
        assert (await stand.http.post(f"jobs/nothing/{action}")).status_code == 404


async def test_a_job_is_cancelled_and_cancelled_again_with_the_same_answer(stand: Stand) -> None:
    job = await stand.create()
    first = await stand.http.post(f"jobs/{job['id']}/cancel")
    again = await stand.http.post(f"jobs/{job['id']}/cancel")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["state"] == "cancelled"
    assert (first.json()["seq"], first.json()["by"]) == (again.json()["seq"], "local")


async def test_a_finished_job_is_retried(stand: Stand) -> None:
    job = await stand.create()
    await stand.http.post(f"jobs/{job['id']}/cancel")
    answer = await stand.http.post(f"jobs/{job['id']}/retry")
    assert (answer.status_code, answer.json()["state"], answer.json()["enqueueing"]) == (202, "queued", 2)


async def test_what_the_state_does_not_allow_is_a_conflict(stand: Stand) -> None:
    job = await stand.create()
    for action in ("retry", "discard"):
        answer = await stand.http.post(f"jobs/{job['id']}/{action}")
        assert (answer.status_code, answer.json()["type"]) == (409, "https://jetmill.dev/problems/job-state")


async def test_a_scheduled_job_is_moved(stand: Stand) -> None:
    job = await stand.create(delaySeconds=3600)
    answer = await stand.http.post(f"jobs/{job['id']}/reschedule", json={"at": "2099-01-02T03:04:05Z"})
    assert (answer.status_code, answer.json()["due"]) == (200, "2099-01-02T03:04:05Z")


async def test_the_same_key_again_is_the_same_job(stand: Stand) -> None:
    body, headers = {"job": JOB, "payload": {"to": "a"}}, {"Idempotency-Key": "order-1"}
    first = await stand.http.post("jobs", json=body, headers=headers)
    again = await stand.http.post("jobs", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]


async def test_a_key_that_was_used_for_something_else_is_refused(stand: Stand) -> None:
    headers = {"Idempotency-Key": "order-2"}
    await stand.http.post("jobs", json={"job": JOB, "payload": {"to": "a"}}, headers=headers)
    for other in ({"job": JOB, "payload": {"to": "b"}}, {"job": JOB, "payload": {"to": "a"}, "labels": {"x": "y"}}):
        answer = await stand.http.post("jobs", json=other, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (
            422,
            "https://jetmill.dev/problems/idempotency-key-reused",
        )


async def test_one_bad_item_stops_no_good_one(stand: Stand) -> None:
    items = [{"job": JOB, "id": "good"}, {"job": "unheard-of"}, {"job": JOB, "id": "Bad Id"}, {"job": JOB}]
    answer = await stand.http.post("jobs/bulk", json={"items": items})
    assert answer.status_code == 200
    good, unknown, bad, other = answer.json()["items"]
    assert (good["id"], good["created"], other["created"]) == ("good", True, True)
    assert unknown["problem"]["type"].endswith("/unknown-job")
    assert (bad["problem"]["type"].rpartition("/")[2], bad["index"]) == ("invalid-input", 2)
    assert (await stand.http.get("jobs/good")).json()["user"] == "local"


async def test_a_result_is_refused_until_the_job_is_done_with(stand: Stand) -> None:
    job = await stand.create()
    open_ = await stand.http.get(f"jobs/{job['id']}/result")
    await stand.http.post(f"jobs/{job['id']}/cancel")
    ended = await stand.http.get(f"jobs/{job['id']}/result")
    assert (open_.status_code, open_.json()["type"].rpartition("/")[2]) == (409, "job-not-ended")
    assert (ended.status_code, ended.json()["type"].rpartition("/")[2]) == (409, "job-failed")


async def test_whoever_prefers_to_wait_hears_of_the_end(stand: Stand) -> None:
    job = await stand.create()
    await stand.client.cancel(job["id"])
    answer = await stand.http.get(f"jobs/{job['id']}", headers={"Prefer": "wait=20"})
    assert (answer.json()["state"], answer.headers["Preference-Applied"]) == ("cancelled", "wait=20")


async def test_waiting_ends_without_an_end(stand: Stand) -> None:
    answer = await stand.http.post("jobs", json={"job": JOB}, headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.json()["state"]) == (201, "queued")
    assert answer.headers["Preference-Applied"] == "wait=0"


async def test_log_lines_come_in_pages(stand: Stand) -> None:
    job = await stand.create()
    for number in range(3):
        stand.bus.events.trace(job["id"], "log", b'{"message": "line %d"}' % number)
    await stand.bus.ledger.last_seq()  # what was buffered before is at the server
    first = (await stand.http.get(f"jobs/{job['id']}/logs", params={"limit": 2})).json()
    rest = (await stand.http.get(f"jobs/{job['id']}/logs", params={"after": first["next"]})).json()
    assert [one["data"]["message"] for one in first["items"] + rest["items"]] == ["line 0", "line 1", "line 2"]
    assert "next" not in rest or rest["next"] is None


async def test_queues_and_workers_are_listed(stand: Stand) -> None:
    await stand.create()
    queues = (await stand.http.get("queues")).json()["items"]
    assert [(one["job"], one["ready"], one["suspended"]) for one in queues] == [(JOB, 1, False)]
    assert (await stand.http.get("workers")).json() == {"items": []}
