"""From what the gateway says to what a client gives, and from a client's options to what the gateway takes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from jetmill.bus.ports import TraceLine
from jetmill.client.option import CallOptions
from jetmill.client.status import JobStats, JobStatus, JobSummary, Transition
from jetmill.client.submission import Target
from jetmill.errors import (
    BusError,
    InputError,
    InvalidPayloadError,
    JetmillError,
    JobNotFoundError,
    JobStateError,
    NoAnswerError,
    PayloadTooLargeError,
    PermissionDeniedError,
    UnknownJobError,
)
from jetmill.protocol.record import JobSettings, Presence

_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")
T = TypeVar("T", bound=msgspec.Struct)


def convert(body: Mapping[str, Any], kind: type[T], **more: Any) -> T:
    """One of our values from a body in camelCase; what the value does not know is left out. NoAnswerError."""
    known = {field.name for field in msgspec.structs.fields(kind)}
    values = {_HUMP.sub(r"_\1", key).lower(): value for key, value in body.items()} | more
    try:
        return msgspec.convert({key: value for key, value in values.items() if key in known}, kind)
    except msgspec.ValidationError as err:
        raise NoAnswerError(f"what answered is no gateway of this version: {err}") from err


def build_status(job: Mapping[str, Any], history: list[Mapping[str, Any]]) -> JobStatus:
    """All that is known of a job but its payload and its result, which have rights of their own."""
    return convert(job, JobStatus, history=[build_transition(one) for one in history])


def build_transition(body: Mapping[str, Any]) -> Transition:
    """One record."""
    return convert({"crashes": 0, **body}, Transition)


def build_summary(row: Mapping[str, Any]) -> JobSummary:
    """A line of a list."""
    error = row.get("error")
    said = None if error is None else f"{error['type']}: {error['message']}"
    return convert(row, JobSummary, enqueued=row["created"], changed=row["updated"], error=said)


def build_stats(queue: Mapping[str, Any]) -> JobStats:
    """What waits of one Job."""
    return convert(queue, JobStats)


def build_settings(body: Mapping[str, Any]) -> JobSettings:
    """What counts for one Job."""
    schema = body.get("payloadSchema")
    bare = {key: value for key, value in body.items() if key != "payloadSchema"}
    settings = convert(bare, JobSettings)
    return settings if schema is None else msgspec.structs.replace(settings, payload_schema=_encode_raw(schema))


def _encode_raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def build_presence(worker: Mapping[str, Any]) -> Presence:
    """A worker process that lives."""
    started = worker.get("started")
    return convert(worker, Presence, started=0 if started is None else micros_of(started))


def build_line(body: Mapping[str, Any], *, job_id: str, kind: str, data: Any) -> TraceLine:
    """A log line, or a report of progress."""
    return TraceLine(
        id=job_id, kind=kind, seq=int(body["seq"]), time=micros_of(body["time"]), data=msgspec.json.encode(data)
    )


def micros_of(text: str) -> int:
    """A moment in RFC 3339 in µs."""
    return round(msgspec.convert(text, datetime).timestamp() * 1_000_000)


def build_call(target: Target, payload: bytes, options: CallOptions, *, job_id: str) -> dict[str, Any]:
    """A call as the gateway takes it; InputError for what it cannot take."""
    if options.user is not None:
        raise InputError("user: the gateway knows who you are", field="user", cure="leave it out")
    declared = target.handler.declared if target.handler is not None else None
    labels = {**((declared.labels if declared is not None else None) or {}), **(options.labels or {})}
    given = {
        "job": target.name,
        "payload": msgspec.Raw(payload),
        "id": job_id,
        "priority": options.priority or (declared.priority if declared is not None else None),
        "delaySeconds": options.delay_seconds,
        "at": options.at,
        "maxRetries": options.max_retries,
        "timeoutSeconds": options.timeout_seconds,
        "labels": labels or None,
        "startBy": _find_deadline(options),
        "concurrencyKey": options.concurrency_key,
        "concurrencyPolicy": options.concurrency_policy,
    }
    return {key: value for key, value in given.items() if value is not None}


def _find_deadline(options: CallOptions) -> datetime | None:
    """Until when it may start; from when it may, by this machine's clock."""
    if not isinstance(options.start_by, timedelta):
        return options.start_by
    begin = options.at or datetime.now(UTC) + timedelta(seconds=options.delay_seconds or 0.0)
    return begin + options.start_by


def build_error(problem: Mapping[str, Any], *, status: int, what: str) -> JetmillError:
    """The error that `Client` would raise, for a problem (RFC 9457)."""
    slug = str(problem.get("type", "")).rpartition("/")[2]
    message = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
    cure = str(problem.get("cure", ""))
    field = _find_field(problem)
    match slug:
        case "unknown-job":
            return UnknownJobError(message, field="job", cure=cure)
        case "invalid-payload":
            return InvalidPayloadError(message, field=field.removeprefix("payload").lstrip("."), cure=cure)
        case "too-large":
            return PayloadTooLargeError(message, field="payload", cure=cure)
        case "job-not-found":
            return JobNotFoundError(message, cure=cure)
        case "job-state" | "job-failed":
            return JobStateError(message, cure=cure)
        case "unauthenticated" | "forbidden":
            return PermissionDeniedError(message, subject=what, cure=cure)
        case _ if status in (400, 404, 409, 422):
            return InputError(message, field=field, cure=cure)
        case _ if status in (429, 503):
            return BusError(message, cure=cure)
        case _:
            return NoAnswerError(f"{what}: {status}: {message}", cure=cure)


def _find_field(problem: Mapping[str, Any]) -> str:
    for fault in problem.get("errors") or ():
        if fault.get("pointer"):
            path = str(fault["pointer"]).removeprefix("#/").replace("/", ".")
            return path.replace("~1", "/").replace("~0", "~")
        if fault.get("parameter"):
            return str(fault["parameter"])
    return ""
