"""From what a Job declares and what was seen of it to what is to be done: a value that can be printed and compared.

```
 finalizer ─▶ streams, consumers, settings ─▶ ServiceAccount ─▶ Deployment ─▶ PodDisruptionBudget ─▶ what is to go
                                                                 └ born at 0 ─▶ /scale ─▶ without replicas
```

An unchanged world plans nothing. What stands in the way of a part (an object that is not ours, no carrier) is an
obstacle: the other parts are planned all the same, so that jobs are accepted and wait.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import yaml
from msgspec import UnsetType

from jetmill.bus.ports import Change
from jetmill.errors import InputError
from jetmill.protocol.record import JobSettings
from jetmill_operator.api.job import Job
from jetmill_operator.cluster.ports import AUTOSCALER, BUDGET, DEPLOYMENT, SERVICE_ACCOUNT, Body, Kind
from jetmill_operator.resources.budget import build_budget
from jetmill_operator.resources.cover import covers, project
from jetmill_operator.resources.deployment import Rider, WorkerLink, build_deployment
from jetmill_operator.resources.label import (
    APPLIED,
    BORN,
    FINALIZER,
    find_controller,
    fingerprint,
    is_child,
    is_orphan_of,
    read_mark,
    sign,
)
from jetmill_operator.resources.serviceaccount import build_service_account


class Carrier(StrEnum):
    """What is known of the Job that `worker.from` names."""

    MISSING = "missing"
    """There is no such Job, or it is being deleted."""
    RIDES = "rides"
    """It rides on another Job itself, so it has no workers."""
    PRESENT = "present"
    """It has workers."""


class Blocked(StrEnum):
    """Why a part could not be planned."""

    INVALID_SPEC = "InvalidSpec"
    CONFLICT = "Conflict"
    CARRIER = "CarrierMissing"
    LEFTOVER = "Leftover"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands in the way of a part of the plan."""

    reason: Blocked
    message: str
    """What is wrong, and the cure."""
    passing: bool = False
    """It goes by itself: look again soon."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was observed of a Job."""

    body: Body
    """The Job itself, as the API server gives it."""
    deployment: Body | None = None
    service_account: Body | None = None
    budget: Body | None = None
    changes: tuple[Change, ...] | None = ()
    """What the bus would have to write; None: it could not be asked."""
    settings: JobSettings | UnsetType | None = None
    """The settings in the bus; UNSET: unreadable, so that they may be replaced."""
    riders: tuple[Rider, ...] = ()
    """The Jobs that ride on this one's workers."""
    carrier: Carrier | None = None
    """Of a Job that rides on another: what that one is."""


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Hold the Job until its queue is cleaned up."""

    finalizers: tuple[str, ...]
    """All of them, as they are to be."""


@dataclass(frozen=True, slots=True)
class ApplyQueue:
    """Make streams, consumers and settings as they should be."""

    settings: JobSettings
    changes: tuple[Change, ...]
    before: JobSettings | UnsetType | None = None
    """The settings that stood there when this was decided: who has been asleep since overwrites nothing."""


@dataclass(frozen=True, slots=True)
class ApplyObject:
    """Server-side apply by the operator's manager."""

    kind: Kind
    body: Body
    live: Body | None = field(default=None, compare=False)
    force: bool = True
    """False for what is not there yet: whoever makes one of that name meanwhile keeps it."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """Give the replicas to the autoscaler's manager, as they are."""

    name: str
    replicas: int


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Delete a child that is not wanted any more."""

    kind: Kind
    name: str
    uid: str


Step = AddFinalizer | ApplyQueue | ApplyObject | HandOver | DeleteObject


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, in their order."""

    steps: tuple[Step, ...] = ()
    obstacle: Obstacle | None = None
    """The first one."""

    def __bool__(self) -> bool:
        return bool(self.steps)

    def __str__(self) -> str:
        return "".join(_print_plan(self.steps))


def plan_job(job: Job, seen: Seen, link: WorkerLink) -> Plan:
    """Decide what is to be done for a Job that is not being deleted."""
    steps: list[Step] = []
    finalizers = tuple(seen.body["metadata"].get("finalizers") or ())
    if FINALIZER not in finalizers:
        steps.append(AddFinalizer((*finalizers, FINALIZER)))
    if seen.changes:
        steps.append(ApplyQueue(build_settings(job, seen.body), seen.changes, seen.settings))
    obstacle = _plan_children(job, seen, link, steps)
    return Plan(tuple(steps), obstacle)


def build_settings(job: Job, body: Body) -> JobSettings:
    """The settings of a Job as its object stands in the cluster."""
    meta = body["metadata"]
    return job.to_settings(generation=int(meta.get("generation", 0)), uid=str(meta["uid"]))


def _plan_children(job: Job, seen: Seen, link: WorkerLink, steps: list[Step]) -> Obstacle | None:
    try:
        account, deployment, budget = _build_children(job, seen, link)
    except InputError as err:
        return Obstacle(Blocked.INVALID_SPEC, str(err))
    children = (
        (SERVICE_ACCOUNT, account, seen.service_account),
        (DEPLOYMENT, deployment, seen.deployment),
        (BUDGET, budget, seen.budget),
    )
    obstacle = _find_carrier_obstacle(job, seen)
    for kind, wanted, live in children:
        found = None if wanted is None else _find_conflict(kind, live, seen.body)
        if found is not None:
            obstacle = obstacle or found
        elif wanted is not None:
            steps += _plan_deployment(wanted, live) if kind is DEPLOYMENT else _plan_object(kind, wanted, live)
    for kind, wanted, live in reversed(children):
        if wanted is None and live is not None and is_child(live, seen.body) and not _is_leaving(live):
            steps.append(DeleteObject(kind, live["metadata"]["name"], live["metadata"]["uid"]))
    return obstacle


def _build_children(job: Job, seen: Seen, link: WorkerLink) -> tuple[Body | None, Body | None, Body | None]:
    if job.spec.worker.from_ is not None:
        return None, None, None
    if job.spec.worker.image is None:
        raise InputError(
            "spec.worker: names neither image nor from", field="spec.worker", cure="add the image of its workers"
        )
    deployment = build_deployment(job, seen.body, seen.riders, link)
    return build_service_account(job, seen.body), deployment, build_budget(job, seen.body)


def _find_carrier_obstacle(job: Job, seen: Seen) -> Obstacle | None:
    carrier = job.spec.worker.from_
    if carrier is None or seen.carrier is Carrier.PRESENT:
        return None
    if seen.carrier is Carrier.RIDES:
        what, cure = f"{carrier.name} has no workers of its own", "name a Job that has worker.image"
    else:
        what, cure = f"there is no Job {carrier.name} in this namespace", "apply it, or give this one an image"
    return Obstacle(Blocked.CARRIER, f"spec.worker.from.name: {what} ({cure})")


def _find_conflict(kind: Kind, live: Body | None, job: Body) -> Obstacle | None:
    if live is None or is_child(live, job):
        return None
    name = f"{kind.name} {live['metadata']['name']}"
    if is_orphan_of(live, job):
        return Obstacle(Blocked.LEFTOVER, f"{name} of an earlier Job of this name is about to go", passing=True)
    owner = find_controller(live)
    whose = f"belongs to {owner.get('kind')} {owner.get('name')}" if owner else "is not this Job's"
    cure = f"kubectl delete {kind.plural} {live['metadata']['name']}, or give the Job another name"
    return Obstacle(Blocked.CONFLICT, f"{name} is there and {whose} ({cure})")


def _plan_object(kind: Kind, wanted: Body, live: Body | None) -> Iterator[Step]:
    signed = sign(wanted)
    if live is None:
        yield ApplyObject(kind, signed, force=False)
    elif read_mark(live) != fingerprint(wanted) or not covers(live, signed):
        yield ApplyObject(kind, signed, live)


def _plan_deployment(wanted: Body, live: Body | None) -> Iterator[Step]:
    """Born at 0, then its replicas are the autoscaler's; left out at birth, the server would start one pod."""
    if live is None:
        born = {**sign(wanted, BORN), "spec": {**wanted["spec"], "replicas": 0}}
        yield ApplyObject(DEPLOYMENT, born, force=False)
    if live is None or read_mark(live) == BORN:
        replicas = 0 if live is None else int(live["spec"].get("replicas", 0))
        yield HandOver(wanted["metadata"]["name"], replicas)
        yield ApplyObject(DEPLOYMENT, sign(wanted), live)
    else:
        yield from _plan_object(DEPLOYMENT, wanted, live)


def _is_leaving(body: Body) -> bool:
    return "deletionTimestamp" in body["metadata"]


# Printing


def _print_plan(steps: Sequence[Step]) -> Iterator[str]:
    """Print the steps; what is born is shown once, not again when its replicas are left out."""
    born = set[tuple[Kind, str]]()
    for step in steps:
        if isinstance(step, ApplyObject) and step.live is None:
            place = (step.kind, step.body["metadata"]["name"])
            if place in born:
                continue
            born.add(place)
        yield from _print_step(step)


def _print_step(step: Step) -> Iterator[str]:
    match step:
        case AddFinalizer():
            yield f"+ finalizer {FINALIZER}\n"
        case ApplyQueue():
            for change in step.changes:
                yield f"~ {change.name}: {', '.join(change.fields)}\n" if change.fields else f"+ {change.name}\n"
        case ApplyObject():
            yield from _print_diff(step)
        case HandOver(name, replicas):
            yield f"~ replicas of Deployment {name}: {replicas}, from now on {AUTOSCALER}'s\n"
        case DeleteObject(kind, name):
            yield f"- {kind.name} {name}\n"


def _print_diff(step: ApplyObject) -> Iterator[str]:
    name = f"{step.kind.name} {step.body['metadata']['name']}"
    wanted = _dump(step.body)
    live = "" if step.live is None else _dump(project(step.live, step.body))
    before = "/dev/null" if step.live is None else f"live {name}"
    lines = list(
        difflib.unified_diff(live.splitlines(), wanted.splitlines(), before, f"wanted {name}", lineterm="", n=3)
    )
    if not lines:  # only what was left behind by an earlier apply is to go
        lines = [f"~ {name}: fields that are not wanted any more"]
    yield from (f"{line}\n" for line in lines)


def _dump(body: Any) -> str:
    """As YAML, without the mark that means nothing to a reader."""
    meta = dict(body.get("metadata", {}))
    if APPLIED in meta.get("annotations", {}):
        meta["annotations"] = {name: value for name, value in meta["annotations"].items() if name != APPLIED}
        if not meta["annotations"]:
            del meta["annotations"]
    return yaml.safe_dump({**body, "metadata": meta}, sort_keys=False, allow_unicode=True)
