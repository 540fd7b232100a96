"""The twin of a cluster in memory, for tests and for `jetmill dev`: what the API server promises of objects, no more.

Kept, and held against the real server by one conformance suite: resourceVersions that a write without effect does not
move; generations that only `spec` (and the mark of deletion) moves; status and scale apart; who owns which field;
finalizers; children that follow their owners in the background; namespaces that are going away. Not kept: schemas and
their defaults (but for a Deployment's one replica), admission, RBAC, and the kinds: any will do.

Nothing here waits: a write is done when its coroutine returns, and watchers are told in the order of the writes, each
from a turn of the loop of its own.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jetmill_operator.cluster.body import (
    build_scale,
    check_identity,
    clone,
    complete,
    has_labels,
    part_of,
    raise_generation,
    refuse_new_finalizers,
    refuse_terminating,
)
from jetmill_operator.cluster.errors import AbsentError, ConflictError
from jetmill_operator.cluster.field import show
from jetmill_operator.cluster.merge import Owner, Ownership, apply_fields, merge_patch, update_fields
from jetmill_operator.cluster.ports import OPERATOR, Body, EventType, Kind, OnEvent

NewUid = Callable[[Kind, str, str], str]


@dataclass(slots=True)
class _Stored:
    kind: Kind
    body: Body
    owned: Ownership = field(default_factory=dict)

    @property
    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["metadata"]
        return found

    def refuse_stale(self, wanted: Mapping[str, Any]) -> None:
        """Hold a write that names a resourceVersion or a uid to it."""
        for name in ("resourceVersion", "uid"):
            expected = wanted.get("metadata", {}).get(name)
            if expected and expected != self.metadata[name]:
                raise ConflictError(
                    f"{self.kind.name} {self.metadata['name']}: {name} is {self.metadata[name]}, not {expected}: "
                    "the object has been modified",
                    code=409,
                )


class LocalCluster:
    """Objects in memory; a `Cluster`, for one event loop.

    `namespaces`: those that a list without a namespace looks into; empty: all. `now`: the clock of timestamps.
    `new_uid`: what is the uid of a new object; random ones by default, as an object that comes again is another one.
    """

    def __init__(
        self,
        *,
        namespaces: tuple[str, ...] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_uid: NewUid = lambda _kind, _namespace, _name: str(uuid.uuid4()),
    ) -> None:
        self._namespaces = namespaces
        self._now = now
        self._new_uid = new_uid
        self._objects: dict[tuple[Kind, str, str], _Stored] = {}
        self._version = 0
        self._named = 0
        self._watchers: list[OnEvent] = []
        self._terminating: set[str] = set()

    # -- what only the twin has

    def watch(self, on_event: OnEvent) -> Callable[[], None]:
        """Tell of every change from now on; call what is returned to end that."""
        self._watchers.append(on_event)
        return lambda: self._watchers.remove(on_event)

    async def terminate(self, namespace: str) -> None:
        """Begin to delete a namespace: nothing new may enter, and all that is in it is deleted; finalizers hold."""
        self._terminating.add(namespace)
        for kind, where, name in list(self._objects):
            if where == namespace:
                self._delete(self._objects[kind, where, name])

    # -- the port

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        """See `Cluster.get`."""
        stored = self._objects.get((kind, namespace, name))
        return clone(stored.body) if stored else None

    async def list(
        self, kind: Kind, *, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Body]:
        """See `Cluster.list`."""
        wanted = self._namespaces if namespace is None else (namespace,)
        found = {
            key: stored.body
            for key, stored in self._objects.items()
            if key[0] == kind and (not wanted or key[1] in wanted) and has_labels(stored.body, labels or {})
        }
        return [clone(found[key]) for key in sorted(found, key=lambda key: key[1:])]

    async def owners(self, kind: Kind, namespace: str, name: str, field: str) -> frozenset[str]:
        """See `Cluster.owners`."""
        stored = self._objects.get((kind, namespace, name))
        return frozenset(
            owner.manager
            for owner, paths in (stored.owned if stored else {}).items()
            if any(shown == field or shown.startswith((f"{field}.", f"{field}[")) for shown in map(show, paths))
        )

    async def create(self, kind: Kind, body: Body, *, manager: str = OPERATOR) -> Body:
        """See `Cluster.create`."""
        body = clone(body)
        if "name" not in body["metadata"] and "generateName" in body["metadata"]:
            self._named += 1
            body["metadata"]["name"] = f"{body['metadata']['generateName']}{self._named:05x}"
        namespace, name = check_identity(kind, body)
        if (kind, namespace, name) in self._objects:
            raise ConflictError(f'{kind.plural} "{name}" already exists', code=409)
        born = self._bear(kind, namespace, name)
        after = complete(kind, {**part_of(kind, body, ""), "metadata": {**body["metadata"], **born.metadata}})
        owned = update_fields(born.body, after, {}, Owner(manager, "Update"))
        return clone(self._write(born, after, owned).body)

    async def apply(
        self, kind: Kind, body: Body, *, manager: str, subresource: str = "", force: bool = True, dry_run: bool = False
    ) -> Body:
        """See `Cluster.apply`."""
        namespace, name = check_identity(kind, body)
        stored = self._objects.get((kind, namespace, name))
        if stored is None:
            if subresource:
                raise AbsentError(f'{kind.plural} "{name}" not found', code=404)
            stored = self._bear(kind, namespace, name)
            if body["metadata"].get("uid") or body["metadata"].get("resourceVersion"):
                raise ConflictError(
                    f'{kind.plural} "{name}": uid or resourceVersion of an object that is gone', code=409
                )
        stored.refuse_stale(body)
        wanted = part_of(kind, clone(body), subresource)
        owner = Owner(manager, "Apply", subresource)
        after, owned = apply_fields(stored.body, stored.owned, wanted, owner=owner, force=force)
        written = self._write(stored, complete(kind, after), owned, dry_run=dry_run)
        return build_scale(written.body) if subresource == "scale" else clone(written.body)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Body, *, manager: str = OPERATOR) -> Body:
        """See `Cluster.patch`."""
        stored = self._objects.get((kind, namespace, name))
        if stored is None:
            raise AbsentError(f'{kind.plural} "{name}" not found', code=404)
        stored.refuse_stale(patch)
        wanted = part_of(kind, clone(patch), "")
        wanted["metadata"] = {
            key: value for key, value in wanted.get("metadata", {}).items() if key not in ("resourceVersion", "uid")
        }
        after = complete(kind, merge_patch(stored.body, wanted))
        owned = update_fields(stored.body, after, stored.owned, Owner(manager, "Update"))
        return clone(self._write(stored, after, owned).body)

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        """See `Cluster.delete`."""
        stored = self._objects.get((kind, namespace, name))
        if stored is not None and uid in (None, stored.metadata["uid"]):
            self._delete(stored)

    # -- writing

    def _bear(self, kind: Kind, namespace: str, name: str) -> _Stored:
        """Begin an object that is not stored yet."""
        if namespace in self._terminating:
            raise refuse_terminating(kind, namespace, name)
        uid = self._new_uid(kind, namespace, name)
        metadata = {"name": name, "namespace": namespace, "uid": uid, "creationTimestamp": self._stamp()}
        return _Stored(kind, {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata})

    def _write(self, stored: _Stored, after: Body, owned: Ownership, *, dry_run: bool = False) -> _Stored:
        """Store an object's next state, if it is another one, and tell of it."""
        key = (stored.kind, stored.metadata["namespace"], stored.metadata["name"])
        is_new = key not in self._objects
        before = stored.body
        if not is_new and after == before and owned == stored.owned:
            return stored
        refuse_new_finalizers(before, after)
        raise_generation(stored.kind, before, after)
        written = _Stored(stored.kind, after, owned)
        if dry_run:
            return written
        self._count(written)
        if "deletionTimestamp" in written.metadata and not written.metadata.get("finalizers"):
            self._remove(written)
            return written
        self._objects[key] = written
        self._tell("ADDED" if is_new else "MODIFIED", written)
        if is_new:
            self._later(self._collect, written)
        return written

    def _delete(self, stored: _Stored) -> None:
        if "deletionTimestamp" in stored.metadata:
            return
        if not stored.metadata.get("finalizers"):
            self._remove(stored)
            return
        self._count(stored)
        stored.metadata.update(deletionTimestamp=self._stamp(), deletionGracePeriodSeconds=0)
        if "generation" in stored.metadata:
            stored.metadata["generation"] += 1
        self._tell("MODIFIED", stored)

    def _remove(self, stored: _Stored) -> None:
        self._objects.pop((stored.kind, stored.metadata["namespace"], stored.metadata["name"]), None)
        self._count(stored)
        self._tell("DELETED", stored)
        for other in self._objects.values():
            if any(owner["uid"] == stored.metadata["uid"] for owner in other.metadata.get("ownerReferences", ())):
                self._later(self._collect, other)

    def _collect(self, stored: _Stored) -> None:
        """Delete an object whose owners are all gone."""
        current = self._objects.get((stored.kind, stored.metadata["namespace"], stored.metadata["name"]))
        if current is None or current.metadata["uid"] != stored.metadata["uid"]:
            return
        owners = {owner["uid"] for owner in current.metadata.get("ownerReferences", ())}
        if owners and not owners & {other.metadata["uid"] for other in self._objects.values()}:
            self._delete(current)

    def _count(self, stored: _Stored) -> None:
        self._version += 1
        stored.metadata["resourceVersion"] = str(self._version)

    def _tell(self, event: EventType, stored: _Stored) -> None:
        for watcher in self._watchers:
            self._later(watcher, stored.kind, event, clone(stored.body))

    def _later(self, call: Callable[..., None], *arguments: Any) -> None:
        asyncio.get_running_loop().call_soon(call, *arguments)

    def _stamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
