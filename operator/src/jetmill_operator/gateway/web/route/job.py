"""One job, read from the ledger itself: never older than what was answered before."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, HeaderParameter, QueryParameter

from jetmill.client.status import JobStatus, time_of
from jetmill.protocol.name import parse_job_id
from jetmill_operator.gateway.access.right import LOGS, PAYLOAD, READ, RESULT
from jetmill_operator.gateway.web.link import build_links
from jetmill_operator.gateway.web.model import (
    HistoryView,
    JobView,
    LinesView,
    LineView,
    PayloadView,
    ResultView,
    view_job,
    view_transition,
)
from jetmill_operator.gateway.web.prefer import Prefer, wait_for_end
from jetmill_operator.gateway.web.problem import ProblemError
from jetmill_operator.gateway.web.served import Served, served_for

MAX_LINES = 10_000
IfNoneMatch = Annotated[
    str | None, HeaderParameter(name="If-None-Match", description="The ETag of what you have: 304 if it is still so")
]


@get("/jobs/{job_id:str}", opt={"right": READ}, tags=["Jobs"], operation_id="getJob")
async def get_job(
    request: Request[Any, Any, Any],
    job_id: FromPath[str],
    prefer: Prefer = None,
    if_none_match: IfNoneMatch = None,
) -> Response[JobView]:
    """A job with its whole history, its attempts, and where to go from here."""
    served = served_for(request)
    headers = await wait_for_end(served.reader, job_id, prefer)
    status = await served.reader.status(job_id)
    return answer_job(served, status, headers=headers, if_none_match=if_none_match)


@get("/jobs/{job_id:str}/history", opt={"right": READ}, tags=["Jobs"], operation_id="getJobHistory")
async def get_history(request: Request[Any, Any, Any], job_id: FromPath[str]) -> HistoryView:
    """Every record of a job, oldest first."""
    status = await served_for(request).reader.status(job_id)
    return HistoryView(items=[view_transition(one) for one in status.history])


@get("/jobs/{job_id:str}/payload", opt={"right": PAYLOAD}, tags=["Jobs"], operation_id="getJobPayload")
async def get_payload(request: Request[Any, Any, Any], job_id: FromPath[str]) -> PayloadView:
    """What a job was called with."""
    return PayloadView(id=job_id, payload=await served_for(request).reader.payload(job_id))


@get("/jobs/{job_id:str}/result", opt={"right": RESULT}, tags=["Jobs"], operation_id="getJobResult")
async def get_result(
    request: Request[Any, Any, Any], job_id: FromPath[str], prefer: Prefer = None
) -> Response[ResultView]:
    """What a job returned; a problem if it is not done with, or ended otherwise."""
    reader = served_for(request).reader
    headers = await wait_for_end(reader, job_id, prefer)
    if not (await reader.status(job_id)).final:
        raise ProblemError(
            "job-not-ended", f"job {job_id} is not done with", cure="wait for it: `Prefer: wait=30`", headers=headers
        )
    result = await reader.result(job_id)
    return Response(ResultView(id=job_id, result=result), headers=headers)


@get("/jobs/{job_id:str}/logs", opt={"right": LOGS}, tags=["Jobs"], operation_id="getJobLogs")
async def get_logs(
    request: Request[Any, Any, Any],
    job_id: FromPath[str],
    kind: Annotated[str, QueryParameter(description="`log` or `progress`", pattern="^(log|progress)$")] = "log",
    after: Annotated[int, QueryParameter(description="Only what comes after this sequence", ge=0)] = 0,
    limit: Annotated[int, QueryParameter(description="At most so many lines", ge=1, le=MAX_LINES)] = 1_000,
) -> LinesView:
    """The log lines (or progress reports) of a job, oldest first, as far as they are kept."""
    served = served_for(request)
    await served.reader.status(job_id)  # a job that is not there is a problem, not an empty list
    items: list[LineView] = []
    lines = served.reader.logs(parse_job_id(job_id), kind=kind)
    async with contextlib.aclosing(lines):
        async for line in lines:
            if line.seq <= after:
                continue
            if len(items) == limit:
                return LinesView(items=items, next=items[-1].seq)
            items.append(LineView(seq=line.seq, time=time_of(line.time), data=msgspec.json.decode(line.data)))
    return LinesView(items=items)


def answer_job(
    served: Served,
    status: JobStatus,
    *,
    headers: dict[str, str],
    code: int = 200,
    if_none_match: str | None = None,
) -> Response[JobView]:
    """A job with its ETag: the sequence of its last record."""
    links = build_links(status.id, namespace=served.namespace, state=status.state)
    view = view_job(status, links=links)
    tag = f'"{view.seq}"'
    headers = {**headers, "ETag": tag}
    given = {part.strip().removeprefix("W/") for part in (if_none_match or "").split(",")}
    if tag in given:
        return Response(None, status_code=304, headers=headers)  # type: ignore[arg-type]
    return Response(view, status_code=code, headers=headers)


HANDLERS: Sequence[BaseRouteHandler] = (get_job, get_history, get_payload, get_result, get_logs)
