"""Writing the status of an object: only where it differs, counters slowly, and with an Event where it turns.

```
 as it is ───────────────▶ nothing
 only counters differ ───▶ written, or (less than ten seconds after the last time) looked at again later
 anything else differs ──▶ written, and an Event if Ready or Stalled turned
```
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jetmill_operator.cluster.ports import OPERATOR, Body, Cluster, Kind
from jetmill_operator.policy.condition import find_condition, is_same, make_condition, stamp
from jetmill_operator.policy.reason import Reason, Type
from jetmill_operator.reconcile.board import COUNTERS_SECONDS
from jetmill_operator.reconcile.event import Recorder
from jetmill_operator.reconcile.moment import SYSTEM, Clock

_USUAL = frozenset(map(str, (Reason.STARTING, Reason.LEFTOVER, Reason.DELETING, Reason.NO_DISPATCHER)))
"""Reasons for not being ready that are worth no warning."""


SHORTEST_SECONDS = 0.05
"""No wait is shorter: one that is below the clock's resolution would be none."""


class StatusWriter:
    """Writes the status of objects of one process."""

    def __init__(
        self,
        cluster: Cluster,
        recorder: Recorder,
        *,
        clock: Clock = SYSTEM,
    ) -> None:
        self._cluster = cluster
        self._recorder = recorder
        self._clock = clock
        self._written: dict[str, float] = {}
        """uid → when its status was written last."""

    async def write(self, kind: Kind, body: Body, after: Mapping[str, Any]) -> float | None:
        """Write `after` if it differs from the status in `body`; give the seconds after which that is still to be done,
        None if it is as it should be. ConflictError if it is not that object any more.
        """
        before: Mapping[str, Any] = body.get("status") or {}
        if is_same(before, after):
            return None
        uid = body["metadata"]["uid"]
        if is_same(before, after, counters=False):
            left = self._written.get(uid, -COUNTERS_SECONDS) + COUNTERS_SECONDS - self._clock.monotonic()
            if left > 0:
                return max(left, SHORTEST_SECONDS)
        meta = {name: body["metadata"][name] for name in ("name", "namespace", "uid")}
        wanted = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": meta, "status": dict(after)}
        await self._cluster.apply(kind, wanted, manager=OPERATOR, subresource="status")
        self._written[uid] = self._clock.monotonic()
        await self._tell(body, before, after)
        return None

    async def say(self, kind: Kind, body: Body, reason: Reason, message: str, *, stalled: bool) -> None:
        """Write what keeps an object that is going."""
        before, generation = body.get("status") or {}, body["metadata"]["generation"]
        conditions = [
            make_condition(Type.READY, "False", reason, message),
            make_condition(Type.STALLED if stalled else Type.RECONCILING, "True", reason, message),
        ]
        now = self._clock.stamp()
        stamped = [stamp(one, before, generation=generation, now=now) for one in conditions]
        await self.write(kind, body, {"observedGeneration": generation, "conditions": stamped})

    def forget(self, uid: str) -> None:
        """The object has gone."""
        self._written.pop(uid, None)

    async def _tell(self, body: Body, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        was, ready = find_condition(before, Type.READY), find_condition(after, Type.READY)
        if ready is None or _is_same_turn(was, ready):
            return
        if ready["status"] == "False" and ready["reason"] not in _USUAL:
            await self._recorder.tell(body, ready["reason"], ready["message"], kind="Warning")
        elif ready["status"] == "True" and (was is None or was.get("status") != "True"):
            await self._recorder.tell(body, "Ready", ready["message"])
        elif ready["reason"] == Reason.SUSPENDED:
            await self._recorder.tell(body, "Suspended", ready["message"])


def _is_same_turn(was: Mapping[str, Any] | None, ready: Mapping[str, Any]) -> bool:
    return was is not None and (was.get("status"), was.get("reason")) == (ready["status"], ready["reason"])
