"""From what somebody wants declared to an object, and from an object to the patch that makes it another one. Pure.

What the models refuse is refused here, with a pointer to each value and its cure, before the API server is asked; its
own words (rules about changes, quotas, policies) come after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from jetmill_operator.api.job import Job
from jetmill_operator.api.refusal import ValuePath, list_refusals
from jetmill_operator.api.scheduledjob import ScheduledJob
from jetmill_operator.api.webhook import Webhook
from jetmill_operator.calendar.errors import ScheduleError
from jetmill_operator.calendar.spec import build_calendar
from jetmill_operator.cluster.ports import JOB, SCHEDULED_JOB, WEBHOOK, Body, Kind
from jetmill_operator.gateway.web.problem import Fault, ProblemError

MODELS: Mapping[Kind, type[BaseModel]] = {JOB: Job, SCHEDULED_JOB: ScheduledJob, WEBHOOK: Webhook}
_MOST = 20
"""Faults that are told at once."""


def build_manifest(
    kind: Kind,
    *,
    namespace: str,
    name: str,
    spec: Mapping[str, Any],
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> Body:
    """Build an object as `kubectl apply` would send it."""
    metadata: Body = {"name": name, "namespace": namespace}
    metadata |= {key: dict(value) for key, value in (("labels", labels), ("annotations", annotations)) if value}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, "spec": dict(spec)}


def check_manifest(kind: Kind, body: Body, *, in_cluster: bool) -> None:
    """Raise ProblemError for what the kind's model refuses; `in_cluster`: a Job has to say where its pods come from."""
    head = body["metadata"]
    kept = {key: head[key] for key in ("name", "namespace", "labels", "annotations") if key in head}
    shown = {key: body[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": kept}
    model = MODELS[kind]
    try:
        found = model.model_validate(shown, context={"cluster": in_cluster})
    except ValidationError as err:
        refusals = list_refusals(err, model)
        faults = tuple(Fault(detail=f"{one.what}; {one.cure}", pointer=point(one.path)) for one in refusals[:_MOST])
        raise refuse_declaration(f"{refusals[0]}", faults) from err
    if isinstance(found, ScheduledJob):
        _check_calendar(found)


def _check_calendar(found: ScheduledJob) -> None:
    """What no schema says of a schedule: field and character."""
    try:
        build_calendar(found.spec)
    except ScheduleError as err:
        fault = Fault(detail=f"{err.what}; {err.cure}", pointer=point(("spec", err.field)))
        raise refuse_declaration(f"spec.{err}", (fault,)) from err


def refuse_declaration(detail: str, faults: tuple[Fault, ...]) -> ProblemError:
    """The problem of an object that cannot be declared."""
    return ProblemError("invalid-declaration", detail[:500], cure="correct what `errors` points at", faults=faults)


def point(path: ValuePath) -> str:
    """A value of an object as a pointer into the body, where name, labels and annotations stand beside the spec."""
    steps = path[1:] if path[:1] == ("metadata",) else path
    return "#/" + "/".join(str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def split_field(field: str) -> ValuePath:
    """A field as the API server names it (`spec.worker.env[0].name`) as a path."""
    steps = field.replace("]", "").replace("[", ".").split(".")
    return tuple(int(step) if step.isdigit() else step for step in steps if step)


def build_patch(before: Any, after: Any) -> Any:
    """The JSON merge patch (RFC 7386) that turns one value into another; null takes a field out."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    patch: Body = dict.fromkeys(before.keys() - after.keys())
    for key, value in after.items():
        if key not in before or before[key] != value:
            patch[key] = build_patch(before[key], value) if key in before else value
    return patch
