"""The end of a Job: what its `deletionPolicy` says, then the finalizer goes.

```
 Retain ──────────────────────────────────────────────────────────▶ let go    queue and settings stay, jobs wait
 Delete ─▶ pause consumers ─▶ delete the Deployment (workers drain) ─▶ cancel what waits ─▶ what runs has ended?
                                                                        ▲    no: look again │ yes: remove the
                                                                        └───────────────────┘ queue ─▶ let go
 NATS away for 60 s ─▶ Stalled: CleanupBlocked, until it is back or `jetmill.dev/release: "true"` is set
                       in a namespace that is itself going away: let go, the queue stays
```

What runs may end by itself; past the grace period of its workers, or when they have all gone, it is cancelled too, so
that no open job is left without a queue.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from jetmill.bus.ports import Bus
from jetmill.errors import BusError, CodecError, JobNotFoundError, NotFoundError, ObstacleError, RefusedError
from jetmill.ledger.cancel import cancel
from jetmill.protocol.codec import encode
from jetmill.protocol.record import JobSettings
from jetmill.protocol.state import State
from jetmill.protocol.step import build_conclusion
from jetmill_operator.cluster.ports import DEPLOYMENT, JOB, Body, Cluster, Key
from jetmill_operator.policy.reason import Reason
from jetmill_operator.reconcile.board import Board
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.event import Recorder
from jetmill_operator.reconcile.moment import SYSTEM, Clock
from jetmill_operator.reconcile.queue import Again
from jetmill_operator.reconcile.status import StatusWriter
from jetmill_operator.resources.deployment import TIMEOUT_SECONDS, decide_grace_seconds
from jetmill_operator.resources.label import FINALIZER, RELEASE, is_child, name_child

ACTOR = "operator"
"""Who cancels the jobs of a Job that is deleted."""
BLOCKED_SECONDS = 60.0
"""For so long NATS may be away before a person is asked."""
MARGIN_SECONDS = 60.0
"""What workers get beyond their grace period before their jobs are cancelled."""
LOOK_SECONDS = 2.0
BATCH = 500
"""So many jobs are cancelled in one pass."""
_AT_ONCE = 50

log = structlog.get_logger("jetmill.operator")


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a queue after a pass."""

    waiting: int = 0
    running: int = 0

    def __bool__(self) -> bool:
        return bool(self.waiting or self.running)


class Deletion:
    """Ends Jobs."""

    def __init__(
        self,
        cluster: Cluster,
        buses: Buses,
        *,
        board: Board,
        status: StatusWriter,
        recorder: Recorder,
        clock: Clock = SYSTEM,
    ) -> None:
        self._cluster = cluster
        self._buses = buses
        self._board = board
        self._status = status
        self._recorder = recorder
        self._clock = clock

    async def reconcile(self, key: Key, body: Body) -> Again | None:
        """Go as far as it goes now; raises ClusterError."""
        finalizers = body["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            return None
        if _reads_delete(body) and not _is_released(body):
            try:
                left = await self._clean_up(body)
            except RefusedError:
                return Again(LOOK_SECONDS)  # somebody else wrote meanwhile: read again
            except ObstacleError:
                left = Left()  # the stream of that name is not ours: there is nothing of ours to clean up
            except BusError as err:
                self._buses.doubt(key.namespace)
                if not await self._is_given_up(body, err):
                    return Again(LOOK_SECONDS)
                left = Left()
            if left:
                await self._status.say(
                    JOB, body, Reason.DELETING, "its jobs drain: deletionPolicy is Delete", stalled=False
                )
                return Again(0.0 if left.waiting else LOOK_SECONDS)
        await self._let_go(key, body)
        return None

    async def _let_go(self, key: Key, body: Body) -> None:
        meta = body["metadata"]
        rest = [name for name in meta["finalizers"] if name != FINALIZER]
        patch = {"metadata": {"finalizers": rest or None, "resourceVersion": meta["resourceVersion"]}}
        await self._cluster.patch(JOB, key.namespace, key.name, patch)
        self._board.forget(key)
        self._status.forget(meta["uid"])
        log.info(
            "job_let_go", namespace=key.namespace, job=key.name, policy="Delete" if _reads_delete(body) else "Retain"
        )

    async def _clean_up(self, body: Body) -> Left:
        meta = body["metadata"]
        bus = self._buses.of(meta["namespace"])
        if not await self._pause(body):
            return Left()
        deployment = await self._cluster.get(DEPLOYMENT, meta["namespace"], name_child(meta["name"]))
        if deployment is not None and is_child(deployment, body) and "deletionTimestamp" not in deployment["metadata"]:
            uid = deployment["metadata"]["uid"]
            await self._cluster.delete(DEPLOYMENT, meta["namespace"], deployment["metadata"]["name"], uid=uid)
        self._buses.require()
        overdue = self._clock.count_deleted(body) > _read_grace(body) + MARGIN_SECONDS
        left = await cancel_jobs(bus, meta["name"], running_too=overdue)
        if not left:
            with contextlib.suppress(NotFoundError):  # the namespace itself has nothing in NATS
                await bus.admin.remove_job(meta["name"], uid=meta["uid"])
        return left

    async def _pause(self, body: Body) -> bool:
        """Let nothing more be started; clients that look see a suspended Job. False: the queue is another object's."""
        meta = body["metadata"]
        settings = await self._buses.read(meta["namespace"], meta["name"])
        if not isinstance(settings, JobSettings):
            return True
        if settings.uid not in ("", meta["uid"]):
            return False
        if not settings.suspend:
            paused = msgspec.structs.replace(settings, suspend=True)
            await self._buses.apply(meta["namespace"], paused, before=settings)
        return True

    async def _is_given_up(self, body: Body, err: BusError) -> bool:
        """Wait for NATS, ask a person, or (in a namespace that is going away) give up."""
        if self._clock.count_deleted(body) < BLOCKED_SECONDS:
            return False
        message = (
            f"its queue cannot be cleaned up: {err.message}. It goes when NATS is back, or at once with: "
            f"kubectl annotate jmj {body['metadata']['name']} {RELEASE}=true (then the queue stays in NATS)"
        )
        if not await self._recorder.tell(body, Reason.CLEANUP_BLOCKED, message, kind="Warning"):
            return True
        await self._status.say(JOB, body, Reason.CLEANUP_BLOCKED, message, stalled=True)
        return False


async def cancel_jobs(bus: Bus, job: str, *, running_too: bool) -> Left:
    """Cancel what waits in a Job's queue, a batch at a time, and what runs if its workers have gone or it is told to.

    Idempotent; raises BusError.
    """
    try:
        hinted = sorted(await bus.queue.hinted(job))
    except NotFoundError:
        return Left()
    running_too = running_too or await _are_workers_gone(bus, job)
    batch = hinted[:BATCH]
    running = 0
    for start in range(0, len(batch), _AT_ONCE):
        ends = await asyncio.gather(
            *(_cancel_one(bus, job_id, running_too=running_too) for job_id in batch[start : start + _AT_ONCE])
        )
        running += ends.count(False)
    return Left(waiting=len(hinted) - len(batch), running=running)


async def _cancel_one(bus: Bus, job_id: str, *, running_too: bool) -> bool:
    """Give False for a job that runs on."""
    last = await bus.ledger.read(job_id)
    if last is None or last.record.final:
        return True
    if last.record.claimed and not running_too:
        return False
    try:
        last = await cancel(bus, job_id, by=ACTOR)
        if last.record.state is State.CANCELLING:
            record = build_conclusion(last, time=bus.link.now(), worker=ACTOR)
            await bus.ledger.append(job_id, encode(record), expected=last.seq)
    except (JobNotFoundError, RefusedError):
        return True  # somebody else was first
    return True


async def _are_workers_gone(bus: Bus, job: str) -> bool:
    """Nobody serves the Job, and this process has been connected for long enough to know."""
    try:
        settings = await bus.admin.settings(job)
    except CodecError:
        settings = None
    lease = 30.0 if settings is None else settings.lease_seconds
    if bus.link.connected_seconds < lease:
        return False
    return not any(job in presence.jobs for presence in await bus.presence.all())


def _reads_delete(body: Body) -> bool:
    spec = body.get("spec")
    return isinstance(spec, Mapping) and spec.get("deletionPolicy") == "Delete"


def _is_released(body: Body) -> bool:
    annotations: Mapping[str, Any] = body["metadata"].get("annotations") or {}
    return annotations.get(RELEASE) == "true"


def _read_grace(body: Body) -> float:
    timeout = (body.get("spec") or {}).get("timeoutSeconds")
    return decide_grace_seconds([timeout if isinstance(timeout, (int, float)) else TIMEOUT_SECONDS])
