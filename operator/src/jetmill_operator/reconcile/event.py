"""Kubernetes Events for what a person would want to know of an object: `kubectl describe` shows them.

The same Event again is counted, not repeated, and one object can cause only so many: Events are stored by the API
server like everything else, and a storm of them has taken clusters down. An Event that cannot be written is not worth
a failure.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import structlog

from jetmill_operator.cluster.errors import AbsentError, ClusterError, ForbiddenError, NotLeaderError
from jetmill_operator.cluster.ports import EVENT, Body, Cluster
from jetmill_operator.reconcile.moment import SYSTEM, Clock

log = structlog.get_logger(__name__)

COMPONENT = "jetmill-operator"
QUIET_SECONDS = 600.0
"""For so long the same Event again is only counted."""
BURST = 25
"""So many Events of one object at once, warnings apart …"""
REFILL_SECONDS = 300.0
"""… and then one more every so often (as client-go's spam filter)."""
_MAX_ROWS = 4_096
_MAX_MESSAGE = 1_000


@dataclass(slots=True)
class _Row:
    name: str
    time: float
    count: int = 1


@dataclass(slots=True)
class _Purse:
    left: float
    time: float


class Recorder:
    """Writes Events of one process."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        instance: str = "",
        clock: Clock = SYSTEM,
    ) -> None:
        self._cluster = cluster
        self._instance = instance
        self._clock = clock
        self._rows: dict[tuple[str, ...], _Row] = {}
        self._purses: dict[str, _Purse] = {}
        self._number = 0

    async def tell(
        self, about: Body, reason: str, message: str, *, kind: Literal["Normal", "Warning"] = "Normal"
    ) -> bool:
        """Record an Event about an object; give False if its namespace is going away, so that nothing can be said."""
        identity = (about["metadata"].get("uid", ""), kind, reason, message)
        row = self._rows.get(identity)
        try:
            if row is not None:
                await self._again(about, row)
            elif self._may_spend(identity[0] + kind):
                await self._first(about, identity)
        except NotLeaderError:
            raise
        except ForbiddenError as err:
            if not err.terminating:
                log.warning("event_not_written", reason=reason, error=str(err))
            return not err.terminating
        except ClusterError as err:
            log.warning("event_not_written", reason=reason, error=str(err))
        return True

    async def _first(self, about: Body, identity: tuple[str, ...]) -> None:
        _, kind, reason, message = identity
        meta, now = about["metadata"], self._clock.stamp()
        self._number += 1
        name = f"{meta['name'][:200]}.{time.time_ns():x}{self._number:x}"
        body: Body = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.name,
            "metadata": {"name": name, "namespace": meta["namespace"]},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta.get("uid", ""),
            },
            "type": kind,
            "reason": reason,
            "message": message[:_MAX_MESSAGE],
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._instance,
        }
        await self._cluster.create(EVENT, body)
        self._make_room()
        self._rows[identity] = _Row(name, self._clock.monotonic())

    async def _again(self, about: Body, row: _Row) -> None:
        row.count += 1
        if self._clock.monotonic() - row.time < QUIET_SECONDS:
            return
        row.time = self._clock.monotonic()
        patch: Body = {"count": row.count, "lastTimestamp": self._clock.stamp()}
        try:
            await self._cluster.patch(EVENT, about["metadata"]["namespace"], row.name, patch)
        except AbsentError:  # the server keeps Events for an hour
            self._rows = {identity: other for identity, other in self._rows.items() if other is not row}

    def _may_spend(self, uid: str) -> bool:
        now = self._clock.monotonic()
        purse = self._purses.get(uid)
        if purse is None:
            purse = self._purses[uid] = _Purse(BURST, now)
        purse.left = min(BURST, purse.left + (now - purse.time) / REFILL_SECONDS)
        purse.time = now
        if purse.left < 1:
            return False
        purse.left -= 1
        return True

    def _make_room(self) -> None:
        """Forget the oldest: dictionaries keep the order of insertion."""
        for table in (self._rows, self._purses):
            while len(table) >= _MAX_ROWS:
                del table[next(iter(table))]  # type: ignore[arg-type]  # both are dictionaries of their own key
