"""Schedules that handlers say of themselves (`@job(schedule=…)`), as declarations (ADR 23).

A handler's schedule becomes a ScheduledJob of its Job's name, labelled. What a person declares under that name outranks
it, as a manifest outranks a decorator everywhere; what was exported from the code gives way to the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jetmill_operator.api import API_VERSION
from jetmill_operator.api.refusal import list_refusals
from jetmill_operator.api.scheduledjob import ScheduledJob
from jetmill_operator.cluster.ports import SCHEDULED_JOB, Body
from jetmill_operator.dev.document import Document
from jetmill_operator.dev.fault import Fault, Note
from jetmill_operator.dev.manifest import DeclaredObject, Manifests, build_fault, check_calendar
from jetmill_operator.resources.label import CODE, MANAGED

KIND = SCHEDULED_JOB.name


@dataclass(frozen=True, slots=True)
class Said:
    """What a handler says of when it is run."""

    spec: dict[str, Any]
    """A ScheduledJob's, but for its `jobRef`."""
    file: Path
    line: int


def take_in(manifests: Manifests, said: Mapping[str, Said]) -> None:
    """Add a ScheduledJob for each Job (by name) whose handler says a schedule."""
    for key in [key for key, one in manifests.objects.items() if one.by_code]:
        del manifests.objects[key]
    # Nobody knows what the handler of a Job says that cannot be used: what it said goes on.
    manifests.faulty_objects |= {(KIND, name) for name in manifests.faulty}
    for name, one in said.items():
        key = (KIND, name)
        there = manifests.objects.get(key)
        if there is not None:
            what = f"ScheduledJob {name} counts, not what its handler says ({one.file}:{one.line})"
            manifests.notes.append(Note(there.document.file, there.line, what))
            continue
        if key in manifests.faulty_objects:
            continue
        found = _read(one, name, namespace=manifests.jobs[name].job.metadata.namespace)
        if isinstance(found, DeclaredObject):
            manifests.objects[key] = found
        else:
            manifests.faulty_objects.add(key)
            manifests.faults.extend(found)
    manifests.faults.sort()


def _read(said: Said, name: str, *, namespace: str | None) -> DeclaredObject | list[Fault]:
    document = Document(said.file, _build_body(said, name, namespace), {(): said.line})
    try:
        model = ScheduledJob.model_validate(document.value)
    except ValidationError as err:
        return [build_fault(document, refusal) for refusal in list_refusals(err, ScheduledJob)]
    fault = check_calendar(model, document)
    return DeclaredObject(SCHEDULED_JOB, model, document) if fault is None else [fault]


def _build_body(said: Said, name: str, namespace: str | None) -> Body:
    where = {} if namespace is None else {"namespace": namespace}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, **where, "labels": {MANAGED: CODE}},
        "spec": {"jobRef": {"name": name}, **said.spec},
    }
