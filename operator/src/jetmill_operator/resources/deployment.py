"""The Deployment of a Job's workers.

It never says how many: `replicas` belongs to the autoscaler, through /scale. What the CRD names is built first, then
the Job's `podTemplate` is merged over it; what the operator relies on (selector, the variables that say which queues a
worker serves) cannot be merged away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from jetmill.errors import InputError
from jetmill_operator.api.job import Job
from jetmill_operator.api.pod import OWN_VARIABLES
from jetmill_operator.cluster.ports import DEPLOYMENT, Body
from jetmill_operator.resources.label import (
    BORN,
    build_labels,
    build_metadata,
    build_selector,
    name_child,
    read_mark,
)
from jetmill_operator.resources.merge import merge_strategic

CONTAINER = "worker"
"""The name of the container that runs the jobs; a `podTemplate` adds to it by this name."""
HEALTH_PORT = 8081
TIMEOUT_SECONDS = 300.0
"""How long an attempt may run where the manifest is silent."""
MAX_GRACE_SECONDS = 3_570
"""The longest that a worker which was told to stop lets its jobs run on."""
GRACE_MARGIN_SECONDS = 30
"""What a pod gets beyond that, to record outcomes."""
SCRATCH = "jetmill-tmp"
"""The volume at /tmp; the rest of the file system is read-only."""


@dataclass(frozen=True, slots=True)
class WorkerLink:
    """How workers reach NATS."""

    url: str
    prefix: str = "jm"
    secret: str = ""
    """The Secret in the Job's namespace with the keys user, password, inboxPrefix; empty: none."""


@dataclass(frozen=True, slots=True)
class Rider:
    """A Job that rides on another's workers (`worker.from`)."""

    name: str
    timeout_seconds: float = TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True)
class _Duty:
    """What one Job's workers serve, and how."""

    namespace: str
    grace: int
    link: WorkerLink


def decide_grace_seconds(timeouts: Iterable[float]) -> int:
    """How long a worker lets its jobs run on when it is told to stop: the longest timeout, within bounds."""
    return min(math.ceil(max(timeouts, default=TIMEOUT_SECONDS)), MAX_GRACE_SECONDS)


def build_deployment(job: Job, body: Body, riders: Sequence[Rider], link: WorkerLink) -> Body:
    """Build the Deployment, without replicas; riders come and go by their settings, so all that they change here is
    the time that their jobs need when a worker is stopped. InputError names the field of a `podTemplate` that cannot
    be merged.
    """
    timeouts = [job.spec.timeout_seconds or TIMEOUT_SECONDS, *(rider.timeout_seconds for rider in riders)]
    duty = _Duty(
        namespace=body["metadata"]["namespace"],
        grace=decide_grace_seconds(timeouts),
        link=link,
    )
    template = {"metadata": _build_pod_metadata(job), "spec": _build_pod(job, duty)}
    if job.spec.worker.pod_template:
        template = _merge_template(job, template)
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.name,
        "metadata": build_metadata(body),
        "spec": {
            "selector": {"matchLabels": build_selector(job.name)},
            "revisionHistoryLimit": 2,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
            "template": template,
        },
    }


def is_handed_over(deployment: Body) -> bool:
    """Tell whether the autoscaler may set the replicas: a Deployment is born at 0, and the operator's until then."""
    return read_mark(deployment) != BORN


def _build_pod_metadata(job: Job) -> dict[str, Any]:
    worker = job.spec.worker
    metadata: dict[str, Any] = {"labels": {**(worker.pod_labels or {}), **build_labels(job.name)}}
    if worker.pod_annotations:
        metadata["annotations"] = dict(worker.pod_annotations)
    return metadata


def _build_pod(job: Job, duty: _Duty) -> dict[str, Any]:
    worker = job.spec.worker
    creates = worker.service_account is not None and worker.service_account.create
    account = name_child(job.name) if creates else worker.service_account_name
    scratch = not any(mount.mount_path.rstrip("/") == "/tmp" for mount in worker.volume_mounts or ())  # noqa: S108
    optional = {
        "imagePullSecrets": _dump_all(worker.image_pull_secrets),
        "serviceAccountName": account,
        "nodeSelector": dict(worker.node_selector or {}),
        "tolerations": _dump_all(worker.tolerations),
        "priorityClassName": worker.priority_class_name,
        "volumes": [*_dump_all(worker.volumes), *([{"name": SCRATCH, "emptyDir": {}}] if scratch else [])],
    }
    return {
        "containers": [_build_container(job, duty, scratch=scratch)],
        "automountServiceAccountToken": worker.service_account_name is not None,
        "terminationGracePeriodSeconds": duty.grace + GRACE_MARGIN_SECONDS,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        **_without_empty(optional),
    }


def _build_container(job: Job, duty: _Duty, *, scratch: bool) -> dict[str, Any]:
    worker = job.spec.worker
    mounts = _dump_all(worker.volume_mounts)
    optional = {
        "imagePullPolicy": worker.image_pull_policy,
        "envFrom": _dump_all(worker.env_from),
        "resources": _dump(worker.resources),
        "volumeMounts": [*mounts, *([{"name": SCRATCH, "mountPath": "/tmp"}] if scratch else [])],  # noqa: S108
    }
    return {
        "name": CONTAINER,
        "image": worker.image,
        "command": ["jetmill", "worker"],
        "env": _build_env(job, duty),
        "ports": [{"name": "health", "containerPort": HEALTH_PORT}],
        # A large application may take minutes to import; only then do the other probes begin.
        "startupProbe": _build_probe("/livez", period=1, failures=300),
        "readinessProbe": _build_probe("/readyz", period=5, failures=2),
        "livenessProbe": _build_probe("/livez", period=10, failures=6),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        **_without_empty(optional),
    }


def _build_env(job: Job, duty: _Duty) -> list[dict[str, Any]]:
    """The operator's variables, then the Job's, which may say otherwise."""
    link = duty.link
    variables: dict[str, Any] = {
        "JETMILL_NATS_URL": {"value": link.url},
        "JETMILL_NAMESPACE": {"value": duty.namespace},
        "JETMILL_JOBS": {"value": job.name},
        "JETMILL_GRACE_SECONDS": {"value": str(duty.grace)},
        "JETMILL_POD_NAME": {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        "JETMILL_HEALTH_PORT": {"value": str(HEALTH_PORT)},
        "JETMILL_LOG_FORMAT": {"value": "json"},
    }
    if link.prefix != "jm":
        variables["JETMILL_PREFIX"] = {"value": link.prefix}
    if job.spec.worker.concurrency is not None:
        variables["JETMILL_CONCURRENCY"] = {"value": str(job.spec.worker.concurrency)}
    if link.secret:
        for name, key in (("USER", "user"), ("PASSWORD", "password"), ("INBOX_PREFIX", "inboxPrefix")):
            variables[f"JETMILL_NATS_{name}"] = {"valueFrom": {"secretKeyRef": {"name": link.secret, "key": key}}}
    for var in job.spec.worker.env:
        variables[var.name] = {name: value for name, value in _dump(var).items() if name != "name"}
    return [{"name": name, **value} for name, value in variables.items()]


def _build_probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "health"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _merge_template(job: Job, template: dict[str, Any]) -> dict[str, Any]:
    """Merge the Job's `podTemplate`, and refuse one that takes away what the operator relies on."""
    patch = job.spec.worker.pod_template or {}
    try:
        merged = merge_strategic(template, patch)
    except InputError as err:
        field = f"spec.worker.podTemplate.{err.field}"
        raise InputError(f"spec.worker.podTemplate.{err.message}", field=field, cure=err.cure) from err
    labels = (merged.get("metadata") or {}).get("labels")
    labels = labels if isinstance(labels, Mapping) else {}
    for name, value in build_selector(job.name).items():
        if labels.get(name) != value:
            raise _refuse("metadata.labels", f"{name} is the operator's own label", "leave it out")
    container = _find_container(merged)
    if container is None:
        raise _refuse("spec.containers", f"takes the container {CONTAINER} away", "keep it: it runs the jobs")
    before = _find_container(template)
    assert before is not None
    for name in OWN_VARIABLES:
        if _find_variable(container, name) != _find_variable(before, name):
            raise _refuse("spec.containers", f"{name} is set by the operator", "leave it out")
    return merged


def _refuse(field: str, what: str, cure: str) -> InputError:
    path = f"spec.worker.podTemplate.{field}"
    return InputError(f"{path}: {what}", field=path, cure=cure)


def _find_container(template: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return _find_named((template.get("spec") or {}).get("containers"), CONTAINER)


def _find_variable(container: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    return _find_named(container.get("env"), name)


def _find_named(elements: Any, name: str) -> Mapping[str, Any] | None:
    """The element of that name; a `podTemplate` may have put anything in the list's place."""
    found = elements if isinstance(elements, list) else []
    return next((one for one in found if isinstance(one, Mapping) and one.get("name") == name), None)


def _dump(part: BaseModel | None) -> dict[str, Any]:
    return {} if part is None else part.model_dump(mode="json", by_alias=True, exclude_none=True)


def _dump_all(parts: Iterable[BaseModel] | None) -> list[dict[str, Any]]:
    return [_dump(part) for part in parts or ()]


def _without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Empty maps and lists are never sent: in a server-side apply each would cost a write."""
    return {name: value for name, value in fields.items() if value not in (None, {}, [])}
