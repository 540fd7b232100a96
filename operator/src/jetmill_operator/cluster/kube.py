"""The objects of a real cluster, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from jetmill_operator.cluster.errors import AbsentError, ConflictError, InvalidError, UnavailableError
from jetmill_operator.cluster.field import Path
from jetmill_operator.cluster.ports import LEASE, OPERATOR, Body, Kind, path_of
from jetmill_operator.cluster.rest import EXPIRED, Request, Rest

APPLY = "application/apply-patch+yaml"
"""JSON is YAML."""
MERGE = "application/merge-patch+json"
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_PAGE = "500"
Bodies = list[Body]
_LISTS = 3
"""How often a list is begun that expires between its pages."""


class KubeCluster:
    """A `Cluster` behind an API server.

    `namespaces`: those that a list without a namespace looks into; empty: all. An object without a namespace is
    addressed as one of the cluster's own.
    """

    def __init__(self, rest: Rest, *, namespaces: tuple[str, ...] = ()) -> None:
        self._rest = rest
        self._namespaces = namespaces

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """See `Cluster.get`."""
        try:
            return _strip(await self._rest.ask(Request("GET", path_of(kind, namespace, name))))
        except AbsentError as err:
            _absent(err)
            return None

    async def list(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Body]:
        """See `Cluster.list`; AbsentError if the cluster does not know the kind."""
        params = {"limit": _PAGE, **_select(labels)}
        found: Bodies = []
        for where in self._where(namespace):
            found.extend(await self._list(path_of(kind, where), params))
        for body in found:  # items of a list do not say what they are
            body["apiVersion"], body["kind"] = kind.api_version, kind.name
        return sorted(found, key=lambda body: (body["metadata"].get("namespace", ""), body["metadata"]["name"]))

    async def versions(self, kind: Kind, *, labels: Mapping[str, str] | None = None) -> dict[tuple[str, str], str]:
        """The resourceVersion of each object that is watched, by namespace and name, as the server's cache has it."""
        params = {"resourceVersion": "0", **_select(labels)}
        found: dict[tuple[str, str], str] = {}
        for where in self._where(None):
            for body in await self._list(path_of(kind, where), params, accept=METADATA):
                metadata = body["metadata"]
                found[metadata.get("namespace", ""), metadata["name"]] = metadata["resourceVersion"]
        return found

    async def owners(self, kind: Kind, namespace: str, name: str, field: str) -> frozenset[str]:
        """See `Cluster.owners`."""
        try:
            body = await self._rest.ask(Request("GET", path_of(kind, namespace, name)))
        except AbsentError as err:
            _absent(err)
            return frozenset()
        steps = tuple(field.strip(".").split("."))
        entries = body["metadata"].get("managedFields", ())
        return frozenset(entry["manager"] for entry in entries if _holds(entry.get("fieldsV1", {}), steps))

    async def create(self, kind: Kind, body: Body, *, manager: str = OPERATOR) -> Body:
        """See `Cluster.create`. UnavailableError may mean that it was created all the same."""
        path = path_of(kind, body["metadata"].get("namespace", ""))
        params = {"fieldManager": manager, "fieldValidation": "Strict"}
        return _strip(await self._rest.ask(Request("POST", path, params, body)))

    async def apply(
        self, kind: Kind, body: Body, *, manager: str, subresource: str = "", force: bool = True, dry_run: bool = False
    ) -> Body:
        """See `Cluster.apply`."""
        metadata = body["metadata"]
        path = path_of(kind, metadata.get("namespace", ""), metadata["name"], subresource)
        params = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        if dry_run:
            params["dryRun"] = "All"
        applied = _strip(await self._rest.ask(Request("PATCH", path, params, body, APPLY)))
        if subresource == "scale":
            applied["spec"].setdefault("replicas", 0)  # the server leaves it out
        return applied

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Body, *, manager: str = OPERATOR) -> Body:
        """See `Cluster.patch`."""
        path, params = path_of(kind, namespace, name), {"fieldManager": manager}
        request = Request("PATCH", path, params, patch, MERGE, urgent=kind == LEASE)
        try:
            return _strip(await self._rest.ask(request))
        except InvalidError as err:
            if "metadata.uid" in str(err) and "uid" in patch.get("metadata", {}):  # it says "field is immutable"
                raise ConflictError(str(err), code=err.code) from err
            raise

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        """See `Cluster.delete`."""
        options: Body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self._rest.ask(Request("DELETE", path_of(kind, namespace, name), {}, options))
        except AbsentError as err:
            _absent(err)
        except ConflictError:
            if uid is None:
                raise  # else another one has the name by now: the one that was meant is gone

    def _where(self, namespace: str | None) -> tuple[str, ...]:
        return (namespace,) if namespace is not None else self._namespaces or ("",)

    async def _list(self, path: str, params: Mapping[str, str], *, accept: str = "application/json") -> Bodies:
        for remaining in reversed(range(_LISTS)):
            try:
                return await self._pages(path, params, accept)
            except UnavailableError as err:
                if err.code != EXPIRED or not remaining:
                    raise
        return []

    async def _pages(self, path: str, params: Mapping[str, str], accept: str) -> Bodies:
        found: Bodies = []
        more = ""
        while True:
            page = await self._rest.ask(
                Request("GET", path, {**params, **({"continue": more} if more else {})}, accept=accept)
            )
            found.extend(map(_strip, page.get("items") or ()))
            more = page["metadata"].get("continue", "")
            if not more:
                return found


def _absent(err: AbsentError) -> None:
    """Take an object as gone only if the server knows its kind."""
    if err.unserved:
        raise err


def _select(labels: Mapping[str, str] | None) -> dict[str, str]:
    return {"labelSelector": ",".join(f"{name}={value}" for name, value in labels.items())} if labels else {}


def _strip(body: dict[str, Any]) -> Body:
    """Take out who owns what: it is most of an object's bytes."""
    body["metadata"].pop("managedFields", None)
    return body


def _holds(fields: Mapping[str, Any], steps: Path) -> bool:
    """Whether a set of fields (fieldsV1) holds a path or a part of it."""
    for step in steps:
        found = fields.get(f"f:{step}")
        if found is None:
            return False
        fields = cast(Mapping[str, Any], found)
    return True
