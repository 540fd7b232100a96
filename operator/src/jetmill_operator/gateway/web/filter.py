"""The filters of lists, counts and groups, read from a query: one dependency, so that all of them take the same."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

from litestar import Request
from litestar.params import QueryParameter

from jetmill.errors import InputError
from jetmill.protocol.name import is_label
from jetmill.protocol.state import OPEN, Reason, State
from jetmill_operator.gateway.projection import JobFilter
from jetmill_operator.gateway.web.problem import Fault, ProblemError
from jetmill_operator.gateway.web.served import served_for

MAX_VALUES = 50
"""Of one filter."""

Several = list[str] | None


async def provide_filter(  # noqa: PLR0913, PLR0917 - a list has as many filters as it has
    request: Request[Any, Any, Any],
    job: Annotated[Several, QueryParameter(description="The Job's name; several are alternatives")] = None,
    states: Annotated[
        Several, QueryParameter(name="state", description="A state, or `open` for all that is not final")
    ] = None,
    reason: Annotated[Several, QueryParameter(description="Why the last record says what it says")] = None,
    label: Annotated[Several, QueryParameter(description="`key=value`; all of them have to hold")] = None,
    user: Annotated[str | None, QueryParameter(description="Who enqueued it", max_length=256)] = None,
    schedule: Annotated[str | None, QueryParameter(description="The ScheduledJob that it is of")] = None,
    created_after: Annotated[
        datetime | None, QueryParameter(name="createdAfter", description="Enqueued then or later (RFC 3339)")
    ] = None,
    created_before: Annotated[
        datetime | None, QueryParameter(name="createdBefore", description="Enqueued before that")
    ] = None,
    updated_after: Annotated[
        datetime | None, QueryParameter(name="updatedAfter", description="Changed then or later")
    ] = None,
    updated_before: Annotated[
        datetime | None, QueryParameter(name="updatedBefore", description="Changed before that")
    ] = None,
    error: Annotated[
        str | None,
        QueryParameter(
            description="Text in the type or message of the last error, whatever the case", min_length=3, max_length=256
        ),
    ] = None,
    error_group: Annotated[
        str | None,
        QueryParameter(
            name="errorGroup",
            description="The key of a group of errors: of those exactly",
            min_length=1,
            max_length=1_024,
        ),
    ] = None,
) -> JobFilter:
    """Which jobs a query means; ProblemError."""
    return JobFilter(
        namespace=served_for(request).namespace,
        job=tuple(_names(job, "job")),
        state=frozenset(_states(states)),
        reason=tuple(_reasons(reason)),
        label=_labels(label),
        user=user,
        schedule=schedule,
        created_after=micros_of(created_after, "createdAfter"),
        created_before=micros_of(created_before, "createdBefore"),
        updated_after=micros_of(updated_after, "updatedAfter"),
        updated_before=micros_of(updated_before, "updatedBefore"),
        error=error,
        error_group=error_group,
    )


def micros_of(time: datetime | None, name: str) -> int | None:
    """A moment in µs; ProblemError for one without a zone. Pure."""
    if time is None:
        return None
    if time.utcoffset() is None:
        raise refuse(name, f"{time.isoformat()} has no time zone: end it with Z")
    return max(0, round(time.timestamp() * 1_000_000))


def refuse(name: str, detail: str) -> ProblemError:
    """The problem for a parameter that cannot be used."""
    return ProblemError(
        "invalid-parameter", f"{name}: {detail}"[:300], faults=(Fault(detail=detail[:300], parameter=name),)
    )


@contextlib.contextmanager
def refusing_parameters() -> Iterator[None]:
    """What the projection finds wrong with what it is asked is a parameter's fault here."""
    try:
        yield
    except InputError as err:
        fault = Fault(detail=err.message, parameter=err.field)
        raise ProblemError("invalid-parameter", err.message, cure=err.cure, faults=(fault,)) from err


def split(values: Several, name: str) -> list[str]:
    """Values that were given one by one, or parted by commas. Pure."""
    parts = [part for value in values or () for part in value.split(",") if part]
    if len(parts) > MAX_VALUES:
        raise refuse(name, f"at most {MAX_VALUES} values")
    return list(dict.fromkeys(parts))


def _names(values: Several, name: str) -> list[str]:
    names = split(values, name)
    for one in names:
        if not is_label(one):
            raise refuse(name, f"{one[:80]!r} is no name")
    return names


def _states(values: Several) -> set[State]:
    found: set[State] = set()
    for one in split(values, "state"):
        if one == "open":
            found |= OPEN
        elif one in set(State):
            found.add(State(one))
        else:
            raise refuse("state", f"no state {one[:80]!r}; known: open, {', '.join(State)}")
    return found


def _reasons(values: Several) -> list[str]:
    reasons = split(values, "reason")
    for one in reasons:
        if one not in set(Reason):
            raise refuse("reason", f"no reason {one[:80]!r}; known: {', '.join(Reason)}")
    return reasons


def _labels(values: Several) -> dict[str, str]:
    labels: dict[str, str] = {}
    for one in values or ():
        key, parted, value = one.partition("=")
        if not parted or not key:
            raise refuse("label", f"{one[:80]!r} is no key=value")
        if labels.setdefault(key, value) != value:
            raise refuse("label", f"{key[:80]!r} cannot have two values")
    if len(labels) > MAX_VALUES:
        raise refuse("label", f"at most {MAX_VALUES} values")
    return labels
