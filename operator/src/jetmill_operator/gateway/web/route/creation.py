"""Enqueueing, one job or many, as whoever asks: they are its `user`, and records say that they wrote it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, post
from litestar.handlers import BaseRouteHandler
from litestar.params import HeaderParameter, JSONBody

from jetmill.client.declaration import Registry
from jetmill.client.option import CallOptions
from jetmill.client.status import JobStatus
from jetmill.client.submission import Item, find_target
from jetmill.errors import InputError, JetmillError
from jetmill.ledger.submit import Submitted
from jetmill.protocol.identity import id_from_key
from jetmill_operator.gateway.access.right import CREATE
from jetmill_operator.gateway.web.guard import caller_of, permit_of
from jetmill_operator.gateway.web.link import job_address
from jetmill_operator.gateway.web.model import CreatedManyView, CreatedView, CreateJob, CreateJobs, JobView
from jetmill_operator.gateway.web.prefer import Prefer, wait_for_end
from jetmill_operator.gateway.web.problem import Fault, ProblemError, explain
from jetmill_operator.gateway.web.route.job import answer_job
from jetmill_operator.gateway.web.served import Served, served_for

MAX_KEY_CHARACTERS = 255
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="The same key again from the same user is the same job, for as long as it is kept",
    ),
]


@post("/jobs", opt={"right": CREATE}, tags=["Jobs"], operation_id="createJob")
async def create_job(
    request: Request[Any, Any, Any],
    data: JSONBody[CreateJob],
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response[JobView]:
    """Enqueue a job: 201, or 200 if a job of that id (or key) is there already."""
    served, user = await _admit(request, [data.job])
    job_id = _decide_id(data, idempotency_key, user=user)
    options = build_options(data, user=user, job_id=job_id)
    target = find_target(data.job, Registry())
    submitted = await served.submitter(user).submit(target, target.encode(data.payload), options)
    if not submitted.created and idempotency_key is not None:
        await _check_same(served, submitted.id, data)
    headers = await wait_for_end(served.reader, submitted.id, prefer)
    headers["Location"] = f"/api/v1/{job_address(submitted.id, namespace=served.namespace)}"
    status = await served.reader.status(submitted.id)
    return answer_job(served, status, headers=headers, code=201 if submitted.created else 200)


@post("/jobs/bulk", opt={"right": CREATE}, tags=["Jobs"], operation_id="createJobs", status_code=200)
async def create_jobs(request: Request[Any, Any, Any], data: JSONBody[CreateJobs]) -> CreatedManyView:
    """Enqueue up to 1,000 jobs in one go: one result for each, in order. One that is refused stops no other."""
    served, user = await _admit(request, [item.job for item in data.items])
    results: dict[int, Submitted | JetmillError] = {}
    for job in dict.fromkeys(item.job for item in data.items):
        calls: list[tuple[int, Item]] = []
        for index, item in enumerate(data.items):
            if item.job != job:
                continue
            try:
                calls.append((index, build_item(item, user=user)))
            except InputError as err:
                results[index] = err
        results |= await _submit_some(served, user, job, calls)
    return CreatedManyView(items=[_view_result(index, results[index]) for index in range(len(data.items))])


async def _submit_some(
    served: Served, user: str, job: str, calls: list[tuple[int, Item]]
) -> dict[int, Submitted | JetmillError]:
    if not calls:
        return {}
    try:
        target = find_target(job, Registry())
        answers = await served.submitter(user).submit_many(target, [item for _, item in calls], CallOptions())
    except InputError as err:  # there is no such Job: none of these, and all of the others
        return {index: err for index, _ in calls}
    return {index: answer for (index, _), answer in zip(calls, answers, strict=True)}


async def _admit(request: Request[Any, Any, Any], jobs: list[str]) -> tuple[Served, str]:
    """Ask for the right on each Job that is named; give the namespace and who asks."""
    permit = permit_of(request)
    for job in dict.fromkeys(jobs):
        await permit.require(job=job)
    return served_for(request), caller_of(request).identity.name


def build_options(data: CreateJob, *, user: str, job_id: str | None = None) -> CallOptions:
    """What a body asks for, as the client says it; InputError. Pure."""
    return CallOptions().updated(**_keywords(data, user=user, job_id=job_id))


def build_item(data: CreateJob, *, user: str) -> Item:
    """The same, as one of many. Pure."""
    return Item(data.payload, **_keywords(data, user=user, job_id=data.id))


def _keywords(data: CreateJob, *, user: str, job_id: str | None) -> Any:
    given = {
        "id": job_id,
        "priority": data.priority,
        "delay": data.delay_seconds,
        "at": data.at,
        "max_retries": data.max_retries,
        "timeout": data.timeout_seconds,
        "labels": data.labels,
        "user": user,
        "start_by": data.start_by,
        "concurrency_key": data.concurrency_key,
        "concurrency_policy": data.concurrency_policy,
    }
    return {key: value for key, value in given.items() if value is not None}


def _decide_id(data: CreateJob, key: str | None, *, user: str) -> str | None:
    if key is None:
        return data.id
    if data.id is not None:
        raise InputError("both an id and an Idempotency-Key", field="id", cure="give one of them")
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS or not key.isprintable():
        fault = Fault(detail=f"1 to {MAX_KEY_CHARACTERS} printable characters", parameter="Idempotency-Key")
        raise ProblemError("invalid-parameter", "the Idempotency-Key cannot be used", faults=(fault,))
    return id_from_key("idempotency", user, key)


async def _check_same(served: Served, job_id: str, data: CreateJob) -> None:
    """Refuse a key that was used for another request: another Job, payload or labels."""
    status = await served.reader.status(job_id)
    if status.job != data.job or not _fits(status, data):
        raise ProblemError(
            "idempotency-key-reused",
            f"this key was given with another request: job {job_id}",
            cure="use another key for another job",
        )


def _fits(status: JobStatus, data: CreateJob) -> bool:
    if (data.labels or {}) != status.labels or data.max_retries not in (None, status.max_retries):
        return False
    if status.payload_ref is not None:
        return hashlib.sha256(msgspec.json.encode(data.payload)).hexdigest() == status.payload_ref.sha256
    return bool(status.payload == data.payload)


def _view_result(index: int, result: Submitted | JetmillError) -> CreatedView:
    if isinstance(result, Submitted):
        return CreatedView(index=index, id=result.id, created=result.created)
    return CreatedView(index=index, problem=explain(result)[0])


HANDLERS: Sequence[BaseRouteHandler] = (create_job, create_jobs)
