"""One action on all jobs that fit a filter, in the background: begun by who says how many they are.

The jobs are those that fit when it begins; each is then judged by its own record, so one that has moved on is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody

from jetmill.errors import InputError
from jetmill_operator.gateway.access.right import CANCEL, DISCARD, LIST, RESCHEDULE, RETRY, Right
from jetmill_operator.gateway.projection import JobFilter, Projection
from jetmill_operator.gateway.web.body import In, Out, Seconds
from jetmill_operator.gateway.web.exchange import exchange_of
from jetmill_operator.gateway.web.filter import MAX_VALUES, provide_filter, refusing_parameters
from jetmill_operator.gateway.web.guard import caller_of, permit_of
from jetmill_operator.gateway.web.operation import MAX_JOBS, MEANT, STATES, Action, FullError, Mishap, Operation, Phase
from jetmill_operator.gateway.web.problem import ProblemError
from jetmill_operator.gateway.web.projecting import catch_up, projection_of
from jetmill_operator.gateway.web.route.job import NamespaceQuery, due_of
from jetmill_operator.gateway.web.route.listing import MAX_SEQ
from jetmill_operator.gateway.web.row import CountBody
from jetmill_operator.gateway.web.served import served_for

Asked = Request[Any, Any, Any]
PATH = "/api/v1/operations"
TAGS = ["operations"]
OPT = {"right": LIST}
NEEDS: Mapping[Action, Right] = {"cancel": CANCEL, "retry": RETRY, "discard": DISCARD, "reschedule": RESCHEDULE}
"""What an action needs in the whole namespace, besides the right to list."""
_PAGE = 1_000
Few = Annotated[list[str], msgspec.Meta(max_length=MAX_VALUES)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)] | None


class Selection(In, frozen=True, kw_only=True, omit_defaults=True):
    """Which jobs: the filters of lists, by the same names. All hold at once."""

    job: Few = msgspec.field(default_factory=list)
    state: Few = msgspec.field(default_factory=list)
    reason: Few = msgspec.field(default_factory=list)
    label: dict[str, str] = msgspec.field(default_factory=dict)
    user: str | None = None
    schedule: str | None = None
    created_after: Moment = None
    created_before: Moment = None
    updated_after: Moment = None
    updated_before: Moment = None
    error: Annotated[str, msgspec.Meta(min_length=3, max_length=256)] | None = None
    error_group: Annotated[str, msgspec.Meta(min_length=1, max_length=1_024)] | None = None


class Begin(In, frozen=True, kw_only=True):
    """What to do, with which jobs."""

    action: Action
    filter: Selection = msgspec.field(default_factory=Selection)
    confirm: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """How many jobs that are, so that nobody acts on more than they saw. Without, or with another number, it is refused
    and says how many.
    """
    after: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)] | None = None
    """Select once everything up to this sequence of the ledger is known."""
    at: Moment = None
    """For `reschedule`: when they are to start; or `delaySeconds`."""
    delay_seconds: Seconds | None = None


class OperationBody(Out, frozen=True, kw_only=True):
    """An operation, and how far it is."""

    id: str
    namespace: str
    action: Action
    state: Phase
    by: str
    filter: dict[str, Any]
    total: int
    done: int
    """Of the total; each was changed, skipped or failed."""
    changed: int
    skipped: int
    """Their state did not allow it any more."""
    failed: int
    faults: list[Mishap] = msgspec.field(default_factory=list)
    """The first that failed."""
    stopping: bool = False
    why: str = ""
    """Why it ended before all was done."""
    begun: datetime
    ended: datetime | None = None


class OperationsBody(Out, frozen=True, kw_only=True):
    """The last operations, the newest first; 50 of a namespace are kept."""

    items: list[OperationBody]


@post(PATH, opt=OPT, tags=TAGS, summary="Act on all jobs that fit", status_code=202)
async def begin_operation(
    request: Asked,
    data: JSONBody[Begin],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> Response[OperationBody]:
    """Needs the action's right in the whole namespace as well. Goes on when you have gone; look at it under its id."""
    permit = permit_of(request)
    exchange_of(request.scope).right = NEEDS[data.action]
    verdict = await permit.ask(right=NEEDS[data.action])
    if not verdict.allowed:
        exchange_of(request.scope).decision = "denied"
        raise permit.denial(verdict, right=NEEDS[data.action])
    served = served_for(request)
    due = due_of(served.bus, data.at, data.delay_seconds) if data.action == "reschedule" else None
    if data.action != "reschedule" and (data.at is not None or data.delay_seconds is not None):
        raise InputError("at and delaySeconds are for reschedule", field="at")
    projection = projection_of(request)
    await catch_up(projection, served, data.after)
    ids = await _select(projection, await _read_filter(request, data), confirm=data.confirm)
    try:
        one = await served.operations.begin(
            data.action,
            ids,
            by=caller_of(request).identity.name,
            described=msgspec.to_builtins(data.filter),
            due=due,
        )
    except FullError as err:
        raise ProblemError("too-many-requests", err.message, cure=err.cure, headers={"Retry-After": "5"}) from err
    location = f"{request.url.path.rstrip('/')}/{one.id}?namespace={served.namespace}"
    return Response(_build(one, served.namespace), status_code=202, headers={"Location": location})


@post(f"{PATH}/preview", opt=OPT, tags=TAGS, summary="How many jobs an operation would act on", status_code=200)
async def preview_operation(
    request: Asked,
    data: JSONBody[Begin],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> CountBody:
    """Changes nothing; what it counts is what to confirm."""
    served = served_for(request)
    projection = projection_of(request)
    await catch_up(projection, served, data.after)
    wanted = await _read_filter(request, data)
    seq = projection.seq(served.namespace)
    with refusing_parameters():
        count = await projection.count(wanted) if wanted.state else 0
    return CountBody(count=count, seq=seq)


@get(PATH, opt=OPT, tags=TAGS, summary="The last operations")
async def list_operations(request: Asked, namespace: NamespaceQuery = None) -> OperationsBody:  # noqa: ARG001
    """Of everybody, at whichever gateway they run."""
    served = served_for(request)
    return OperationsBody(items=[_build(one, served.namespace) for one in await served.operations.all()])


@get(f"{PATH}/{{name:str}}", opt=OPT, tags=TAGS, summary="How far an operation is")
async def get_operation(request: Asked, name: FromPath[str], namespace: NamespaceQuery = None) -> OperationBody:  # noqa: ARG001
    """At most a second behind."""
    served = served_for(request)
    return _found(await served.operations.find(name), name, served.namespace)


@post(f"{PATH}/{{name:str}}/cancel", opt=OPT, tags=TAGS, summary="Stop an operation", status_code=202)
async def cancel_operation(request: Asked, name: FromPath[str], namespace: NamespaceQuery = None) -> OperationBody:  # noqa: ARG001
    """What was done stays done. Whoever began it may, and whoever might have begun it; idempotent."""
    served = served_for(request)
    permit = permit_of(request)
    one = await served.operations.find(name)
    if one is not None and one.by != permit.identity.name:
        verdict = await permit.ask(right=NEEDS[one.action])
        if not verdict.allowed:
            raise permit.denial(verdict, right=NEEDS[one.action])
    return _found(await served.operations.stop(name), name, served.namespace)


async def _read_filter(request: Asked, data: Begin) -> JobFilter:
    """The filter of lists, narrowed to the states in which the action can be."""
    given = data.filter
    wanted = await provide_filter(
        request,
        job=given.job,
        states=given.state,
        reason=given.reason,
        label=[f"{key}={value}" for key, value in given.label.items()],
        user=given.user,
        schedule=given.schedule,
        created_after=given.created_after,
        created_before=given.created_before,
        updated_after=given.updated_after,
        updated_before=given.updated_before,
        error=given.error,
        error_group=given.error_group,
    )
    states = wanted.state & STATES[data.action] if wanted.state else MEANT[data.action]
    return msgspec.structs.replace(wanted, state=states)


async def _select(projection: Projection, wanted: JobFilter, *, confirm: int | None) -> list[str]:
    """The ids of the jobs that fit, if they are as many as was confirmed; ProblemError."""
    ids: list[str] = []
    with refusing_parameters():
        count = await projection.count(wanted) if wanted.state else 0
        if count != confirm or count > MAX_JOBS:
            raise _refuse(count, confirm)
        cursor: str | None = None
        while count and len(ids) <= MAX_JOBS:
            page = await projection.list(wanted, sort="created", limit=_PAGE, cursor=cursor)
            ids += [row.id for row in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
    return ids[:count]  # what came between the two looks was not confirmed


def _refuse(count: int, confirm: int | None) -> ProblemError:
    if count > MAX_JOBS:
        return ProblemError(
            "too-large", f"{count} jobs fit", cure=f"at most {MAX_JOBS}: narrow the filter", count=count
        )
    said = "it was not said how many" if confirm is None else f"not {confirm}"
    return ProblemError(
        "confirm-count", f"{count} jobs fit and can be acted on, {said}", cure=f"confirm: {count}", count=count
    )


def _found(one: Operation | None, name: str, namespace: str) -> OperationBody:
    if one is None:
        raise ProblemError("not-found", f"there is no operation {name[:80]} (any more)")
    return _build(one, namespace)


def _build(one: Operation, namespace: str) -> OperationBody:
    begun, ended = one.times
    return OperationBody(
        id=one.id,
        namespace=namespace,
        action=one.action,
        state=one.state,
        by=one.by,
        filter=one.filter,
        total=one.total,
        done=one.done,
        changed=one.changed,
        skipped=one.skipped,
        failed=one.failed,
        faults=one.faults,
        stopping=one.stopping,
        why=one.why,
        begun=begun,
        ended=ended,
    )


HANDLERS = [begin_operation, preview_operation, list_operations, get_operation, cancel_operation]
