"""`kind: Job`: the declaration of a piece of background work.

Only fields that some code obeys are here; a field comes with that code. What is not declared stays None where the
decorator or the default counts instead (the call's option, else the manifest, else the decorator, else the default).
All rules that need no look outside the manifest are checked here, so that the laptop and the cluster refuse the same.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import ConfigDict, Field, field_validator, model_validator

from jetmill.protocol.record import JobSettings
from jetmill_operator.api.part import Label, Part, build_refusal

HANDLER = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"
WEEK_SECONDS = 604_800
YEAR_SECONDS = 31_622_400
MAX_PAYLOAD_BYTES = 67_108_864
MAX_REPLICAS = 1_000


class Metadata(Part):
    """The part of an object's metadata that Jetmill reads; what an API server adds is ignored."""

    model_config = ConfigDict(extra="ignore")

    name: Label
    """The Job's name: an RFC 1123 label (1 to 63 of a-z, 0-9 and '-'), for it becomes a part of NATS subjects."""
    namespace: Label | None = None
    """The namespace; without one, where the manifest is applied to."""


class EnvVar(Part):
    """One environment variable of a worker."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """The variable's name: letters, digits and '_', not beginning with a digit."""
    value: str = ""
    """Its value; a text (put quotes around numbers and booleans)."""


class WorkerSpec(Part):
    """The processes that run the jobs."""

    image: Annotated[str, Field(min_length=1)] | None = None
    """The container image, in a cluster; `jetmill dev` runs the code of the folder and ignores it."""
    concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Jobs at once in one worker, 1 to 10000."""
    executor: Literal["auto", "async", "thread", "process"] | None = None
    """Where handlers run: auto (async functions on the event loop, others on threads), async, thread or process."""
    env: Annotated[list[EnvVar], Field(default_factory=list)]
    """Environment variables of the worker: a list of {name, value}."""

    @field_validator("env")
    @classmethod
    def _names_once(cls, env: list[EnvVar]) -> list[EnvVar]:
        names = [var.name for var in env]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise build_refusal(f"{index}.name", f"{name} is there twice", "keep one of them")
        return env


class RetrySpec(Part):
    """What happens after an attempt that failed."""

    max_retries: Annotated[int, Field(ge=0, le=1_000)] | None = None
    """Attempts after the first, 0 to 1000; 3 allows four attempts."""
    initial_delay_seconds: Annotated[float, Field(ge=0, le=WEEK_SECONDS)] | None = None
    """The wait before the first retry, in seconds, 0 to 604800 (a week)."""
    factor: Annotated[float, Field(ge=1, le=100)] | None = None
    """What each wait is multiplied by for the next, 1 to 100."""
    max_delay_seconds: Annotated[float, Field(ge=0, le=WEEK_SECONDS)] | None = None
    """The longest wait, in seconds, 0 to 604800 (a week)."""
    jitter: bool | None = None
    """true: each wait is uniform between zero and the computed one, so that retries do not come in step."""

    @model_validator(mode="after")
    def _ordered(self) -> RetrySpec:
        first, longest = self.initial_delay_seconds, self.max_delay_seconds
        if first is not None and longest is not None and first > longest:
            raise build_refusal(
                "initialDelaySeconds", f"{first:g} is more than maxDelaySeconds ({longest:g})", "swap or lower it"
            )
        return self


class PayloadSpec(Part):
    """What a job may be called with."""

    json_schema: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    """A JSON Schema (draft 2020-12 unless it says otherwise) that payloads must fit, checked when they are enqueued."""
    max_bytes: Annotated[int, Field(ge=2, le=MAX_PAYLOAD_BYTES)] = 1_048_576
    """The largest payload and the largest result, in bytes of JSON, 2 to 67108864 (64 MiB)."""

    @field_validator("json_schema")
    @classmethod
    def _is_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        import jsonschema_rs

        if schema is not None:
            try:
                jsonschema_rs.validator_for(schema)
            except (ValueError, jsonschema_rs.ValidationError) as err:
                what = str(err).partition("\n")[0]
                raise build_refusal("", f"no JSON Schema: {what}", "see https://json-schema.org/specification") from err
        return schema


class RetentionSpec(Part):
    """How long finished jobs are kept; unfinished ones are always kept."""

    succeeded_seconds: Annotated[float, Field(ge=0, le=YEAR_SECONDS)] = 86_400
    """For jobs that succeeded, were skipped or cancelled: seconds, 0 to 31622400 (a year); a day if not given."""
    failed_seconds: Annotated[float, Field(ge=0, le=YEAR_SECONDS)] = 1_209_600
    """For jobs that failed: seconds, 0 to 31622400 (a year); two weeks if not given."""


class ScalingSpec(Part):
    """How many workers."""

    min_replicas: Annotated[int, Field(ge=0, le=MAX_REPLICAS)] = 0
    """The fewest workers, 0 to 1000; with 0 the first job starts one."""
    max_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] = 10
    """The most workers, 1 to 1000."""
    target_drain_seconds: Annotated[float, Field(ge=1, le=86_400)] = 30
    """So many workers are wanted that the backlog is done in this time: seconds, 1 to 86400 (a day)."""
    cooldown_seconds: Annotated[float, Field(ge=0, le=86_400)] = 60
    """For how long fewer workers must have been enough before one is stopped: seconds, 0 to 86400 (a day)."""

    @model_validator(mode="after")
    def _ordered(self) -> ScalingSpec:
        if self.min_replicas > self.max_replicas:
            raise build_refusal(
                "minReplicas",
                f"{self.min_replicas} is more than maxReplicas ({self.max_replicas})",
                "lower minReplicas or raise maxReplicas",
            )
        return self


class JobSpec(Part):
    """What is to be run, how, and by how many."""

    handler: Annotated[str, Field(pattern=HANDLER)] | None = None
    """The Python function that runs a job, as module:function (shop.tasks:send_email)."""
    command: Annotated[list[str], Field(min_length=1)] | None = None
    """A program instead of a handler, as a list of texts: payload on stdin, result on stdout."""
    worker: WorkerSpec = WorkerSpec()
    timeout_seconds: Annotated[float, Field(gt=0, le=WEEK_SECONDS)] | None = None
    """The longest that an attempt may run: seconds, above 0 and at most 604800 (a week)."""
    lease_seconds: Annotated[int, Field(ge=1, le=600)] = 30
    """After how long without a sign of life a worker counts as gone: whole seconds, 1 to 600."""
    retry: RetrySpec = RetrySpec()
    payload: PayloadSpec = PayloadSpec()
    retention: RetentionSpec = RetentionSpec()
    scaling: ScalingSpec = ScalingSpec()
    suspend: bool = False
    """true: jobs are accepted and wait, none is started."""
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What happens to waiting jobs when the Job is deleted: Retain (they wait for it to come back) or Delete."""

    @model_validator(mode="after")
    def _runs_one_thing(self) -> JobSpec:
        if self.handler is None and self.command is None:
            raise build_refusal("", "says neither handler nor command", "add `handler: module:function`")
        if self.handler is not None and self.command is not None:
            raise build_refusal("command", "stands beside handler", "keep one of the two")
        if self.command is not None and self.worker.executor not in (None, "auto"):
            raise build_refusal("worker.executor", "is for handlers", "a command runs as a program: leave it out")
        return self


class Job(Part):
    """A Job as written in a manifest."""

    api_version: Literal["jetmill.dev/v1alpha1"]
    kind: Literal["Job"]
    metadata: Metadata
    spec: JobSpec
    status: Annotated[dict[str, Any] | None, Field(exclude=True)] = None
    """What an operator observed; ignored in manifests."""

    @property
    def name(self) -> str:
        """The Job's name."""
        return self.metadata.name

    def to_settings(self, *, generation: int = 0) -> JobSettings:
        """The settings that clients and workers go by."""
        spec = self.spec
        schema = spec.payload.json_schema
        return JobSettings(
            job=self.metadata.name,
            generation=generation,
            handler=spec.handler,
            command=spec.command,
            concurrency=spec.worker.concurrency,
            executor=spec.worker.executor,
            timeout_seconds=spec.timeout_seconds,
            lease_seconds=float(spec.lease_seconds),
            max_retries=spec.retry.max_retries,
            initial_delay_seconds=spec.retry.initial_delay_seconds,
            factor=spec.retry.factor,
            max_delay_seconds=spec.retry.max_delay_seconds,
            jitter=spec.retry.jitter,
            payload_schema=None if schema is None else msgspec.Raw(msgspec.json.encode(schema, order="sorted")),
            payload_max_bytes=spec.payload.max_bytes,
            succeeded_seconds=float(spec.retention.succeeded_seconds),
            failed_seconds=float(spec.retention.failed_seconds),
            suspend=spec.suspend,
        )
