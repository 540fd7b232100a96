"""Where declarations are written: the cluster of a gateway, one kind in one namespace of it, and how it says no."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jetmill_operator.cluster.errors import AbsentError, ClusterError, ForbiddenError, InvalidError
from jetmill_operator.cluster.ports import JOB, Body, Cluster, Kind
from jetmill_operator.gateway.web.manifest import point, refuse_declaration, split_field
from jetmill_operator.gateway.web.parts import Ground, parts_of
from jetmill_operator.gateway.web.problem import Fault, ProblemError
from jetmill_operator.gateway.web.served import served_for

FIELD_MANAGER = "jetmill-gateway"
"""Who changed what, as `managedFields` say it."""


@dataclass(frozen=True, slots=True)
class Declaring:
    """Objects of one kind in one namespace."""

    cluster: Cluster
    kind: Kind
    namespace: str
    ground: Ground

    @property
    def needs_image(self) -> bool:
        """Jobs run in pods, and have to say of which image."""
        return not self.ground.image

    def refuse_declared(self, name: str) -> None:
        """Raise ProblemError for what a file declares: at its next change the file would have the last word."""
        file = self.ground.find_file(self.kind, self.namespace, name)
        if file is not None:
            raise ProblemError(
                "declared-in-file", f"{self.kind.name} {name} is declared in {file}", cure=f"edit {file}"
            )

    def complete(self, body: Body) -> Body:
        """The object as it is stored: where Jobs run without pods, a Job that names no image gets the one that says
        so.
        """
        worker = body["spec"].get("worker") or {}
        if self.kind != JOB or self.needs_image or "image" in worker or "from" in worker:
            return body
        return {**body, "spec": {**body["spec"], "worker": {**worker, "image": self.ground.image}}}


def declaring_of(connection: Any, kind: Kind) -> Declaring:
    """Objects of a kind in the namespace of a request that was let in; ProblemError without a cluster."""
    parts = parts_of(connection)
    return Declaring(cluster_of(connection), kind, served_for(connection).namespace, parts.ground)


def cluster_of(connection: Any) -> Cluster:
    """The cluster that a gateway reaches; ProblemError: none."""
    cluster = parts_of(connection).cluster
    if cluster is None:
        raise ProblemError(
            "cluster-unavailable", "this gateway reaches no cluster", cure="start it with --kubeconfig, or in a pod"
        )
    return cluster


@contextlib.contextmanager
def translating(kind: Kind, name: str = "") -> Iterator[None]:
    """What the API server says no to, as problems."""
    try:
        yield
    except InvalidError as err:
        causes = err.causes or ((err.field, err.message),)
        faults = tuple(Fault(detail=said[:300], pointer=point(split_field(field))) for field, said in causes if field)
        raise refuse_declaration(err.message, faults) from err
    except AbsentError as err:
        raise ProblemError("not-found", f"there is no {kind.name} {name[:80]} (any more)") from err
    except ForbiddenError as err:
        raise ProblemError(
            "cluster-refused",
            err.message[:500],
            cure="has the gateway's account the right (gateway.declarations in the chart)? has the namespace room?",
        ) from err
    except ClusterError as err:
        raise ProblemError("cluster-unavailable", err.message, cure=err.cure, headers={"Retry-After": "2"}) from err
