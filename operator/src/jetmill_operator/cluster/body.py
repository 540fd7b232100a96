"""What the API server does to each object that it takes: names checked, parts kept apart, generations raised. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from jetmill_operator.cluster.errors import ForbiddenError, InvalidError
from jetmill_operator.cluster.ports import DEPLOYMENT, EVENT, LEASE, SECRET, SERVICE_ACCOUNT, Body, Kind

T = TypeVar("T")

PLAIN = frozenset({SERVICE_ACCOUNT, SECRET, LEASE, EVENT})
"""Kinds without a status of their own and without a generation."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def clone(value: T) -> T:
    """Copy what JSON can hold, all the way down."""
    copy: T = msgspec.to_builtins(value)
    return copy


def check_identity(kind: Kind, body: Mapping[str, Any]) -> tuple[str, str]:
    """Give namespace and name; InvalidError for an object of another kind or with a name that can be none.

    A Scale comes with the name of what it scales.
    """
    given = (body.get("apiVersion"), body.get("kind"))
    if given not in {(kind.api_version, kind.name), ("autoscaling/v1", "Scale")}:
        raise InvalidError(f"{kind.api_version} {kind.name} was expected, not {given[0]} {given[1]}", code=400)
    metadata = body.get("metadata", {})
    name, namespace = metadata.get("name", ""), metadata.get("namespace", "")
    if not _NAME.fullmatch(name):
        raise InvalidError(f'{kind.name} "{name}" is invalid: metadata.name', code=422, field="metadata.name")
    if not namespace:
        raise InvalidError(f'{kind.name} "{name}": the namespace is missing', code=422, field="metadata.namespace")
    return namespace, name


def part_of(kind: Kind, body: Body, subresource: str) -> Body:
    """Give the part of an object that a write to a subresource may touch."""
    if subresource == "status":
        return {"status": body.get("status", {})}
    if subresource == "scale":
        return {"spec": {"replicas": body["spec"]["replicas"]}}
    return {name: part for name, part in body.items() if name != "status" or kind in PLAIN}


def complete(kind: Kind, body: Body) -> Body:
    """Put in the one default that decides something here: a Deployment that says nothing of replicas has one."""
    completed = {**body, "metadata": dict(body["metadata"])}
    if kind == DEPLOYMENT:
        completed["spec"] = {"replicas": 1, **body.get("spec", {})}
    return completed


def raise_generation(kind: Kind, before: Body, after: Body) -> None:
    """Count in `after` a change of anything but metadata and status."""
    parts = (before.keys() | after.keys()) - {"metadata", "status"}
    generation = before["metadata"].get("generation")
    if kind not in PLAIN and (generation is None or any(before.get(part) != after.get(part) for part in parts)):
        after["metadata"]["generation"] = (generation or 0) + 1


def refuse_new_finalizers(before: Body, after: Body) -> None:
    """Hold a write to the rule that nothing holds up an object any more that is going."""
    old, new = (set(body["metadata"].get("finalizers", ())) for body in (before, after))
    if "deletionTimestamp" in before["metadata"] and new - old:
        raise InvalidError(
            f"metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new "
            f"finalizers {sorted(new - old)}",
            code=422,
            field="metadata.finalizers",
        )


def refuse_terminating(kind: Kind, namespace: str, name: str) -> ForbiddenError:
    """Build the answer to whoever puts something into a namespace that is going."""
    return ForbiddenError(
        f'{kind.plural} "{name}" is forbidden: unable to create new content in namespace {namespace} because it is '
        "being terminated",
        terminating=True,
    )


def build_scale(body: Body) -> Body:
    """Give the Scale of a Deployment."""
    metadata = body["metadata"]
    shared = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {name: metadata[name] for name in shared if name in metadata},
        "spec": {"replicas": body["spec"]["replicas"]},
        "status": {"replicas": body.get("status", {}).get("replicas", 0)},
    }


def has_labels(body: Body, labels: Mapping[str, str]) -> bool:
    """Whether an object has all of these labels."""
    own = body["metadata"].get("labels", {})
    return all(own.get(name) == value for name, value in labels.items())
