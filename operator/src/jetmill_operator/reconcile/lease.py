"""Leadership by a Lease of coordination.k8s.io, as client-go does it: who holds it renews it, who does not waits.

```
            |<-------------- duration 15 s: others wait ---------------->|
            |<------ renew 10 s: we may write ------>|                     others may take it
   before the renewing request                   deadline
```

The holder counts from *before* its request, on its own clock; the others from when they *saw* the renewal. So between
the holder's deadline and the takeover lie five seconds, whatever the wall clocks say. The clock is the one that goes on
while the machine sleeps, where there is one: after a long sleep the deadline has passed.

A record with our own identity that this process did not write is somebody else's: a predecessor may still be about.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog

from jetmill_operator.cluster.errors import AbsentError, ClusterError, ConflictError, NotLeaderError, UnavailableError
from jetmill_operator.cluster.ports import LEASE, Body, Cluster

log = structlog.get_logger("jetmill.operator")


@dataclass(frozen=True, slots=True)
class Times:
    """How long everything lasts; the duration has to be longer than the renewal, and that than the retry."""

    duration_seconds: int = 15
    """How long others wait after they saw the last renewal."""
    renew_seconds: float = 10.0
    """How long the holder may write after its last renewal."""
    retry_seconds: float = 2.0
    """How often the holder renews and the others look."""


def boot_seconds() -> float:
    """Seconds on a clock that goes on while the machine sleeps (Linux), else on the monotonic one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(slots=True)
class _Seen:
    """Another one's record, and since when it is unchanged."""

    version: str
    since: float


class Lease:
    """One candidate. `acquire`, then `hold` while working; `require` before each write; in the end `release`.

    `cluster` must not be fenced. A lost lease is not taken again: the process ends, and a new one begins.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        namespace: str,
        name: str,
        identity: str,
        times: Times = Times(),
        clock: Callable[[], float] = boot_seconds,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._times = times
        self._clock = clock
        self._now = now
        self._version = ""
        self._valid_until = -math.inf
        self._seen: _Seen | None = None

    @property
    def leading(self) -> bool:
        """This process may write now."""
        return self._clock() < self._valid_until

    def require(self) -> float:
        """Give the seconds for which this process may still write; NotLeaderError if it may not."""
        left = self._valid_until - self._clock()
        if left <= 0:
            raise NotLeaderError(f"{self._identity} does not hold the lease {self._namespace}/{self._name} any more")
        return left

    async def acquire(self) -> None:
        """Wait until the lease is ours."""
        while True:
            if await self._try_to_take():
                break
            await asyncio.sleep(self._times.retry_seconds * random.uniform(0.5, 1.0))
        log.info("lease_acquired", lease=self._name, identity=self._identity)

    async def hold(self) -> None:
        """Renew for ever; NotLeaderError when that has failed for too long, or another one has it."""
        while True:
            await asyncio.sleep(min(self._times.retry_seconds, max(0.0, self._valid_until - self._clock())))
            self.require()
            try:
                await self._renew()
            except NotLeaderError:
                self._valid_until = -math.inf
                raise
            except (ClusterError, TimeoutError) as err:
                left = round(self._valid_until - self._clock(), 1)
                log.warning("lease_not_renewed", lease=self._name, error=str(err) or "no answer", seconds_left=left)

    async def release(self) -> None:
        """Give the lease back, so that the next one need not wait; nothing may be written from here on. Idempotent."""
        held, self._valid_until = self.leading, -math.inf
        if not held:
            return
        try:
            async with asyncio.timeout(self._times.renew_seconds / 2):
                await self._give_back()
        except (ClusterError, TimeoutError) as err:
            log.warning("lease_not_released", lease=self._name, error=str(err) or "no answer")

    async def _give_back(self) -> None:
        spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._stamp()}
        try:
            await self._patch(spec, self._version)
        except ConflictError:  # a renewal was under way when `hold` was cancelled
            await self._look_again()
            await self._patch(spec, self._version)

    async def _try_to_take(self) -> bool:
        try:
            async with asyncio.timeout(self._times.renew_seconds):
                return await self._take()
        except ConflictError:
            return False  # another one was faster
        except (AbsentError, UnavailableError, TimeoutError) as err:
            log.warning("lease_not_read", lease=self._name, error=str(err) or "no answer")
            return False

    async def _take(self) -> bool:
        found = await self._cluster.get(LEASE, self._namespace, self._name)
        if found is None:
            return await self._create()
        spec, version = found.get("spec", {}), found["metadata"]["resourceVersion"]
        if spec.get("holderIdentity") and not self._has_expired(spec, version):
            return False
        before = self._clock()
        taken = self._intent() | {"leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1}
        self._became(await self._patch(taken, version), before)
        return True

    async def _create(self) -> bool:
        before = self._clock()
        body = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": {"namespace": self._namespace, "name": self._name},
            "spec": self._intent() | {"leaseTransitions": 0},
        }
        self._became(await self._cluster.create(LEASE, body), before)
        return True

    async def _renew(self) -> None:
        before = self._clock()
        try:
            async with asyncio.timeout(min(self.require(), self._times.renew_seconds / 2)):
                renewed = await self._patch({"renewTime": self._stamp()}, self._version)
        except (ConflictError, AbsentError):
            await self._look_again()
            return
        self._became(renewed, before)

    async def _look_again(self) -> None:
        """After a refusal: somebody has it, or an answer of ours was lost and the record is another version of ours."""
        found = await self._cluster.get(LEASE, self._namespace, self._name)
        holder = found.get("spec", {}).get("holderIdentity") if found else None
        if found is None or holder != self._identity:
            raise NotLeaderError(f"the lease {self._namespace}/{self._name} is {holder or 'nobody'}'s by now")
        self._version = found["metadata"]["resourceVersion"]

    def _has_expired(self, spec: dict[str, Any], version: str) -> bool:
        now = self._clock()
        if self._seen is None or self._seen.version != version:
            self._seen = _Seen(version, now)
        return now - self._seen.since >= max(1, int(spec.get("leaseDurationSeconds") or 0))

    def _became(self, body: Body, before: float) -> None:
        self._version = body["metadata"]["resourceVersion"]
        self._valid_until = before + self._times.renew_seconds

    def _intent(self) -> dict[str, Any]:
        stamp = self._stamp()
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._times.duration_seconds,
            "acquireTime": stamp,
            "renewTime": stamp,
        }

    async def _patch(self, spec: dict[str, Any], version: str) -> Body:
        patch = {"metadata": {"resourceVersion": version}, "spec": spec}
        return await self._cluster.patch(LEASE, self._namespace, self._name, patch)

    def _stamp(self) -> str:
        """A MicroTime: six digits, or the server refuses it."""
        return self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
