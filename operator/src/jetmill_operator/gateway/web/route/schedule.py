"""Schedules: as they are in force, when they fire, and what people do with them.

Lists and previews come from the plans in the ledger, which is what fires. To suspend is to edit the object, so that
needs the right to change it, and its cluster.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter

from jetmill.errors import InputError
from jetmill.ledger.schedule import find_schedule, list_schedules, trigger
from jetmill.protocol.codec import encode_value
from jetmill.protocol.name import is_label
from jetmill_operator.calendar.preview import Occurrence, list_occurrences
from jetmill_operator.calendar.zone import to_instant, to_moment
from jetmill_operator.cluster.ports import SCHEDULED_JOB, Body
from jetmill_operator.gateway.access.right import DECLARED, EDITS, SELF, TRIGGER
from jetmill_operator.gateway.web.body import In, JobBody, Out, Text, build_job
from jetmill_operator.gateway.web.declaring import FIELD_MANAGER, declaring_of, translating
from jetmill_operator.gateway.web.guard import caller_of
from jetmill_operator.gateway.web.manifest import build_manifest, check_manifest
from jetmill_operator.gateway.web.problem import ProblemError
from jetmill_operator.gateway.web.route.declaration import DeclarationBody, build_declaration
from jetmill_operator.gateway.web.route.job import NamespaceQuery, find_status, path_of
from jetmill_operator.gateway.web.served import served_for
from jetmill_operator.resources import label
from jetmill_operator.schedule.view import ScheduleView, calendar_of, read_calendar, read_view

Asked = Request[Any, Any, Any]
PATH = "/api/v1/schedules"
TAGS = ["schedules"]
_LIST, _GET = DECLARED["scheduledjobs"]
_PATCH, _DELETE = EDITS["scheduledjobs"]["patch"], EDITS["scheduledjobs"]["delete"]
MANAGER = "jetmill-client"
MANAGED = {label.MANAGED: label.CLIENT}
"""The label of schedules that programs made."""
Count = Annotated[int, QueryParameter(ge=1, le=1_000, description="How many")]
Start = Annotated[
    datetime | None, QueryParameter(name="from", description="From this time on (RFC 3339); now, if not given")
]


class ScheduleBody(Out, frozen=True, kw_only=True):
    """One schedule, as it is in force."""

    name: str
    job: str
    schedule: str | None = None
    every: str | None = None
    time_zone: str = "UTC"
    generation: int = 0
    suspended: bool = False
    next: datetime | None = None
    last: datetime | None = None
    """The newest time of the calendar whose job was due …"""
    last_id: str | None = None
    """… that job's id …"""
    last_state: str | None = None
    """… and where it stands."""
    missed: int = 0


class SchedulesBody(msgspec.Struct, frozen=True, kw_only=True):
    """All of a namespace, by name."""

    items: list[ScheduleBody]


class OccurrenceBody(Out, frozen=True, kw_only=True):
    """A time of a calendar."""

    time: datetime
    local: str
    """The same as the clock on the wall shows it, with its offset."""
    note: str = ""
    """What a shift of the clocks does to it."""


class OccurrencesBody(msgspec.Struct, frozen=True, kw_only=True):
    """Times to come, in order."""

    items: list[OccurrenceBody]


class Trigger(In, frozen=True, kw_only=True):
    """A job of a schedule beside its slots."""

    payload: dict[str, Any] | None = None
    """Instead of the schedule's own."""
    id: Text | None = None
    """An id of your own: the same again is the same job."""


class Upsert(In, frozen=True, kw_only=True):
    """A schedule that a program wants to be there."""

    spec: dict[str, Any]
    """As in a manifest."""


@get(PATH, opt={"right": _LIST}, tags=TAGS, summary="The schedules that are in force")
async def list_all_schedules(request: Asked, namespace: NamespaceQuery = None) -> SchedulesBody:  # noqa: ARG001
    """With their last and next run, by name."""
    bus = served_for(request).bus
    views = [await read_view(bus, stored) for stored in await list_schedules(bus)]
    return SchedulesBody(items=[_build_schedule(view) for view in views])


@get(f"{PATH}/{{name:str}}", opt={"right": _GET}, tags=TAGS, summary="One schedule")
async def get_schedule(request: Asked, name: FromPath[str], namespace: NamespaceQuery = None) -> ScheduleBody:  # noqa: ARG001
    """As it is in force; its declaration is at `/api/v1/declarations/scheduledjobs/{name}`."""
    bus = served_for(request).bus
    return _build_schedule(await read_view(bus, await find_schedule(bus, name)))


@get(f"{PATH}/{{name:str}}/next", opt={"right": _GET}, tags=TAGS, summary="When a schedule fires")
async def get_next(
    request: Asked,
    name: FromPath[str],
    namespace: NamespaceQuery = None,  # noqa: ARG001
    count: Count = 5,
    start: Start = None,
) -> OccurrencesBody:
    """Shifts of the clocks are said; jitter is not in these times."""
    plan = (await find_schedule(served_for(request).bus, name)).plan
    return _build_occurrences(list_occurrences(calendar_of(plan), _read_start(start), count))


@get("/api/v1/calendar", opt={"right": SELF}, tags=TAGS, summary="When an expression fires")
async def preview_calendar(
    schedule: Annotated[str | None, QueryParameter(description="A cron expression")] = None,
    every: Annotated[str | None, QueryParameter(description="Or a length of time, as 90s")] = None,
    zone: Annotated[str, QueryParameter(name="timeZone", description="An IANA name")] = "UTC",
    count: Count = 5,
    start: Start = None,
) -> OccurrencesBody:
    """Whether or not anything is declared: to try an expression before it is."""
    if (schedule is None) == (every is None):
        raise InputError("a calendar wants schedule or every", field="schedule", cure="give one of them")
    return _build_occurrences(list_occurrences(read_calendar(schedule, every, zone), _read_start(start), count))


@post(f"{PATH}/{{name:str}}/trigger", opt={"right": TRIGGER}, tags=TAGS, summary="Enqueue a job of a schedule now")
async def trigger_schedule(
    request: Asked,
    name: FromPath[str],
    data: JSONBody[Trigger],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> Response[JobBody]:
    """201 with the job, or 200 if there was one of that id; also while the schedule is suspended."""
    served = served_for(request)
    payload = None if data.payload is None else encode_value(data.payload)
    by = caller_of(request).identity.name
    submitted = await trigger(served.bus, name, by=by, job_id=data.id, payload=payload)
    body = build_job(await find_status(served, submitted.id), path=path_of(request))
    headers = {"Location": body.links["self"], "X-Jetmill-Seq": str(body.seq)}
    return Response(body, status_code=201 if submitted.created else 200, headers=headers)


@post(f"{PATH}/{{name:str}}/suspend", opt={"right": _PATCH}, tags=TAGS, summary="Suspend a schedule", status_code=200)
async def suspend_schedule(
    request: Asked,
    name: FromPath[str],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> DeclarationBody:
    """What is planned is withdrawn, what runs goes on; idempotent."""
    return await _set_suspend(request, name, suspend=True)


@post(f"{PATH}/{{name:str}}/resume", opt={"right": _PATCH}, tags=TAGS, summary="Resume a schedule", status_code=200)
async def resume_schedule(
    request: Asked,
    name: FromPath[str],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> DeclarationBody:
    """It goes on from now; idempotent."""
    return await _set_suspend(request, name, suspend=False)


@put(
    f"{PATH}/{{name:str}}", opt={"right": _PATCH}, tags=TAGS, summary="Have a schedule be there, as a program wants it"
)
async def upsert_schedule(
    request: Asked,
    name: FromPath[str],
    data: JSONBody[Upsert],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> Response[DeclarationBody]:
    """201 if it was made, 200 if it was there; 409 for one that a person declared. The same again changes nothing."""
    there = declaring_of(request, SCHEDULED_JOB)
    there.refuse_declared(name)
    body = build_manifest(
        SCHEDULED_JOB, namespace=there.namespace, name=name, spec=data.spec, labels=MANAGED, annotations={}
    )
    check_manifest(SCHEDULED_JOB, body, in_cluster=there.needs_image)
    with translating(SCHEDULED_JOB, name):
        before = await there.cluster.get(SCHEDULED_JOB, there.namespace, name)
        _refuse_others(before, name)
        if before is not None and before["spec"].get("jobRef") != data.spec.get("jobRef"):
            cure = "unschedule it, then schedule anew"
            raise ProblemError(
                "already-declared", f"ScheduledJob {name} is of another Job, which cannot change", cure=cure
            )
        made = await there.cluster.apply(SCHEDULED_JOB, body, manager=MANAGER)
    return Response(build_declaration(made), status_code=201 if before is None else 200)


@delete(
    f"{PATH}/{{name:str}}", opt={"right": _DELETE}, tags=TAGS, summary="Remove a schedule of a program", status_code=204
)
async def remove_schedule(
    request: Asked,
    name: FromPath[str],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> None:
    """What is planned is withdrawn, what runs goes on. Idempotent; 409 for one that a person declared."""
    there = declaring_of(request, SCHEDULED_JOB)
    there.refuse_declared(name)
    with translating(SCHEDULED_JOB, name):
        before = await there.cluster.get(SCHEDULED_JOB, there.namespace, name) if is_label(name) else None
        _refuse_others(before, name)
        if before is not None:
            await there.cluster.delete(SCHEDULED_JOB, there.namespace, name, uid=before["metadata"]["uid"])


def _refuse_others(body: Body | None, name: str) -> None:
    """Programs leave alone what people declare."""
    labels = {} if body is None else body["metadata"].get("labels") or {}
    if body is not None and not MANAGED.items() <= labels.items():
        cure = "take another name, or delete that one"
        raise ProblemError("already-declared", f"ScheduledJob {name} is no program's: somebody declared it", cure=cure)


async def _set_suspend(request: Asked, name: str, *, suspend: bool) -> DeclarationBody:
    there = declaring_of(request, SCHEDULED_JOB)
    there.refuse_declared(name)
    with translating(SCHEDULED_JOB, name):
        body = await there.cluster.get(SCHEDULED_JOB, there.namespace, name) if is_label(name) else None
        if body is None:
            raise ProblemError("not-found", f"there is no ScheduledJob {name[:80]} in namespace {there.namespace}")
        if bool(body["spec"].get("suspend", False)) is not suspend:
            patch = {"spec": {"suspend": suspend}}
            body = await there.cluster.patch(SCHEDULED_JOB, there.namespace, name, patch, manager=FIELD_MANAGER)
    return build_declaration(body)


def _read_start(start: datetime | None) -> int:
    if start is not None and start.tzinfo is None:
        raise ProblemError("invalid-parameter", "from: a time without a zone", cure="write …Z for UTC")
    return to_instant(start or datetime.now(UTC))


def _build_schedule(view: ScheduleView) -> ScheduleBody:
    return ScheduleBody(**msgspec.structs.asdict(view))


def _build_occurrences(found: list[Occurrence]) -> OccurrencesBody:
    return OccurrencesBody(
        items=[OccurrenceBody(time=to_moment(one.instant), local=one.local.isoformat(), note=one.note) for one in found]
    )


HANDLERS = [
    list_all_schedules,
    get_schedule,
    get_next,
    preview_calendar,
    trigger_schedule,
    suspend_schedule,
    resume_schedule,
    upsert_schedule,
    remove_schedule,
]
