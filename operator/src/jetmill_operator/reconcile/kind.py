"""ScheduledJob and Webhook, which this version keeps and does not act on: `Ready: Unknown` says so."""

from __future__ import annotations

from jetmill_operator.cluster.errors import AbsentError, ConflictError, ForbiddenError
from jetmill_operator.cluster.ports import Cluster, Key, Kind
from jetmill_operator.policy.condition import make_condition, stamp
from jetmill_operator.policy.reason import Reason, Type
from jetmill_operator.reconcile.moment import SYSTEM, Clock
from jetmill_operator.reconcile.queue import Again
from jetmill_operator.reconcile.status import StatusWriter


class LaterReconciler:
    """Says of each object of a kind that it is kept."""

    def __init__(self, kind: Kind, cluster: Cluster, *, status: StatusWriter, clock: Clock = SYSTEM) -> None:
        self._kind = kind
        self._cluster = cluster
        self._status = status
        self._clock = clock

    async def reconcile(self, key: Key) -> Again | None:
        """Write the status where it is not there; raises ClusterError."""
        body = await self._cluster.get(self._kind, key.namespace, key.name)
        if body is None or "deletionTimestamp" in body["metadata"]:
            return None
        message = f"this version of Jetmill keeps a {self._kind.name} and does not act on it yet"
        generation = body["metadata"]["generation"]
        condition = make_condition(Type.READY, "Unknown", Reason.NOT_OBEYED, message)
        stamped = stamp(condition, body.get("status") or {}, generation=generation, now=self._clock.stamp())
        try:
            await self._status.write(self._kind, body, {"observedGeneration": generation, "conditions": [stamped]})
        except ForbiddenError as err:
            if not err.terminating:
                raise
        except (AbsentError, ConflictError):
            return Again(0.5)
        return None
