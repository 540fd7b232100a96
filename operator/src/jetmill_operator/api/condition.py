"""`status` of all kinds: what an operator observed. Written by it alone, never read from manifests.

Conditions are those of Kubernetes (metav1.Condition), so that `kubectl wait`, Argo CD and Flux read them; counters are
what a person asks first.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from jetmill_operator.api.part import Keyed, Part

Count = Annotated[int, Field(ge=0)]
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
"""A point in time as RFC 3339 writes it, in UTC: 2026-01-31T09:00:00Z."""
Reason = Annotated[str, Field(pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", max_length=1_024)]


class StatusPart(Part):
    """A mapping in a status: built by its Python names; fields that a newer operator wrote are ignored."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)


class Condition(StatusPart):
    """One statement about the object."""

    type: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=316)]
    """What it is about: Ready, Stalled, QueueReady, …"""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds: True, False or Unknown."""
    reason: Reason
    """Why, as one word for programs."""
    message: Annotated[str, Field(max_length=32_768)]
    """Why, as a sentence for people, with what to do."""
    last_transition_time: Time
    """When status last changed."""
    observed_generation: Count | None = None
    """The generation of the object that it was said of."""


class Status(StatusPart):
    """What an operator observed."""

    observed_generation: Annotated[int, Field(ge=-1)] | None = None
    """The generation of the object that this status is about; -1: nothing was observed yet."""
    conditions: Annotated[list[Condition], Field(max_length=32), Keyed("type")] | None = None
    """Statements about the object, one for each type; Ready is the one to wait for."""


class Backlog(StatusPart):
    """Jobs that are not finished."""

    ready: Count
    """Jobs that wait for a worker."""
    in_flight: Count
    """Jobs that workers hold."""
    delayed: Count
    """Jobs that are not due yet: scheduled, or waiting for their next attempt."""


class Workers(StatusPart):
    """Worker pods."""

    ready: Count
    """Workers that are ready."""
    desired: Count
    """Workers that the Deployment is told to have."""


class ScalingStatus(StatusPart):
    """The last decision of the autoscaler."""

    desired: Count
    """How many workers it wanted."""
    reason: Reason
    """Why, as one word for programs."""
    message: Annotated[str, Field(max_length=32_768)]
    """Why, as a sentence with the numbers it went by."""
    time: Time
    """When it was made."""


class LastDelivery(StatusPart):
    """The attempt that ended last."""

    time: Time
    """When it ended."""
    delivered: bool
    """Whether the receiver took it: an answer of 2xx."""
    status: Annotated[int, Field(ge=100, le=999)] | None = None
    """The status of the answer, if there was one."""
    error: Annotated[str, Field(max_length=1_024)] | None = None
    """Why it was not delivered."""


class Attempts(StatusPart):
    """Attempts of the last 24 hours."""

    delivered: Count
    """Those that the receiver took."""
    failed: Count
    """Those that it did not."""
    success_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """The share that it took, rounded down; not there without any attempt."""


class WebhookStatus(Status):
    """What an operator observed; written by it alone."""

    backlog: Backlog | None = None
    """Deliveries that are not done with; counted at most every 10 seconds."""
    attempts: Attempts | None = None
    """Attempts of the last 24 hours."""
    last_delivery: LastDelivery | None = None
    """The attempt that ended last."""
    failing_since: Time | None = None
    """When the first attempt failed after the last that did not; not there while all is well."""
    filter_errors: Count | None = None
    """Events that the filter's expression could not judge, and that were not sent."""


class JobStatus(Status):
    """What an operator observed; written by it alone."""

    backlog: Backlog | None = None
    """Jobs that are not finished; counted at most every 10 seconds."""
    workers: Workers | None = None
    """The workers."""
    scaling: ScalingStatus | None = None
    """The last decision about the number of workers that changed something, or that could not."""
    next_retry_time: Time | None = None
    """When the operator tries again, after something failed."""


class LastRun(StatusPart):
    """The job of the newest slot that was due."""

    id: Annotated[str, Field(max_length=63)]
    """The job's id."""
    schedule_time: Time
    """The time of the calendar that it stands for."""
    state: Annotated[str, Field(max_length=64)]
    """Where it stands: scheduled, queued, running, retrying, succeeded, failed, cancelled or skipped."""
    reason: Annotated[str, Field(max_length=64)] | None = None
    """Why, where a word says it: overlap, expired, exhausted, …"""


class ScheduledJobStatus(Status):
    """What an operator observed; written by it alone."""

    last_schedule_time: Time | None = None
    """The newest time of the calendar whose job was due."""
    last_run: LastRun | None = None
    """The job of that time."""
    next_runs: Annotated[list[Time], Field(max_length=5)] | None = None
    """The next times of the calendar."""
    active: Count | None = None
    """Jobs of this schedule that are due and have not ended."""
    missed: Count | None = None
    """Slots that nobody planned in time and that were not made up for, since the schedule was created."""
    next_retry_time: Time | None = None
    """When the operator tries again, after something failed."""
