"""One job: read from the ledger itself, and what is done to it, as whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from jetmill.bus.ports import Bus
from jetmill.client.follow import not_found
from jetmill.client.status import JobStatus, build_transition, time_of
from jetmill.errors import InputError, JobFailedError, JobStateError, NotFoundError
from jetmill.ledger.cancel import cancel
from jetmill.ledger.reopen import discard, reschedule, retry
from jetmill.protocol.record import Entry
from jetmill.protocol.state import State
from jetmill_operator.gateway.access.right import CANCEL, DISCARD, LOGS, PAYLOAD, READ, RESCHEDULE, RESULT, RETRY
from jetmill_operator.gateway.web.body import (
    HistoryBody,
    JobBody,
    LogBody,
    LogLine,
    PayloadBody,
    Reschedule,
    ResultBody,
    TransitionBody,
    build_job,
    build_transition_body,
)
from jetmill_operator.gateway.web.guard import caller_of
from jetmill_operator.gateway.web.prefer import parse_wait
from jetmill_operator.gateway.web.problem import ProblemError
from jetmill_operator.gateway.web.served import Served, served_for

PATH = "/api/v1/jobs"
Asked = Request[Any, Any, Any]
NamespaceQuery = Annotated[str | None, QueryParameter(description="The namespace; the gateway's first, if not given")]
TAGS = ["jobs"]


@get(f"{PATH}/{{job_id:str}}", opt={"right": READ}, tags=TAGS, summary="One job with its attempts")
async def get_job(request: Asked, job_id: FromPath[str], namespace: NamespaceQuery = None) -> Response[JobBody]:  # noqa: ARG001
    """`Prefer: wait=N` waits up to N seconds (30 at most) for its end."""
    served = served_for(request)
    waited = await wait_if_preferred(request, served, job_id)
    status = await find_status(served, job_id)
    body = build_job(status, path=path_of(request))
    etag = f'"{body.seq}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"} | waited
    if etag in [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]:
        return Response(None, status_code=304, headers=headers)  # type: ignore[arg-type]
    return Response(body, headers=headers)


@get(f"{PATH}/{{job_id:str}}/history", opt={"right": READ}, tags=TAGS, summary="A job's records, oldest first")
async def get_history(request: Asked, job_id: FromPath[str], namespace: NamespaceQuery = None) -> HistoryBody:  # noqa: ARG001
    """Every state that the job was in, when, and who brought it there."""
    status = await find_status(served_for(request), job_id)
    return HistoryBody(items=[build_transition_body(one) for one in status.history])


@get(f"{PATH}/{{job_id:str}}/payload", opt={"right": PAYLOAD}, tags=TAGS, summary="What a job was called with")
async def get_payload(request: Asked, job_id: FromPath[str], namespace: NamespaceQuery = None) -> PayloadBody:  # noqa: ARG001
    """Has a right of its own, for payloads may hold what not everybody is to see."""
    served = served_for(request)
    status = await find_status(served, job_id)
    try:
        return PayloadBody(payload=await served.reader.payload(status.id))
    except NotFoundError as err:
        raise ProblemError("not-found", f"the payload of job {job_id} is gone", cure="its retention is over") from err


@get(f"{PATH}/{{job_id:str}}/result", opt={"right": RESULT}, tags=TAGS, summary="What a job returned")
async def get_result(request: Asked, job_id: FromPath[str], namespace: NamespaceQuery = None) -> Response[ResultBody]:  # noqa: ARG001
    """409 while there is none, and if there will be none. `Prefer: wait=N` waits."""
    served = served_for(request)
    waited = await wait_if_preferred(request, served, job_id)
    status = await find_status(served, job_id)
    if not status.final:
        raise JobStateError(f"job {job_id} is {status.state}: it has no result yet", cure="ask with Prefer: wait=30")
    if status.state is not State.SUCCEEDED:
        why = f" ({status.reason})" if status.reason else ""
        raise JobFailedError(f"job {job_id} is {status.state}{why}", state=status.state, reason=status.reason)
    try:
        result = await served.reader.result(job_id, 5.0)
    except TimeoutError as err:
        raise JobStateError(f"job {job_id} was retried meanwhile", cure="ask with Prefer: wait=30") from err
    return Response(ResultBody(state=status.state, result=result), headers=waited)


@get(f"{PATH}/{{job_id:str}}/logs", opt={"right": LOGS}, tags=TAGS, summary="What a job told while it ran")
async def get_logs(
    request: Asked,
    job_id: FromPath[str],
    namespace: NamespaceQuery = None,  # noqa: ARG001
    kind: Annotated[
        Literal["log", "progress"], QueryParameter(description="Log lines, or reports of progress")
    ] = "log",
) -> LogBody:
    """Kept for a day, at most 1,000 lines of a job."""
    served = served_for(request)
    await find_status(served, job_id)
    try:
        lines = [
            LogLine(time=time_of(line.time), seq=line.seq, data=_read_line(line.data))
            async for line in served.reader.logs(job_id, kind=kind)
        ]
    except NotFoundError:
        lines = []
    return LogBody(items=lines)


@post(f"{PATH}/{{job_id:str}}/cancel", opt={"right": CANCEL}, tags=TAGS, summary="Cancel a job")
async def cancel_job(
    request: Asked,
    job_id: FromPath[str],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> Response[TransitionBody]:
    """Waiting or running; idempotent. 202 while it still runs; else what stands, which may be an end that was first."""
    entry = await _act(job_id, cancel(served_for(request).bus, job_id, by=caller_of(request).identity.name))
    return _answer(entry, status=202 if entry.record.state is State.CANCELLING else 200)


@post(
    f"{PATH}/{{job_id:str}}/retry",
    opt={"right": RETRY},
    tags=TAGS,
    summary="Run a job once more, or now",
)
async def retry_job(
    request: Asked,
    job_id: FromPath[str],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> Response[TransitionBody]:
    """Under the same id: one that ended, at attempt 1; one that waits for its next attempt, at that. 409 for others."""
    served = served_for(request)
    entry = await _act(job_id, retry(served.bus, job_id, by=caller_of(request).identity.name))
    served.bus.signals.wake(entry.record.job)
    return _answer(entry, status=202)


@post(f"{PATH}/{{job_id:str}}/discard", opt={"right": DISCARD}, tags=TAGS, summary="Give up a failed job for good")
async def discard_job(
    request: Asked,
    job_id: FromPath[str],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> Response[TransitionBody]:
    """Idempotent; 409 if it has not failed."""
    doing = discard(served_for(request).bus, job_id, by=caller_of(request).identity.name)
    return _answer(await _act(job_id, doing), status=200)


@post(f"{PATH}/{{job_id:str}}/reschedule", opt={"right": RESCHEDULE}, tags=TAGS, summary="Move a scheduled job")
async def reschedule_job(
    request: Asked,
    job_id: FromPath[str],
    data: JSONBody[Reschedule],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> Response[TransitionBody]:
    """409 if it is not scheduled."""
    bus = served_for(request).bus
    due = due_of(bus, data.at, data.delay_seconds)
    doing = reschedule(bus, job_id, due=due, by=caller_of(request).identity.name)
    return _answer(await _act(job_id, doing), status=200)


def due_of(bus: Bus, at: datetime | None, delay_seconds: float | None) -> int:
    """When a job is to start, µs, by one of both; InputError."""
    if (at is None) == (delay_seconds is None):
        raise InputError("reschedule wants at or delaySeconds", field="at", cure="give one of them")
    due = (
        bus.link.now() + round((delay_seconds or 0.0) * 1_000_000) if at is None else round(at.timestamp() * 1_000_000)
    )
    if not 0 <= due <= _LAST_MICROS:
        raise InputError("that time is too far away", field="at")
    return due


_LAST_MICROS = 253_370_764_800 * 1_000_000
"""The year 9999, behind which no time can be written."""


async def find_status(served: Served, job_id: str) -> JobStatus:
    """What the ledger knows of a job; JobNotFoundError, also where there is no ledger yet."""
    try:
        return await served.reader.status(job_id)
    except NotFoundError as err:
        raise not_found(job_id) from err


async def wait_if_preferred(request: Asked, served: Served, job_id: str) -> dict[str, str]:
    """Wait for a job's end for as long as the client prefers; gives the header that says so."""
    seconds = parse_wait(request.headers.get("prefer", ""))
    if seconds is None:
        return {}
    await find_status(served, job_id)
    waiting = asyncio.ensure_future(served.reader.wait(job_id, float(seconds)))
    gone = asyncio.ensure_future(_wait_until_gone(request))
    try:
        await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done() and not isinstance(waiting.exception(), TimeoutError | None):
            waiting.result()
    finally:
        for task in (waiting, gone):
            task.cancel()
        await asyncio.gather(waiting, gone, return_exceptions=True)
    return {"Preference-Applied": f"wait={seconds}"}


async def _wait_until_gone(request: Asked) -> None:
    """Return when the client has hung up: nobody waits any more."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def path_of(request: Asked) -> str:
    """Where the jobs are, as the client sees it: below the prefix that a proxy takes away."""
    return str(request.scope.get("root_path", "")).rstrip("/") + PATH


async def _act(job_id: str, doing: Awaitable[Entry]) -> Entry:
    """What stands after something was done to a job; JobNotFoundError, also where there is no ledger yet."""
    try:
        return await doing
    except NotFoundError as err:
        raise not_found(job_id) from err


def _answer(entry: Entry, *, status: int) -> Response[TransitionBody]:
    body = build_transition_body(build_transition(entry))
    return Response(body, status_code=status, headers={"X-Jetmill-Seq": str(body.seq)})


def _read_line(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return {"message": data.decode(errors="replace")}


HANDLERS = [
    get_job,
    get_history,
    get_payload,
    get_result,
    get_logs,
    cancel_job,
    retry_job,
    discard_job,
    reschedule_job,
]
