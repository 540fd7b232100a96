"""`kind: ScheduledJob`: a calendar that enqueues jobs of one Job.

A field comes with the code that obeys it: this version keeps the reference and says `Ready: Unknown`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from jetmill_operator.api.part import RULES, Metadata, Part, build_rule
from jetmill_operator.api.worker import JobRef


class ScheduledJobSpec(Part):
    """Which Job is enqueued."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                # A slot's id comes from the schedule's uid: under another Job it would be another job of that id.
                build_rule(
                    "self.jobRef.name == oldSelf.jobRef.name",
                    "jobRef cannot change, for planned jobs belong to it: delete the ScheduledJob and create it anew",
                    field=".jobRef",
                )
            ]
        }
    )

    job_ref: JobRef
    """The Job that is enqueued; it cannot change."""


class ScheduledJob(Part):
    """Declares a calendar that enqueues jobs of one Job; this version keeps it and does not run it yet."""

    api_version: Literal["jetmill.dev/v1alpha1"]
    kind: Literal["ScheduledJob"]
    metadata: Metadata
    spec: ScheduledJobSpec
    """What is wanted."""
    status: Annotated[dict[str, Any] | None, Field(exclude=True)] = None
    """What an operator observed; ignored in manifests."""
