"""Copies of the operator's own Secrets: the logins to NATS that the chart made for workers and applications.

Only the Secrets that JETMILL_SECRET_NAMESPACES names are read, and only under the names that it names are copies
written; a Secret of that name that is not ours is left alone, and said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from jetmill.errors import ConfigError
from jetmill_operator.cluster.errors import AbsentError, ClusterError, ForbiddenError, NotLeaderError
from jetmill_operator.cluster.ports import OPERATOR, SECRET, Body, Cluster
from jetmill_operator.resources.label import MANAGED_BY, NAME

LOOK_SECONDS = 30.0
"""How often the copies are compared."""
LOGIN = "jetmill-login"
"""The value of the label `app.kubernetes.io/name` on a copy."""
_ENTRY = re.compile(r"(?P<namespace>[a-z0-9-]+)=(?P<source>[a-z0-9.-]+):(?P<target>[a-z0-9.-]+)")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class Copy:
    """A Secret of the operator's namespace, and where it is to be as well."""

    namespace: str
    source: str
    target: str


def parse_copies(text: str) -> tuple[Copy, ...]:
    """Read `shop=source:target,…`; ConfigError names every entry that is none."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    found = [_ENTRY.fullmatch(part) for part in parts]
    faults = [part for part, match in zip(parts, found, strict=True) if match is None]
    if faults:
        raise ConfigError(
            f"JETMILL_SECRET_NAMESPACES: {', '.join(faults)} is no NAMESPACE=SOURCE:TARGET",
            cure="as the chart writes it",
        )
    return tuple(Copy(**match.groupdict()) for match in found if match is not None)


def is_ours(secret: Body) -> bool:
    """We made it."""
    return bool((secret["metadata"].get("labels") or {}).get(MANAGED_BY) == "jetmill")


def plan_copy(copy: Copy, *, source: Body, there: Body | None) -> Body | None:
    """What to apply, None if the copy is as it should be."""
    if there is not None and is_ours(there) and there.get("data", {}) == source.get("data", {}):
        return None
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": copy.target,
            "namespace": copy.namespace,
            "labels": {MANAGED_BY: "jetmill", NAME: LOGIN},
        },
        "type": source.get("type", "Opaque"),
        "data": source.get("data", {}),
    }


class Copies:
    """Keeps the copies. `home` is the operator's namespace; the cluster is fenced by the lease."""

    def __init__(self, cluster: Cluster, copies: Iterable[Copy], *, home: str) -> None:
        self._cluster = cluster
        self._copies = tuple(copies)
        self._home = home
        self._said: dict[Copy, str] = {}

    async def apply(self) -> None:
        """One look at each; what cannot be copied now is tried at the next. Raises NotLeaderError."""
        for copy in self._copies:
            try:
                trouble = await self._apply(copy)
            except NotLeaderError:
                raise
            except AbsentError:
                trouble = f"there is no namespace {copy.namespace}"
            except ForbiddenError as err:
                trouble = "" if err.terminating else str(err)
            except ClusterError as err:
                trouble = str(err)
            self._say(copy, trouble)

    async def remove(self) -> None:
        """Delete every copy that is ours."""
        for copy in self._copies:
            there = await self._cluster.get(SECRET, copy.namespace, copy.target)
            if there is not None and is_ours(there):
                await self._cluster.delete(SECRET, copy.namespace, copy.target, uid=there["metadata"]["uid"])

    async def _apply(self, copy: Copy) -> str:
        """Copy one; why not, empty if it is there."""
        source = await self._cluster.get(SECRET, self._home, copy.source)
        if source is None:
            return f"there is no Secret {self._home}/{copy.source}"
        there = await self._cluster.get(SECRET, copy.namespace, copy.target)
        if there is not None and not is_ours(there):
            return f"the Secret {copy.namespace}/{copy.target} is not ours; remove or rename it"
        wanted = plan_copy(copy, source=source, there=there)
        if wanted is not None:
            await self._cluster.apply(SECRET, wanted, manager=OPERATOR)
            log.info("secret_copied", namespace=copy.namespace, name=copy.target)
        return ""

    def _say(self, copy: Copy, trouble: str) -> None:
        """Once for each trouble, not at each look."""
        if trouble and self._said.get(copy) != trouble:
            log.warning("secret_not_copied", namespace=copy.namespace, name=copy.target, reason=trouble)
        self._said[copy] = trouble
