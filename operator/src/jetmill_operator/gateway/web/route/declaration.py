"""What is declared in the cluster: Jobs, ScheduledJobs and Webhooks, with their status. Read from the API server now.

Rights are those of the objects themselves (`list jobs.jetmill.dev`), so who may see them with kubectl sees them here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from jetmill.protocol.name import is_label
from jetmill_operator.cluster.errors import ClusterError
from jetmill_operator.cluster.ports import JOB, SCHEDULED_JOB, WEBHOOK, Body, Kind
from jetmill_operator.gateway.access.right import DECLARED
from jetmill_operator.gateway.web.body import Out
from jetmill_operator.gateway.web.declaring import cluster_of
from jetmill_operator.gateway.web.problem import ProblemError
from jetmill_operator.gateway.web.route.job import NamespaceQuery
from jetmill_operator.gateway.web.served import served_for
from jetmill_operator.gateway.web.version import tag_of

Asked = Request[Any, Any, Any]
KINDS = (JOB, SCHEDULED_JOB, WEBHOOK)
_NOISE = "kubectl.kubernetes.io/last-applied-configuration"


class DeclarationBody(Out, frozen=True, kw_only=True):
    """An object of the cluster, without what only Kubernetes wants to know."""

    name: str
    namespace: str
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    created: datetime | None = None
    deleting: bool = False
    """It was deleted, and goes once what depends on it has gone."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    spec: dict[str, Any] = msgspec.field(default_factory=dict)
    status: dict[str, Any] = msgspec.field(default_factory=dict)


class DeclarationsBody(msgspec.Struct, frozen=True, kw_only=True):
    """All of a kind in a namespace, by name."""

    items: list[DeclarationBody]


def make_handlers(kind: Kind) -> list[HTTPRouteHandler]:
    """The list of a kind, and one of it."""
    to_list, to_get = DECLARED[kind.plural]
    path = f"/api/v1/declarations/{kind.plural}"
    return [
        get(path, opt={"right": to_list}, tags=["declarations"], summary=f"The {kind.name}s that are declared")(
            _make_lister(kind)
        ),
        get(f"{path}/{{name:str}}", opt={"right": to_get}, tags=["declarations"], summary=f"One {kind.name}")(
            _make_getter(kind)
        ),
    ]


def _make_lister(kind: Kind) -> Callable[..., Any]:
    async def list_declarations(request: Asked, namespace: NamespaceQuery = None) -> DeclarationsBody:  # noqa: ARG001
        """With their status, as the API server has them now."""
        where = served_for(request).namespace
        with _translating():
            bodies = await cluster_of(request).list(kind, namespace=where)
        return DeclarationsBody(items=[build_declaration(body) for body in bodies])

    list_declarations.__name__ = f"list_{kind.plural}"
    return list_declarations


def _make_getter(kind: Kind) -> Callable[..., Any]:
    async def get_declaration(
        request: Asked,
        name: FromPath[str],
        namespace: NamespaceQuery = None,  # noqa: ARG001
    ) -> Response[DeclarationBody]:
        """With its status; the ETag is its resourceVersion."""
        where = served_for(request).namespace
        with _translating():
            body = await cluster_of(request).get(kind, where, name) if is_label(name) else None
        if body is None:
            raise ProblemError("not-found", f"there is no {kind.name} {name[:80]} in namespace {where}")
        found = build_declaration(body)
        return Response(found, headers={"ETag": tag_of(found.resource_version)})

    get_declaration.__name__ = f"get_{kind.name.lower()}_declaration"
    return get_declaration


def build_declaration(body: Body) -> DeclarationBody:
    """An object as it goes over the wire. Pure."""
    head = body.get("metadata") or {}
    annotations = {key: value for key, value in (head.get("annotations") or {}).items() if key != _NOISE}
    stamp = head.get("creationTimestamp")
    return DeclarationBody(
        name=head.get("name", ""),
        namespace=head.get("namespace", ""),
        uid=head.get("uid", ""),
        resource_version=head.get("resourceVersion", ""),
        generation=head.get("generation", 0),
        created=None if stamp is None else msgspec.convert(stamp, datetime),
        deleting="deletionTimestamp" in head,
        labels=head.get("labels") or {},
        annotations=annotations,
        spec=body.get("spec") or {},
        status=body.get("status") or {},
    )


@contextlib.contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except ClusterError as err:
        raise ProblemError("cluster-unavailable", err.message, cure=err.cure, headers={"Retry-After": "2"}) from err


HANDLERS = [handler for kind in KINDS for handler in make_handlers(kind)]
