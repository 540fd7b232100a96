"""Names, labels, annotations and the owner that mark an object as a Job's child.

The owner's own labels are never copied: GitOps tools find what is theirs by label, and would prune the children.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from jetmill_operator.api import API_VERSION
from jetmill_operator.cluster.ports import Body

JOB = "jetmill.dev/job"
"""Label: the Job whose child this is, and whose workers' pods these are."""
NAME = "app.kubernetes.io/name"
MANAGED_BY = "app.kubernetes.io/managed-by"
WORKER = "jetmill-worker"
"""The value of NAME on a Job's children and their pods."""
APPLIED = "jetmill.dev/applied"
"""Annotation: the fingerprint of what was applied last."""
BORN = "born"
"""The value of APPLIED while a Deployment's replicas are not handed over to the autoscaler yet."""
FINALIZER = "jetmill.dev/cleanup"
RELEASE = "jetmill.dev/release"
"""Annotation on a Job: `true` lets it go although its queue could not be cleaned up."""

MANAGED = "jetmill.dev/managed"
"""Label on a ScheduledJob that a program asked for: how."""
CLIENT = "client"
"""The value of MANAGED on what `HttpClient.schedule` made."""
CODE = "code"
"""The value of MANAGED on what a handler says of itself: `@job(schedule=…)`."""


def name_child(job: str) -> str:
    """The name of a Job's Deployment, ServiceAccount and PodDisruptionBudget."""
    return f"{job}-worker"


def build_selector(job: str) -> dict[str, str]:
    """What selects the pods of a Job's workers; it never changes, for a Deployment's selector cannot."""
    return {JOB: job, NAME: WORKER}


def build_labels(job: str) -> dict[str, str]:
    """The labels of a child."""
    return {MANAGED_BY: "jetmill", **build_selector(job)}


def build_metadata(job: Body) -> dict[str, Any]:
    """The metadata of a child; the Job is its controller, so that it goes with it."""
    meta = job["metadata"]
    owner = {
        "apiVersion": API_VERSION,
        "kind": "Job",
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": name_child(meta["name"]),
        "namespace": meta["namespace"],
        "labels": build_labels(meta["name"]),
        "ownerReferences": [owner],
    }


def find_controller(body: Body) -> Mapping[str, Any] | None:
    """The owner that controls an object."""
    for owner in body["metadata"].get("ownerReferences") or []:
        if owner.get("controller"):
            return dict(owner)
    return None


def is_child(body: Body, job: Body) -> bool:
    """Tell whether this very Job, not another of its name, controls the object."""
    controller = find_controller(body)
    return controller is not None and controller.get("uid") == job["metadata"]["uid"]


def is_orphan_of(body: Body, job: Body) -> bool:
    """Tell whether an earlier Job of the same name controls the object: it is about to be collected."""
    controller = find_controller(body)
    return (
        controller is not None
        and not is_child(body, job)
        and (controller.get("kind"), controller.get("apiVersion")) == ("Job", API_VERSION)
        and controller.get("name") == job["metadata"]["name"]
    )


def fingerprint(body: Body) -> str:
    """16 hexadecimal digits that change with what is wanted."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def sign(body: Body, mark: str | None = None) -> Body:
    """The object with the annotation that says what was applied: its fingerprint, or `mark`."""
    meta = dict(body["metadata"])
    meta["annotations"] = {**(meta.get("annotations") or {}), APPLIED: mark or fingerprint(body)}
    return {**body, "metadata": meta}


def read_mark(body: Body) -> str | None:
    """What the annotation says."""
    found = (body["metadata"].get("annotations") or {}).get(APPLIED)
    return None if found is None else str(found)
