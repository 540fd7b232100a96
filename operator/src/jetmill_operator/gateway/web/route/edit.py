"""Declaring: Jobs, ScheduledJobs and Webhooks are created, edited and deleted, as whoever asks may by the objects' own
rights.

A SubjectAccessReview on the kind's verbs decides, then the gateway's account writes (ADR 0020). Two who edit at once
are kept apart by the object's version: an edit names the one that it was made on. What a file of `jetmill dev` declares
is edited in that file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, patch, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, HeaderParameter, JSONBody

from jetmill.protocol.name import is_label
from jetmill_operator.cluster.errors import ConflictError
from jetmill_operator.cluster.merge import merge_patch
from jetmill_operator.cluster.ports import Body, Kind
from jetmill_operator.gateway.access.right import EDITS
from jetmill_operator.gateway.web.body import In
from jetmill_operator.gateway.web.declaring import FIELD_MANAGER, Declaring, declaring_of, translating
from jetmill_operator.gateway.web.manifest import build_manifest, build_patch, check_manifest
from jetmill_operator.gateway.web.problem import ProblemError
from jetmill_operator.gateway.web.route.declaration import KINDS, DeclarationBody, build_declaration
from jetmill_operator.gateway.web.route.job import NamespaceQuery
from jetmill_operator.gateway.web.version import check_match, parse_match, require_match, tag_of

Asked = Request[Any, Any, Any]
TAGS = ["declarations"]
Name = Annotated[str, msgspec.Meta(max_length=253)]
Texts = dict[str, str]
Match = Annotated[str, HeaderParameter(name="If-Match", description="The ETag of the version that was seen, or `*`")]


class Declare(In, frozen=True, kw_only=True):
    """An object that is to be there."""

    name: Name
    spec: dict[str, Any]
    """As in a manifest."""
    labels: Texts = msgspec.field(default_factory=dict)
    annotations: Texts = msgspec.field(default_factory=dict)


class Replace(In, frozen=True, kw_only=True):
    """What an object is to be instead; labels and annotations that are not given stay."""

    spec: dict[str, Any]
    labels: Texts | None = None
    annotations: Texts | None = None


class Amend(In, frozen=True, kw_only=True):
    """A JSON merge patch (RFC 7386): what is named is changed, null takes it away."""

    spec: dict[str, Any] = msgspec.field(default_factory=dict)
    labels: dict[str, str | None] = msgspec.field(default_factory=dict)
    annotations: dict[str, str | None] = msgspec.field(default_factory=dict)


def make_handlers(kind: Kind) -> list[HTTPRouteHandler]:
    """What changes objects of a kind."""
    rights = EDITS[kind.plural]
    path = f"/api/v1/declarations/{kind.plural}"
    one = f"{path}/{{name:str}}"
    return [
        post(path, opt={"right": rights["create"]}, tags=TAGS, summary=f"Declare a {kind.name}")(_make_creator(kind)),
        put(one, opt={"right": rights["update"]}, tags=TAGS, summary=f"Replace a {kind.name}")(_make_replacer(kind)),
        patch(one, opt={"right": rights["patch"]}, tags=TAGS, summary=f"Change a {kind.name}")(_make_amender(kind)),
        delete(one, opt={"right": rights["delete"]}, tags=TAGS, summary=f"Delete a {kind.name}", status_code=202)(
            _make_deleter(kind)
        ),
    ]


def _make_creator(kind: Kind) -> Callable[..., Any]:
    async def create(
        request: Asked,
        data: JSONBody[Declare],
        namespace: NamespaceQuery = None,  # noqa: ARG001
    ) -> Response[DeclarationBody]:
        """201, or 409 if there is one of that name."""
        there = declaring_of(request, kind)
        there.refuse_declared(data.name)
        body = build_manifest(
            kind,
            namespace=there.namespace,
            name=data.name,
            spec=data.spec,
            labels=data.labels,
            annotations=data.annotations,
        )
        check_manifest(kind, body, in_cluster=there.needs_image)
        with translating(kind, data.name):
            try:
                made = await there.cluster.create(kind, there.complete(body), manager=FIELD_MANAGER)
            except ConflictError as err:
                raise ProblemError(
                    "already-declared", f"there is a {kind.name} {data.name} already", cure="edit it, by PUT or PATCH"
                ) from err
        return _answer(made, status=201, location=f"{request.url.path.rstrip('/')}/{data.name}")

    create.__name__ = f"create_{kind.name.lower()}_declaration"
    return create


def _make_replacer(kind: Kind) -> Callable[..., Any]:
    async def replace(
        request: Asked,
        name: FromPath[str],
        data: JSONBody[Replace],
        if_match: Match = "",
        namespace: NamespaceQuery = None,  # noqa: ARG001
    ) -> Response[DeclarationBody]:
        """The whole spec anew. 428 without `If-Match`, 412 if another version is there by now."""

        def change(before: Body) -> Body:
            head = dict(before["metadata"])
            for key, given in (("labels", data.labels), ("annotations", data.annotations)):
                head |= {} if given is None else {key: given}
            return {**before, "metadata": head, "spec": data.spec}

        return await _edit(declaring_of(request, kind), name, if_match, change)

    replace.__name__ = f"replace_{kind.name.lower()}_declaration"
    return replace


def _make_amender(kind: Kind) -> Callable[..., Any]:
    async def amend(
        request: Asked,
        name: FromPath[str],
        data: JSONBody[Amend],
        if_match: Match = "",
        namespace: NamespaceQuery = None,  # noqa: ARG001
    ) -> Response[DeclarationBody]:
        """A JSON merge patch. 428 without `If-Match`, 412 if another version is there by now."""
        wanted = {"metadata": {"labels": data.labels, "annotations": data.annotations}, "spec": data.spec}
        return await _edit(
            declaring_of(request, kind), name, if_match, lambda before: dict(merge_patch(before, wanted))
        )

    amend.__name__ = f"amend_{kind.name.lower()}_declaration"
    return amend


def _make_deleter(kind: Kind) -> Callable[..., Any]:
    async def remove(
        request: Asked,
        name: FromPath[str],
        if_match: Match = "",
        namespace: NamespaceQuery = None,  # noqa: ARG001
    ) -> Response[DeclarationBody]:
        """202 with what is being deleted: it goes once what depends on it has gone. `If-Match` holds, if given."""
        there = declaring_of(request, kind)
        found = await _find(there, name)
        if if_match:
            check_match(parse_match(if_match), found["metadata"]["resourceVersion"])
        there.refuse_declared(name)
        with translating(kind, name):
            await there.cluster.delete(kind, there.namespace, name, uid=found["metadata"]["uid"])
            left = await there.cluster.get(kind, there.namespace, name)
        if left is None or left["metadata"]["uid"] != found["metadata"]["uid"]:
            left = found
        return _answer({**left, "metadata": {"deletionTimestamp": "", **left["metadata"]}}, status=202)

    remove.__name__ = f"delete_{kind.name.lower()}_declaration"
    return remove


async def _edit(
    there: Declaring, name: str, if_match: str, change: Callable[[Body], Body]
) -> Response[DeclarationBody]:
    wanted = require_match(if_match)
    before = await _find(there, name)
    version = before["metadata"]["resourceVersion"]
    check_match(wanted, version)
    there.refuse_declared(name)
    after = change(before)
    check_manifest(there.kind, after, in_cluster=there.needs_image)
    wish = build_patch(_editable(before), _editable(there.complete(after)))
    head = {**wish.get("metadata", {}), "resourceVersion": version}
    with translating(there.kind, name):
        try:
            made = await there.cluster.patch(
                there.kind, there.namespace, name, {**wish, "metadata": head}, manager=FIELD_MANAGER
            )
        except ConflictError as err:
            raise ProblemError(
                "precondition-failed", "somebody else changed it meanwhile", cure="get it again, and change that"
            ) from err
    return _answer(made, status=200)


def _editable(body: Body) -> Body:
    """What of an object a person decides."""
    head = body["metadata"]
    return {"metadata": {key: head.get(key) or {} for key in ("labels", "annotations")}, "spec": body.get("spec") or {}}


async def _find(there: Declaring, name: str) -> Body:
    found = None
    if is_label(name):
        with translating(there.kind, name):
            found = await there.cluster.get(there.kind, there.namespace, name)
    if found is None:
        raise ProblemError("not-found", f"there is no {there.kind.name} {name[:80]} in namespace {there.namespace}")
    return found


def _answer(body: Body, *, status: int, location: str = "") -> Response[DeclarationBody]:
    found = build_declaration(body)
    headers = {"ETag": tag_of(found.resource_version)} | ({"Location": location} if location else {})
    return Response(found, status_code=status, headers=headers)


HANDLERS = [handler for kind in KINDS for handler in make_handlers(kind)]
