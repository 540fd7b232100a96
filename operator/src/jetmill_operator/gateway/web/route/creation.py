"""Enqueueing, one job or many, as whoever asks: the record says their name, whatever the body says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.params import JSONBody

from jetmill.client.option import CallKeywords
from jetmill.client.submission import Item, Target
from jetmill.errors import InputError, JetmillError, NotFoundError
from jetmill.ledger.submit import Submitted
from jetmill.protocol.identity import id_from_key
from jetmill.protocol.name import is_delivery, parse_job_name
from jetmill_operator.gateway.access.identity import Identity
from jetmill_operator.gateway.access.right import CREATE, READ
from jetmill_operator.gateway.web.body import (
    BulkBody,
    BulkItem,
    CreateJob,
    CreateJobs,
    JobBody,
    build_job,
)
from jetmill_operator.gateway.web.guard import caller_of, permit_of
from jetmill_operator.gateway.web.parts import parts_of
from jetmill_operator.gateway.web.problem import ProblemError, explain
from jetmill_operator.gateway.web.route.job import PATH, NamespaceQuery, find_status, path_of, wait_if_preferred
from jetmill_operator.gateway.web.served import Served, served_for

Asked = Request[Any, Any, Any]
TAGS = ["jobs"]
LONGEST_KEY = 256


@post(PATH, opt={"right": CREATE}, tags=TAGS, summary="Enqueue a job")
async def create_job(
    request: Asked,
    data: JSONBody[CreateJob],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> Response[JobBody]:
    """Accepted once this returns: 201, or 200 if there was a job of that id (or `Idempotency-Key`) already.

    `Prefer: wait=N` waits up to N seconds (30 at most) for its end.
    """
    job = _parse_job(data.job)
    await permit_of(request).require(job=job)
    served = served_for(request)
    identity = caller_of(request).identity
    keyed = _apply_key(request, data, identity)
    target = Target(job, None)
    options = Item(data.payload, **_read_options(keyed, identity)).options
    assert options is not None
    submitted = await served.submitter(identity.name).submit(target, target.encode(data.payload), options)
    if not submitted.created:
        await _check_same(request, served, submitted, data)
    waited = await wait_if_preferred(request, served, submitted.id)
    body = build_job(await find_status(served, submitted.id), path=path_of(request))
    headers = {"Location": body.links["self"], "X-Jetmill-Seq": str(body.seq)} | waited
    return Response(body, status_code=201 if submitted.created else 200, headers=headers)


@post(f"{PATH}/bulk", opt={"right": CREATE}, tags=TAGS, summary="Enqueue many jobs", status_code=200)
async def create_jobs(
    request: Asked,
    data: JSONBody[CreateJobs],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> BulkBody:
    """Up to 1,000, each accepted or refused on its own, answered in order. To be able to send it again, give ids."""
    permit, identity = permit_of(request), caller_of(request).identity
    answers: dict[int, Submitted | JetmillError] = {}
    by_job: dict[str, list[tuple[int, CreateJob]]] = defaultdict(list)
    for index, one in enumerate(data.jobs):
        by_job[one.job].append((index, one))
    if len(by_job) > 1:  # each may be a question to the API server
        allowance = parts_of(request).limiter.take(caller_of(request).identity.name, cost=len(by_job) - 1)
        if not allowance.allowed:
            raise ProblemError(
                "too-many-requests",
                f"{len(by_job)} Jobs in one request are more than you may ask for now",
                headers={"Retry-After": str(allowance.retry_seconds)},
            )
    for job, ones in by_job.items():
        try:
            await permit.require(job=_parse_job(job))
        except JetmillError as err:  # those of other Jobs may be accepted already: each is answered for itself
            answers |= dict.fromkeys((index for index, _ in ones), err)
            continue
        answers |= await _submit_many(served_for(request), job, ones, identity)
    return BulkBody(items=[_build_item(index, answers[index]) for index in range(len(data.jobs))])


async def _submit_many(
    served: Served, job: str, ones: list[tuple[int, CreateJob]], identity: Identity
) -> Mapping[int, Submitted | JetmillError]:
    answers: dict[int, Submitted | JetmillError] = {}
    items: list[tuple[int, Item]] = []
    for index, one in ones:
        try:
            items.append((index, Item(one.payload, **_read_options(one, identity))))
        except InputError as err:
            answers[index] = err
    if items:
        submitter = served.submitter(identity.name)
        target = Target(job, None)
        try:
            first = items[0][1].options
            assert first is not None
            found = await submitter.submit_many(target, [item for _, item in items], type(first)())
        except JetmillError as err:  # the Job is not there, or nobody can tell
            return answers | dict.fromkeys((index for index, _ in items), err)
        answers |= dict(zip((index for index, _ in items), found, strict=True))
    return answers


def _read_options(one: CreateJob, identity: Identity) -> CallKeywords:
    return CallKeywords(
        id=one.id,
        priority=one.priority,
        delay=one.delay_seconds,
        at=one.at,
        max_retries=one.max_retries,
        timeout=one.timeout_seconds,
        labels=one.labels,
        user=identity.name,
        start_by=one.start_by,
        concurrency_key=one.concurrency_key,
        concurrency_policy=one.concurrency_policy,
    )


def _apply_key(request: Asked, data: CreateJob, identity: Identity) -> CreateJob:
    """Give a job the id that belongs to its `Idempotency-Key`: of this person, this namespace and this Job."""
    key = request.headers.get("idempotency-key", "").strip().strip('"')
    if not key:
        return data
    if data.id is not None:
        raise InputError("both id and Idempotency-Key", field="id", cure="give one of them")
    if len(key) > LONGEST_KEY:
        raise ProblemError("invalid-parameter", f"Idempotency-Key: at most {LONGEST_KEY} characters")
    name = id_from_key("gateway", permit_of(request).namespace, identity.name, data.job, key)
    return msgspec.structs.replace(data, id=name)


async def _check_same(request: Asked, served: Served, submitted: Submitted, data: CreateJob) -> None:
    """The same id is the same job; what means another one is told so. Of somebody else's nothing is told to those who
    may not look at it.
    """
    status = await find_status(served, submitted.id)
    permit = permit_of(request)
    if status.user != permit.identity.name and not (await permit.ask(job=status.job, right=READ)).allowed:
        raise ProblemError("idempotency-key-reused", f"there is a job {submitted.id} that is none of yours")
    if status.job != data.job:  # of which Job it is, is not for everybody to know
        raise ProblemError("idempotency-key-reused", f"there is a job {submitted.id} that is none of {data.job}")
    try:
        before = await served.reader.payload(submitted.id)
    except NotFoundError:  # a large one that is gone already
        return
    if before != data.payload:
        raise ProblemError("idempotency-key-reused", f"job {submitted.id} was enqueued with another payload")


def _parse_job(name: str) -> str:
    """The name of a Job that one may enqueue to; what is sent to receivers are events, and never what somebody says."""
    job = parse_job_name(name)
    if is_delivery(job):
        raise InputError(
            f"job: {job} holds the deliveries of a Webhook", field="job", cure="publish an event, or test the Webhook"
        )
    return job


def _build_item(index: int, answer: Submitted | JetmillError) -> BulkItem:
    if isinstance(answer, Submitted):
        return BulkItem(index=index, id=answer.id, created=answer.created)
    return BulkItem(index=index, problem=explain(answer)[0])


HANDLERS = [create_job, create_jobs]
