"""Schedules from code: what a program wants of its calendar, as a gateway takes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict

from jetmill.client.option import parse_time
from jetmill.errors import InputError

Concurrency = Literal["Allow", "Forbid", "Replace"]


class ScheduleOptions(TypedDict, total=False):
    """What besides its times a schedule may say; see `docs/schedules.md`."""

    time_zone: str
    payload: Mapping[str, Any]
    concurrency_policy: Concurrency
    starting_deadline: float | timedelta
    jitter: float | timedelta
    catch_up: Literal["None", "Last", "All"]
    catch_up_max: int
    start_at: datetime
    end_at: datetime
    suspend: bool


def build_spec(
    job: str, *, cron: str | None, every: str | timedelta | None, options: ScheduleOptions
) -> dict[str, Any]:
    """Build the spec of a ScheduledJob; InputError."""
    if (cron is None) == (every is None):
        raise InputError("a schedule wants cron or every", field="cron", cure="give one of them")
    spec: dict[str, Any] = {"jobRef": {"name": job}}
    if cron is not None:
        spec["schedule"] = cron
    else:
        spec["every"] = every if isinstance(every, str) else _write_every(every or timedelta())
    given: dict[str, Any] = dict(options)
    catch_up = {"policy": given.pop("catch_up", None), "max": given.pop("catch_up_max", None)}
    for name, key in (("starting_deadline", "startingDeadlineSeconds"), ("jitter", "jitterSeconds")):
        if name in given:
            value = given.pop(name)
            spec[key] = value.total_seconds() if isinstance(value, timedelta) else value
    for name, key in (("start_at", "startAt"), ("end_at", "endAt")):
        if name in given:
            spec[key] = parse_time(given.pop(name), field=name).isoformat()
    plain = {
        "time_zone": "timeZone",
        "payload": "payload",
        "concurrency_policy": "concurrencyPolicy",
        "suspend": "suspend",
    }
    for name, key in plain.items():
        if name in given:
            spec[key] = given.pop(name)
    if given:
        raise InputError(f"{next(iter(given))}: no option of a schedule", field=next(iter(given)))
    kept = {key: value for key, value in catch_up.items() if value is not None}
    return {**spec, "catchUp": kept} if kept else spec


def _write_every(every: timedelta) -> str:
    seconds = every.total_seconds()
    if seconds != int(seconds) or seconds < 1:
        raise InputError(f"every: {every} is no number of whole seconds", field="every")
    return f"{int(seconds)}s"
