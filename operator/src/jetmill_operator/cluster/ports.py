"""What reconcilers ask of a cluster: one small port, two adapters (KubeCluster, LocalCluster), one conformance suite.

Objects are plain mappings as the API server gives them, without `managedFields`. Writes are server-side apply by a
named manager: the whole intent each time, what is not named is left to others; an apply that changes nothing writes
nothing. Errors are those of `jetmill_operator.cluster.errors`. Every method is safe to call again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from urllib.parse import quote

Body = dict[str, Any]
"""A Kubernetes object."""

OPERATOR = "jetmill-operator"
"""The manager of children, finalizers and status."""
AUTOSCALER = "jetmill-autoscaler"
"""The manager of `replicas`."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource of the API."""

    group: str
    """Empty for the core group."""
    version: str
    name: str
    """As in `kind:`."""
    plural: str

    @property
    def api_version(self) -> str:
        """As in `apiVersion:`."""
        return f"{self.group}/{self.version}" if self.group else self.version


JOB = Kind("jetmill.dev", "v1alpha1", "Job", "jobs")
SCHEDULED_JOB = Kind("jetmill.dev", "v1alpha1", "ScheduledJob", "scheduledjobs")
WEBHOOK = Kind("jetmill.dev", "v1alpha1", "Webhook", "webhooks")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments")
POD = Kind("", "v1", "Pod", "pods")
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
BUDGET = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
SECRET = Kind("", "v1", "Secret", "secrets")
LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
EVENT = Kind("", "v1", "Event", "events")


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One object of a kind that is reconciled."""

    kind: str
    """The name of the kind, as in `kind:`."""
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


EventType = Literal["LISTED", "ADDED", "MODIFIED", "DELETED"]
"""What a watch tells of an object: LISTED, it was there when the watch began; DELETED comes with its last state."""
OnEvent = Callable[[Kind, EventType, Body], None]
"""Told of each change; the body is the listener's own."""


def path_of(kind: Kind, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """Give the path of objects or an object in the API; without a namespace those of all, or of the cluster's own."""
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    steps = ["namespaces", namespace] if namespace else []
    steps += [step for step in (kind.plural, name, subresource) if step]
    return "/".join([root, *(quote(step, safe="") for step in steps)])


def is_older(version: str | None, other: str | None) -> bool:
    """Whether a resourceVersion is older than another one; false where that cannot be told."""
    if version is None or other is None or not (version.isdigit() and other.isdigit()):
        return False
    return int(version) < int(other)


class Cluster(Protocol):
    """The objects of a cluster."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """The object as it is now, read after all writes that were answered before; None: not there. AbsentError if
        the cluster does not serve the kind, not even for the moment.
        """
        ...

    async def list(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Body]:
        """The objects of a kind, by namespace and name; None: of all namespaces that are watched."""
        ...

    async def owners(self, kind: Kind, namespace: str, name: str, field: str) -> frozenset[str]:
        """The managers that own a field, as in `.spec.replicas`, or a part of it; none if the object is not there.

        Who hands a field over asks first: with nobody owning it, it falls back to its default (a Deployment to one
        replica).
        """
        ...

    async def create(self, kind: Kind, body: Body, *, manager: str = OPERATOR) -> Body:
        """Create an object that must not be there yet; ConflictError if it is. `metadata.generateName` is heeded."""
        ...

    async def apply(
        self, kind: Kind, body: Body, *, manager: str, subresource: str = "", force: bool = True, dry_run: bool = False
    ) -> Body:
        """Server-side apply by `manager`, and give the object as it then is. `subresource` is `""`, `status` or
        `scale` (a Scale of autoscaling/v1), which need an object; a resourceVersion or uid in it holds as for `patch`;
        without `force`, ConflictError names who owns a
        field; with `dry_run` nothing is written.
        """
        ...

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Body, *, manager: str = OPERATOR) -> Body:
        """JSON merge patch; with `metadata.resourceVersion` or `metadata.uid` in it, ConflictError if that is not the
        last, or is another object's; AbsentError.
        """
        ...

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Delete (children follow in the background) the object, with `uid` only that one; not there is no error."""
        ...
