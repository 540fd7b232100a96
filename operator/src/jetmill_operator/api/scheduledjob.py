"""`kind: ScheduledJob`: a calendar that enqueues jobs of one Job.

What a calendar means (fields, names, time zones, shifts) is not said here: `jetmill_operator.calendar` understands it,
and refuses by field and character what no schema can.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from jetmill_operator.api.part import (
    RULES,
    Metadata,
    Opaque,
    Part,
    build_one_of,
    build_refusal,
    build_rule,
    refuse_unless_one,
)
from jetmill_operator.api.worker import JobRef


def _parse_moment(value: object) -> str:
    """A time with its zone, as RFC 3339 writes it; YAML may have read it as a time already."""
    cure = "write a time with its zone: 2026-01-31T09:00:00Z"
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as err:
        raise build_refusal("", f"{value!r:.60} is no time", cure) from err
    if moment.tzinfo is None:
        raise build_refusal("", f"{value!r:.60} has no zone", cure)
    return moment.isoformat()


Moment = Annotated[
    str, PlainValidator(_parse_moment), WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 64})
]
HistoryLimit = Annotated[int, Field(ge=0, le=1_000)]


class CatchUp(Part):
    """What is done about slots that were missed: nobody planned them in time, and they are not to be skipped."""

    policy: Literal["None", "Last", "All"] = "Last"
    """None: nothing; Last: the newest is enqueued; All: all are, up to `max`."""
    max: Annotated[int, Field(ge=1, le=1_000)] = 10
    """How many are enqueued at most with All: the newest ones."""


class ScheduledJobSpec(Part):
    """When which Job is enqueued, and with what."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                # A slot's id comes from the schedule's uid: under another Job it would be another job of that id.
                build_rule(
                    "self.jobRef.name == oldSelf.jobRef.name",
                    "jobRef cannot change, for planned jobs belong to it: delete the ScheduledJob and create it anew",
                    field=".jobRef",
                ),
                build_one_of("schedule", "every"),
                build_rule(
                    "!has(self.startAt) || !has(self.endAt) || self.startAt <= self.endAt",
                    "endAt is before startAt: no slot lies between them",
                    field=".endAt",
                ),
            ]
        }
    )

    job_ref: JobRef
    """The Job that is enqueued; it cannot change."""
    schedule: Annotated[
        str | None, Field(pattern=r"^\s*(@[A-Za-z]+|\S+(\s+\S+){4,5})\s*$", min_length=1, max_length=256)
    ] = None
    """A cron expression: minute, hour, day of month, month, day of week; with six fields the first is the second; or
    @hourly, @daily, @weekly, @monthly, @yearly."""
    every: Annotated[str | None, Field(pattern=r"^([0-9]{1,9}[smhd])+$", max_length=40)] = None
    """Instead of `schedule` a length of time: 90s, 5m, 1h30m, 1d; counted from `startAt`, else from the Unix epoch."""
    time_zone: Annotated[str, Field(pattern=r"^[A-Za-z0-9_+/-]+$", max_length=64)] = "UTC"
    """The time zone of `schedule`, by its name in the IANA database, such as Europe/Berlin."""
    payload: Opaque | None = None
    """What each job is called with; by default nothing."""
    concurrency_policy: Literal["Allow", "Forbid", "Replace"] = "Allow"
    """What happens to a job while one of this schedule has not ended: Allow, both run; Forbid, it is skipped; Replace,
    the one before is cancelled."""
    starting_deadline_seconds: Annotated[float | None, Field(gt=0, le=31_622_400)] = None
    """A job that was not started by so long after it was due is skipped; by default it waits for ever."""
    catch_up: CatchUp = CatchUp()
    """What is done about slots that were missed."""
    jitter_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0
    """Each slot is due up to so much later, by an amount of its own that never changes: it spreads load."""
    start_at: Moment | None = None
    """No slot before this time."""
    end_at: Moment | None = None
    """No slot after this time."""
    suspend: bool = False
    """Nothing is enqueued, and what is planned is withdrawn, while this is true."""
    successful_jobs_history_limit: HistoryLimit | None = None
    """How many jobs that did not fail are kept; by default as long as the Job's `retention` says."""
    failed_jobs_history_limit: HistoryLimit | None = None
    """How many failed jobs are kept; by default as long as the Job's `retention` says."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        refuse_unless_one(self, "schedule", "every")
        start, end = self.start_at, self.end_at
        if start is not None and end is not None and datetime.fromisoformat(end) < datetime.fromisoformat(start):
            raise build_refusal("endAt", "is before startAt", "no slot lies between them: move one of them")
        return self


class ScheduledJob(Part):
    """Declares a calendar that enqueues jobs of one Job."""

    api_version: Literal["jetmill.dev/v1alpha1"]
    kind: Literal["ScheduledJob"]
    metadata: Metadata
    spec: ScheduledJobSpec
    """What is wanted."""
    status: Annotated[dict[str, Any] | None, Field(exclude=True)] = None
    """What an operator observed; ignored in manifests."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.metadata.name
