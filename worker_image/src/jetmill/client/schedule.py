"""Schedules from code: what a program wants of its calendar, as the spec of a ScheduledJob has it. Pure.

Whether an expression means anything is not known here: it is read where it is obeyed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict, Unpack

import msgspec

from jetmill.client.option import parse_time
from jetmill.errors import CodecError, InputError
from jetmill.protocol.codec import encode_value

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


class Schedule:
    """When the jobs of a handler are run: `@job(schedule=Schedule("0 3 * * *", time_zone="Europe/Berlin"))`.

    InputError for what cannot be a schedule; the expression itself is read by `jetmill dev` and `jetmill schedule`.
    """

    __slots__ = ("spec",)

    def __init__(
        self, cron: str | None = None, *, every: str | timedelta | None = None, **options: Unpack[ScheduleOptions]
    ) -> None:
        self.spec = build_spec(cron=cron, every=every, options=options)
        """The spec of a ScheduledJob but for its `jobRef`: values of JSON."""

    def __repr__(self) -> str:
        return f"<schedule {self.spec.get('schedule') or 'every ' + self.spec['every']}>"


def build_spec(*, cron: str | None, every: str | timedelta | None, options: ScheduleOptions) -> dict[str, Any]:
    """Build the spec of a ScheduledJob but for its `jobRef`; InputError."""
    if (cron is None) == (every is None):
        raise InputError("a schedule wants cron or every", field="cron", cure="give one of them")
    spec: dict[str, Any] = {}
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
    if "payload" in given:
        spec["payload"] = _read_payload(given.pop("payload"))
    plain = {"time_zone": "timeZone", "concurrency_policy": "concurrencyPolicy", "suspend": "suspend"}
    for name, key in plain.items():
        if name in given:
            spec[key] = given.pop(name)
    if given:
        raise InputError(f"{next(iter(given))}: no option of a schedule", field=next(iter(given)))
    kept = {key: value for key, value in catch_up.items() if value is not None}
    return {**spec, "catchUp": kept} if kept else spec


def _read_payload(payload: Mapping[str, Any]) -> Any:
    try:
        return msgspec.json.decode(encode_value(dict(payload)))
    except (CodecError, TypeError, ValueError) as err:
        raise InputError(f"payload: {err}", field="payload", cure="give arguments by name, of JSON's types") from err


def _write_every(every: timedelta) -> str:
    seconds = every.total_seconds()
    if seconds != int(seconds) or seconds < 1:
        raise InputError(f"every: {every} is no number of whole seconds", field="every")
    return f"{int(seconds)}s"
