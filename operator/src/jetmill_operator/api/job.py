"""`kind: Job`: the declaration of a piece of background work.

Only fields that some code obeys are here; a field comes with that code. What is not declared stays None where the
decorator or the default counts instead (the call's option, else the manifest, else the decorator, else the default).
All rules that need no look outside the manifest are checked here, so that the laptop and the cluster refuse the same,
but for one: in a cluster a Job needs an image, or another Job's workers, where a laptop runs the folder's code. Read
with `context=IN_CLUSTER` for that.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, model_validator

from jetmill.protocol.name import DELIVERIES, is_delivery
from jetmill.protocol.record import JobSettings, TriggerSettings
from jetmill_operator.api.part import RULES, EventPattern, Metadata, Opaque, Part, build_refusal, build_rule
from jetmill_operator.api.worker import WorkerSpec

_DOTTED = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*"
HANDLER = rf"^{_DOTTED}:{_DOTTED}$"
WEEK_SECONDS = 604_800
YEAR_SECONDS = 31_622_400
MAX_PAYLOAD_BYTES = 67_108_864
MAX_REPLICAS = 1_000
_PAYLOADS: dict[str, Literal["event", "data"]] = {"Event": "event", "Data": "data"}
IN_CLUSTER = {"cluster": True}
"""The context of `model_validate` that demands what a cluster does."""


class RetrySpec(Part):
    """What happens after an attempt that failed."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                build_rule(
                    "!has(self.initialDelaySeconds) || !has(self.maxDelaySeconds) || "
                    "self.initialDelaySeconds <= self.maxDelaySeconds",
                    "initialDelaySeconds is more than maxDelaySeconds: swap or lower it",
                    field=".initialDelaySeconds",
                )
            ]
        }
    )

    max_retries: Annotated[int, Field(ge=0, le=1_000)] | None = None
    """Attempts after the first, 0 to 1000; 3 (if nobody says otherwise) allows four attempts."""
    initial_delay_seconds: Annotated[float, Field(ge=0, le=WEEK_SECONDS)] | None = None
    """The wait before the first retry, in seconds, 0 to 604800 (a week); 2 if nobody says otherwise."""
    factor: Annotated[float, Field(ge=1, le=100)] | None = None
    """What each wait is multiplied by for the next, 1 to 100; 2 if nobody says otherwise."""
    max_delay_seconds: Annotated[float, Field(ge=0, le=WEEK_SECONDS)] | None = None
    """The longest wait, in seconds, 0 to 604800 (a week); 3600 if nobody says otherwise."""
    jitter: bool | None = None
    """true: each wait is uniform between zero and the computed one, so that retries do not come in step; true if
    nobody says otherwise."""

    @model_validator(mode="after")
    def _ordered(self) -> RetrySpec:
        first, longest = self.initial_delay_seconds, self.max_delay_seconds
        if first is not None and longest is not None and first > longest:
            raise build_refusal(
                "initialDelaySeconds", f"{first:g} is more than maxDelaySeconds ({longest:g})", "swap or lower it"
            )
        return self


def _refuse_no_schema(schema: dict[str, Any]) -> dict[str, Any]:
    import jsonschema_rs

    try:
        jsonschema_rs.validator_for(schema, retriever=_fetch_nothing)
    except (ValueError, jsonschema_rs.ValidationError) as err:
        what = str(err).partition("\n")[0]
        raise build_refusal("", f"no JSON Schema: {what}", "see https://json-schema.org/specification") from err
    return schema


def _fetch_nothing(uri: str) -> Any:
    """Keep a schema from making the operator ask addresses or read files of its choice."""
    raise ValueError(f"{uri} is not fetched: write it below $defs")


JsonSchema = Annotated[Opaque, AfterValidator(_refuse_no_schema)]


class PayloadSpec(Part):
    """What a job may be called with."""

    json_schema: Annotated[JsonSchema | None, Field(alias="schema")] = None
    """A JSON Schema (draft 2020-12 unless it says otherwise) that payloads must fit, checked when they are enqueued."""
    max_bytes: Annotated[int, Field(ge=2, le=MAX_PAYLOAD_BYTES)] = 1_048_576
    """The largest payload and the largest result, in bytes of JSON, 2 to 67108864 (64 MiB); 1048576 (1 MiB) if not
    given."""


class RetentionSpec(Part):
    """How long finished jobs are kept; unfinished ones are always kept."""

    succeeded_seconds: Annotated[float, Field(ge=0, le=YEAR_SECONDS)] = 86_400
    """For jobs that succeeded, were skipped or cancelled: seconds, 0 to 31622400 (a year); a day if not given."""
    failed_seconds: Annotated[float, Field(ge=0, le=YEAR_SECONDS)] = 1_209_600
    """For jobs that failed: seconds, 0 to 31622400 (a year); two weeks if not given."""


class ScalingSpec(Part):
    """How many workers."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                build_rule(
                    "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
                    "minReplicas is more than maxReplicas: lower minReplicas or raise maxReplicas",
                    field=".minReplicas",
                )
            ]
        }
    )

    min_replicas: Annotated[int, Field(ge=0, le=MAX_REPLICAS)] = 0
    """The fewest workers, 0 to 1000; with 0 (if not given) the first job starts one."""
    max_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] = 10
    """The most workers, 1 to 1000; 10 if not given."""
    target_drain_seconds: Annotated[float, Field(ge=1, le=86_400)] = 30
    """So many workers are wanted that the backlog is done in this time: seconds, 1 to 86400 (a day); 30 if not
    given."""
    cooldown_seconds: Annotated[float, Field(ge=0, le=86_400)] = 60
    """For how long fewer workers must have been enough before one is stopped: seconds, 0 to 86400 (a day); 60 if
    not given."""

    @model_validator(mode="after")
    def _ordered(self) -> ScalingSpec:
        if self.min_replicas > self.max_replicas:
            raise build_refusal(
                "minReplicas",
                f"{self.min_replicas} is more than maxReplicas ({self.max_replicas})",
                "lower minReplicas or raise maxReplicas",
            )
        return self


def _refuse_no_expression(text: str) -> str:
    from jetmill_operator.dispatch.expression import ExpressionError, compile_expression

    try:
        compile_expression(text)
    except ExpressionError as err:
        cure = "see docs/events.md for what a filter can say"
        raise build_refusal("", f"{err.position}: {err.reason}", cure) from err
    return text


Filter = Annotated[str, Field(min_length=1, max_length=4_096), AfterValidator(_refuse_no_expression)]


class TriggerSpec(Part):
    """Events that enqueue a job each."""

    event: EventPattern
    """A type of events: one to eight labels joined by dots (doc.created), a beginning (doc.*) or all (*)."""
    filter: Filter | None = None
    """A CEL expression over event: only events for which it is true enqueue a job (event.data.amount > 100)."""
    payload: Literal["Event", "Data"] = "Event"
    """What the job is called with: Event (if not given: the whole CloudEvent as its argument event) or Data (the
    event's data, whose fields are its arguments)."""


Argument = Annotated[str, Field(max_length=4_096)]


class JobSpec(Part):
    """What is to be run, how, and by how many."""

    model_config = ConfigDict(
        json_schema_extra={
            RULES: [
                build_rule(
                    "has(self.handler) != has(self.command)",
                    "exactly one of handler and command has to be there: `handler: module:function`, or "
                    "`command: [program, argument]`",
                ),
                build_rule(
                    "has(self.worker) && has(self.worker.image) != has(self.worker.from)",
                    "exactly one of worker.image and worker.from has to be there: add the image of the workers, or "
                    "`from: {name: JOB}` to run on another Job's",
                    field=".worker",
                ),
                build_rule(
                    "!has(self.command) || !has(self.worker) || !has(self.worker.executor) || "
                    "self.worker.executor == 'auto'",
                    "worker.executor is for handlers, a command runs as a program: leave it out",
                    field=".worker.executor",
                ),
            ]
        }
    )

    handler: Annotated[str, Field(pattern=HANDLER, max_length=512)] | None = None
    """The Python function that runs a job, as module:function (shop.tasks:send_email)."""
    command: Annotated[list[Argument], Field(min_length=1, max_length=256)] | None = None
    """A program instead of a handler, as a list of texts: payload on stdin, result on stdout."""
    worker: WorkerSpec = WorkerSpec()
    """The processes that run the jobs, and in a cluster their pods."""
    timeout_seconds: Annotated[float, Field(gt=0, le=WEEK_SECONDS)] | None = None
    """The longest that an attempt may run: seconds, above 0 and at most 604800 (a week); else 300."""
    lease_seconds: Annotated[int, Field(ge=1, le=600)] = 30
    """After how long without a sign of life a worker counts as gone: whole seconds, 1 to 600; 30 if not
    given."""
    retry: RetrySpec = RetrySpec()
    """What happens after an attempt that failed; the decorator says it for what is left out."""
    payload: PayloadSpec = PayloadSpec()
    """What a job may be called with."""
    retention: RetentionSpec = RetentionSpec()
    """How long finished jobs are kept; unfinished ones are always kept."""
    scaling: ScalingSpec = ScalingSpec()
    """How many workers."""
    triggers: Annotated[list[TriggerSpec], Field(max_length=32)] | None = None
    """Events that enqueue a job each; one that comes again enqueues nothing more."""
    suspend: bool = False
    """true: jobs are accepted and wait, none is started."""
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """What happens to waiting jobs when the Job is deleted: Retain (if not given: they wait for it to come back)
    or Delete (they are cancelled)."""

    @model_validator(mode="after")
    def _runs_one_thing(self) -> JobSpec:
        if self.handler is None and self.command is None:
            raise build_refusal("", "says neither handler nor command", "add `handler: module:function`")
        if self.handler is not None and self.command is not None:
            raise build_refusal("command", "stands beside handler", "keep one of the two")
        if self.command is not None and self.worker.executor not in (None, "auto"):
            raise build_refusal("worker.executor", "is for handlers", "a command runs as a program: leave it out")
        return self

    @model_validator(mode="after")
    def _runs_somewhere(self, info: ValidationInfo) -> JobSpec:
        if (info.context or {}).get("cluster") and self.worker.image is None and self.worker.from_ is None:
            raise build_refusal("worker", "says neither image nor from", "add `image: …` or `from: {name: JOB}`")
        return self


class Job(Part):
    """Declares a piece of background work: what runs, on which workers, how often it is tried, how it scales."""

    api_version: Literal["jetmill.dev/v1alpha1"]
    kind: Literal["Job"]
    metadata: Metadata
    spec: JobSpec
    """What is wanted: at the least a handler or a command."""
    status: Annotated[dict[str, Any] | None, Field(exclude=True)] = None
    """What an operator observed; ignored in manifests."""

    @model_validator(mode="after")
    def _rides_on_another(self) -> Job:
        ridden = self.spec.worker.from_
        if ridden is not None and ridden.name == self.metadata.name:
            raise build_refusal("spec.worker.from.name", "is this Job itself", "name another Job")
        return self

    @model_validator(mode="after")
    def _has_a_name_of_its_own(self) -> Job:
        if is_delivery(self.metadata.name):
            what = f"begins with {DELIVERIES}, as those of Webhooks' deliveries do"
            raise build_refusal("metadata.name", what, "choose another one")
        return self

    @property
    def name(self) -> str:
        """The Job's name."""
        return self.metadata.name

    def to_settings(self, *, generation: int = 0, uid: str = "") -> JobSettings:
        """The settings that clients and workers go by; `uid` is that of the object in a cluster."""
        spec, carrier = self.spec, self.spec.worker.from_
        schema = spec.payload.json_schema
        return JobSettings(
            job=self.metadata.name,
            generation=generation,
            uid=uid,
            carrier=None if carrier is None else carrier.name,
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
            triggers=[
                TriggerSettings(event=one.event, expression=one.filter, payload=_PAYLOADS[one.payload])
                for one in spec.triggers or ()
            ],
        )
