"""Lists, counts, groups, dead letters and statistics, from the projection: milliseconds, whatever the filters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.di import Provide
from litestar.params import QueryParameter, SkipValidation

from jetmill.protocol.state import State
from jetmill_operator.gateway.access.right import LIST
from jetmill_operator.gateway.projection import GroupBy, JobFilter, Projection, Sort
from jetmill_operator.gateway.web.filter import micros_of, provide_filter, refuse, refusing_parameters, split
from jetmill_operator.gateway.web.projecting import catch_up, lag_headers, projection_of
from jetmill_operator.gateway.web.route.job import NamespaceQuery
from jetmill_operator.gateway.web.row import (
    FIELDS,
    CountBody,
    GroupsBody,
    RowsBody,
    StatisticsBody,
    build_bucket,
    build_group,
    build_row,
    narrow_row,
)
from jetmill_operator.gateway.web.served import served_for

Asked = Request[Any, Any, Any]
Wanted = SkipValidation[JobFilter]
MAX_LIMIT = 200
MAX_SEQ = 2**53 - 1
"""What every client reads as a whole number."""
FILTERED: Mapping[str, Provide] = {"wanted": Provide(provide_filter)}
AfterQuery = Annotated[
    int | None,
    QueryParameter(description="Wait until the answer includes this sequence of the ledger", ge=0, le=MAX_SEQ),
]
DEFAULT_SPAN = timedelta(hours=1)


@get("/api/v1/jobs", opt={"right": LIST}, tags=["jobs"], summary="Jobs by filters", dependencies=FILTERED)
async def list_jobs(
    request: Asked,
    wanted: Wanted,
    namespace: NamespaceQuery = None,  # noqa: ARG001
    sort: Annotated[
        Sort, QueryParameter(description="By time of creation or change; `-`: the newest first")
    ] = "-created",
    limit: Annotated[int, QueryParameter(description="At most so many", ge=1, le=MAX_LIMIT)] = 50,
    cursor: Annotated[str | None, QueryParameter(description="`nextCursor` of the page before")] = None,
    fields: Annotated[list[str] | None, QueryParameter(description="Only these, and the id")] = None,
    after: AfterQuery = None,
) -> Response[RowsBody]:
    """All filters hold at once. `X-Jetmill-Lag` says by how many seconds the list may be behind the ledger."""
    kept = _read_fields(fields)
    projection = await _caught_up(request, after)
    with refusing_parameters():
        page = await projection.list(wanted, sort=sort, limit=limit, cursor=cursor)
    rows = [build_row(row) for row in page.items]
    if kept:
        rows = [narrow_row(row, kept) for row in rows]
    body = RowsBody(items=rows, next_cursor=page.next_cursor, seq=page.seq)
    return Response(body, headers=lag_headers(projection, wanted.namespace))


@get("/api/v1/count", opt={"right": LIST}, tags=["jobs"], summary="How many jobs fit", dependencies=FILTERED)
async def count_jobs(
    request: Asked,
    wanted: Wanted,
    namespace: NamespaceQuery = None,  # noqa: ARG001
    after: AfterQuery = None,
) -> Response[CountBody]:
    """Takes the filters of the list."""
    projection = await _caught_up(request, after)
    seq = projection.seq(wanted.namespace)
    with refusing_parameters():
        count = await projection.count(wanted)
    return Response(CountBody(count=count, seq=seq), headers=lag_headers(projection, wanted.namespace))


@get("/api/v1/groups", opt={"right": LIST}, tags=["jobs"], summary="Jobs by a value", dependencies=FILTERED)
async def group_jobs(
    request: Asked,
    wanted: Wanted,
    namespace: NamespaceQuery = None,  # noqa: ARG001
    by: Annotated[GroupBy, QueryParameter(description="What they are grouped by")] = "state",
    after: AfterQuery = None,
) -> Response[GroupsBody]:
    """Takes the filters of the list."""
    return await _answer_groups(request, wanted, by, after)


@get(
    "/api/v1/deadletters",
    opt={"right": LIST},
    tags=["jobs"],
    summary="What has failed for good, by error",
    dependencies=FILTERED,
)
async def list_dead_letters(
    request: Asked,
    wanted: Wanted,
    namespace: NamespaceQuery = None,  # noqa: ARG001
    after: AfterQuery = None,
) -> Response[GroupsBody]:
    """Failed jobs that nobody retried or discarded, by their error, the most frequent first. Takes the list's filters;
    the jobs of a group are `GET /jobs?state=failed` with its key as `errorGroup`.
    """
    if wanted.state not in (frozenset(), frozenset({State.FAILED})):
        raise refuse("state", "a dead letter is a job that has failed")
    return await _answer_groups(
        request, msgspec.structs.replace(wanted, state=frozenset({State.FAILED})), "error", after
    )


@get("/api/v1/stats", opt={"right": LIST}, tags=["jobs"], summary="What is now, and what happened over time")
async def get_statistics(
    request: Asked,
    namespace: NamespaceQuery = None,  # noqa: ARG001
    job: Annotated[str | None, QueryParameter(description="Of one Job")] = None,
    since: Annotated[datetime | None, QueryParameter(description="An hour before the end, if not given")] = None,
    until: Annotated[datetime | None, QueryParameter(description="Now, if not given")] = None,
    step: Annotated[int, QueryParameter(description="Seconds: whole minutes", ge=60, le=31_536_000)] = 60,
    after: AfterQuery = None,
) -> Response[StatisticsBody]:
    """Minutes are kept for two days, whole hours for 400."""
    name = served_for(request).namespace
    projection = await _caught_up(request, after)
    end = until or datetime.now(UTC)
    last = micros_of(end, "until")
    first = micros_of(since if since is not None else _before(end), "since")
    assert first is not None
    assert last is not None
    seq = projection.seq(name)
    with refusing_parameters():
        buckets = await projection.statistics(name, since=first, until=last, step_seconds=step, job=job)
        groups = await projection.group(JobFilter(namespace=name, job=(job,) if job else ()), by="state")
    body = StatisticsBody(
        states={group.key: group.count for group in groups},
        step_seconds=step,
        items=[build_bucket(one) for one in buckets],
        seq=seq,
    )
    return Response(body, headers=lag_headers(projection, name))


def _before(end: datetime) -> datetime:
    try:
        return end - DEFAULT_SPAN
    except OverflowError as err:
        raise refuse("until", "that is too long ago") from err


async def _caught_up(request: Asked, after: int | None) -> Projection:
    projection = projection_of(request)
    await catch_up(projection, served_for(request), after)
    return projection


async def _answer_groups(request: Asked, wanted: JobFilter, by: GroupBy, after: int | None) -> Response[GroupsBody]:
    projection = await _caught_up(request, after)
    seq = projection.seq(wanted.namespace)
    with refusing_parameters():
        groups = await projection.group(wanted, by=by)
        count = await projection.count(wanted)
    body = GroupsBody(items=[build_group(one) for one in groups], count=count, seq=seq)
    return Response(body, headers=lag_headers(projection, wanted.namespace))


def _read_fields(fields: list[str] | None) -> frozenset[str]:
    names = frozenset(split(fields, "fields"))
    unknown = sorted(names - FIELDS)
    if unknown:
        raise refuse("fields", f"no field {unknown[0][:80]!r}; known: {', '.join(sorted(FIELDS))}")
    return names


HANDLERS = [list_jobs, count_jobs, group_jobs, list_dead_letters, get_statistics]
