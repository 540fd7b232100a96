"""Errors as RFC 9457 problems: one table of types, one translation. A type's URI never changes its meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from litestar.exceptions import HTTPException, ValidationException

from jetmill.errors import (
    BusError,
    CodecError,
    InputError,
    InvalidPayloadError,
    JetmillError,
    JobFailedError,
    JobNotFoundError,
    JobStateError,
    PayloadTooLargeError,
    UnknownJobError,
    UnknownScheduleError,
)
from jetmill_operator.gateway.access.errors import (
    AccessUnavailableError,
    DeniedError,
    HiddenError,
    UnauthenticatedError,
)

BASE = "https://jetmill.dev/problems/"
MEDIA_TYPE = "application/problem+json"

TYPES: Mapping[str, tuple[int, str]] = {
    "invalid-request": (400, "The request cannot be read"),
    "invalid-parameter": (400, "A parameter cannot be used"),
    "unauthenticated": (401, "Nobody knows who asks"),
    "forbidden": (403, "That is not allowed"),
    "cluster-refused": (403, "The cluster refused it"),
    "foreign-origin": (403, "The request comes from a page of another site"),
    "not-found": (404, "There is nothing at this address"),
    "job-not-found": (404, "There is no such job"),
    "namespace-not-served": (404, "This gateway does not serve that namespace"),
    "method-not-allowed": (405, "This address does not know that method"),
    "already-declared": (409, "There is one of that name already"),
    "declared-in-file": (409, "A file declares it"),
    "job-state": (409, "The job's state does not allow that"),
    "confirm-count": (409, "Say how many jobs that are"),
    "job-failed": (409, "The job has no result, for it ended otherwise"),
    "precondition-failed": (412, "It is another version by now"),
    "too-large": (413, "That is too much"),
    "unsupported-media-type": (415, "The body has to be JSON"),
    "invalid-input": (422, "What was given cannot be accepted"),
    "invalid-payload": (422, "The payload does not fit the Job"),
    "invalid-declaration": (422, "That cannot be declared"),
    "unknown-job": (422, "There is no Job of that name"),
    "idempotency-key-reused": (422, "The same key was given with another request"),
    "precondition-required": (428, "The request has to say which version it is of"),
    "too-many-requests": (429, "Too many requests"),
    "internal-error": (500, "Jetmill made a mistake"),
    "projection-unavailable": (503, "There are no lists yet"),
    "projection-behind": (503, "The lists are behind the ledger"),
    "cluster-unavailable": (503, "The Kubernetes API cannot be asked what is declared"),
    "bus-unavailable": (503, "NATS cannot be reached, or did not answer"),
    "access-unavailable": (503, "The Kubernetes API cannot be asked who you are or what you may"),
}
"""Slug → status, title. `docs/rest.md` shows it."""

_STATUSES = {400: "invalid-request", 404: "not-found", 405: "method-not-allowed", 413: "too-large"}
_STATUSES |= {401: "unauthenticated", 403: "forbidden", 415: "unsupported-media-type", 422: "invalid-input"}


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong."""

    detail: str
    pointer: str | None = None
    """A JSON pointer into the body, as a fragment: `#/payload/to`."""
    parameter: str | None = None
    """The name of a query parameter or header."""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What went wrong, as RFC 9457 wants it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    """The request's id, as a URN."""
    cure: str = ""
    """What to do about it."""
    errors: tuple[Fault, ...] = ()
    retryable: bool | None = None
    count: int | None = None
    """How many jobs were meant."""


class ProblemError(Exception):
    """A problem that a handler raises, where no error of ours says it."""

    def __init__(
        self,
        slug: str,
        detail: str,
        *,
        cure: str = "",
        faults: tuple[Fault, ...] = (),
        headers: Mapping[str, str] | None = None,
        count: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail
        self.cure = cure
        self.faults = faults
        self.headers = dict(headers or {})
        self.count = count


def make_problem(slug: str, detail: str, *, cure: str = "", errors: tuple[Fault, ...] = ()) -> Problem:
    """Build a problem of a known type."""
    status, title = TYPES[slug]
    retryable = True if status in (429, 503) else None
    return Problem(
        type=BASE + slug, title=title, status=status, detail=detail, cure=cure, errors=errors, retryable=retryable
    )


def explain(error: BaseException) -> tuple[Problem, dict[str, str]]:
    """The problem for an error, and the headers that go with it."""
    match error:
        case ProblemError():
            problem = make_problem(error.slug, error.detail, cure=error.cure, errors=error.faults)
            return msgspec.structs.replace(problem, count=error.count), error.headers
        case AccessUnavailableError():
            retry = {"Retry-After": str(max(1, round(error.retry_after_seconds)))}
            return make_problem("access-unavailable", error.message, cure=error.cure), retry
        case UnauthenticatedError():
            challenge = {"WWW-Authenticate": 'Bearer realm="jetmill"'}
            return make_problem("unauthenticated", error.message, cure=error.cure), challenge
        case JetmillError():
            return _explain_ours(error), {"Retry-After": "2"} if isinstance(error, BusError) else {}
        case ValidationException():
            return _explain_validation(error), {}
        case HTTPException():
            slug = _STATUSES.get(error.status_code, "invalid-request" if error.status_code < 500 else "internal-error")
            detail = error.detail if error.status_code < 500 else TYPES[slug][1]
            return make_problem(slug, _plain(detail)), dict(error.headers or {})
        case _:
            return make_problem("internal-error", "the log has it under this request's id"), {}


def _explain_ours(error: JetmillError) -> Problem:
    slug = _slug_of(error)
    faults: tuple[Fault, ...] = ()
    if isinstance(error, InputError) and error.field:
        faults = (Fault(detail=error.message, pointer=_pointer(slug, error.field)),)
    detail = "the log has it under this request's id" if slug == "internal-error" else error.message
    return make_problem(slug, detail, cure=error.cure, errors=faults)


def _slug_of(error: JetmillError) -> str:
    match error:
        case DeniedError():
            return "forbidden"
        case HiddenError() | JobNotFoundError():
            return "job-not-found"
        case JobFailedError():
            return "job-failed"
        case JobStateError():
            return "job-state"
        case PayloadTooLargeError():
            return "too-large"
        case InvalidPayloadError():
            return "invalid-payload"
        case UnknownJobError():
            return "unknown-job"
        case UnknownScheduleError():
            return "not-found"
        case InputError():
            return "invalid-input"
        case BusError():
            return "bus-unavailable"
        case CodecError():
            return "internal-error"
        case _:
            return "internal-error"


_CAMEL = {
    "max_retries": "maxRetries",
    "timeout": "timeoutSeconds",
    "delay": "delaySeconds",
    "start_by": "startBy",
    "concurrency_key": "concurrencyKey",
    "concurrency_policy": "concurrencyPolicy",
}


def _pointer(slug: str, field: str) -> str:
    """A field of ours as a pointer into the body; those of a payload lie below it."""
    parts = [part for part in re.split(r"[.\[\]]", field) if part]
    parts = [_CAMEL.get(parts[0], parts[0]), *parts[1:]] if parts else []
    if slug == "invalid-payload" and parts[:1] != ["payload"]:
        parts = ["payload", *parts]
    return "#/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in parts)


_PATH = re.compile(r" - at `\$\.?([^`]*)`")


def _explain_validation(error: ValidationException) -> Problem:
    extra: Any = error.extra
    found = [one for one in extra if isinstance(one, dict)] if isinstance(extra, list) else []
    faults = tuple(_read_fault(one) for one in found)
    body = any(fault.pointer is not None for fault in faults) or not faults
    detail = "; ".join(fault.detail for fault in faults) or "the request cannot be read"
    return make_problem("invalid-request" if body else "invalid-parameter", detail, errors=faults)


def _read_fault(found: dict[str, Any]) -> Fault:
    message = _plain(str(found.get("message", "")))
    key = str(found.get("key", ""))
    source = found.get("source", "")
    if str(getattr(source, "value", source)) in ("query", "header", "path", "cookie"):
        return Fault(detail=f"{key}: {message}" if key else message, parameter=key or None)
    path = key.removeprefix("data").strip(".")
    return Fault(detail=message, pointer="#/" + "/".join(part for part in re.split(r"[.\[\]]", path) if part))


def _plain(text: str) -> str:
    return _PATH.sub(lambda match: f" (at {match[1]})" if match[1] else "", text)[:500]
