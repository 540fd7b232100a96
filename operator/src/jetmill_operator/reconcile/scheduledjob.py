"""One ScheduledJob: observe → plan its slots → status.

```
 get ScheduledJob ─▶ gone: forget it · being deleted: withdraw its slots, let go
    │
    ▼
 read it ─▶ refused by model or calendar, suspended: a generation without slots ─┐
    │       its Job is not there: what was planned stays, nothing is added ──────┼─▶ planner ─▶ status, look again
    └─────▶ the slots of its calendar ───────────────────────────────────────────┘
```

The planner of the ledger writes what has to be right whatever dies when (rule 8); here is what a schedule means. What
was planned fires without this process: it is only looked at to plan on, and to be shown.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import structlog

from jetmill.bus.ports import Bus
from jetmill.errors import BusError, NotFoundError
from jetmill.ledger.planning import Passed, Planner
from jetmill.protocol.record import JobSettings
from jetmill_operator.calendar.spec import list_next
from jetmill_operator.calendar.zone import to_moment
from jetmill_operator.cluster.errors import AbsentError, ConflictError, ForbiddenError
from jetmill_operator.cluster.ports import SCHEDULED_JOB, Body, Cluster, Key
from jetmill_operator.policy.planning import decide_look
from jetmill_operator.policy.reason import Reason
from jetmill_operator.policy.schedule import SHOWN, ScheduleView, build_schedule_status
from jetmill_operator.policy.worker import Problem
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.event import Recorder
from jetmill_operator.reconcile.index import JobIndex
from jetmill_operator.reconcile.job import explain_bus_error
from jetmill_operator.reconcile.metric import Metrics
from jetmill_operator.reconcile.moment import SYSTEM, Clock, format_time, parse_time
from jetmill_operator.reconcile.queue import Again
from jetmill_operator.reconcile.status import StatusWriter
from jetmill_operator.resources.label import FINALIZER, RELEASE
from jetmill_operator.resources.schedule import (
    MISSED,
    Declared,
    build_end,
    build_missed,
    build_plan,
    check_payload,
    choose_none,
    find_job,
    make_choice,
    read_schedule,
)

RETRY_SECONDS = 5.0
SOON_SECONDS = 0.5
ACTIVE_SECONDS = 5.0
"""So often a schedule is looked at whose jobs have not ended: its status says how they do."""
LATER_SECONDS = 0.2
"""So much after a slot the status is written."""
BLOCKED_SECONDS = 60.0
"""For so long NATS may be away before a person who deletes a schedule is asked."""
MOST_TOLD = 100
"""So many missed slots are told of in one pass."""
LOOK_SECONDS = 60.0
"""So often a schedule whose Job is not there is looked at: the Job's own events come sooner."""

log = structlog.get_logger("jetmill.operator")


class ScheduledJobReconciler:
    """Keeps every ScheduledJob as it is declared."""

    def __init__(
        self,
        cluster: Cluster,
        buses: Buses,
        index: JobIndex,
        *,
        status: StatusWriter,
        recorder: Recorder,
        metrics: Metrics | None = None,
        identity: str = "",
        clock: Clock = SYSTEM,
    ) -> None:
        self._cluster = cluster
        self._buses = buses
        self._index = index
        self._status = status
        self._recorder = recorder
        self._metrics = metrics or Metrics()
        self._by = f"planner:{identity or 'operator'}"
        self._clock = clock

    async def reconcile(self, key: Key) -> Again | None:
        """Bring one ScheduledJob in line; raises ClusterError for what the caller has to try again, NotLeaderError."""
        body = await self._cluster.get(SCHEDULED_JOB, key.namespace, key.name)
        if body is None:
            return None
        try:
            if "deletionTimestamp" in body["metadata"]:
                return await self._end(key, body)
            return await self._keep(key, await self._hold(key, body))
        except ForbiddenError as err:
            if err.terminating:
                return None  # the namespace is going away, and the schedule with it
            raise
        except (ConflictError, AbsentError):  # it is not what it was when this pass began
            return Again(SOON_SECONDS)

    # Keep

    async def _hold(self, key: Key, body: Body) -> Body:
        """See that it does not go before its slots are withdrawn."""
        meta = body["metadata"]
        finalizers = meta.get("finalizers") or []
        if FINALIZER in finalizers:
            return body
        patch = {"metadata": {"finalizers": [*finalizers, FINALIZER], "resourceVersion": meta["resourceVersion"]}}
        return await self._cluster.patch(SCHEDULED_JOB, key.namespace, key.name, patch)

    async def _keep(self, key: Key, body: Body) -> Again | None:
        found = read_schedule(body)
        view = ScheduleView(body["metadata"]["uid"], body["metadata"]["generation"])
        declared = None if isinstance(found, Problem) else found
        if isinstance(found, Problem):
            view = replace(view, stalled=found)
        else:
            view = replace(view, suspended=found.schedule.spec.suspend)
        try:
            view, passed = await self._plan(key, body, declared, view)
        except BusError as err:
            self._buses.doubt(key.namespace)
            return await self._retry(body, replace(view, waiting=explain_bus_error(err)))
        if passed is not None and passed.stored is None:
            return Again(SOON_SECONDS)  # the cache is behind: a later generation is planned already
        return await self._conclude(key, body, declared, view)

    async def _plan(
        self, key: Key, body: Body, declared: Declared | None, view: ScheduleView
    ) -> tuple[ScheduleView, Passed | None]:
        """Plan its slots; the view then says what stands. Raises BusError."""
        namespace = key.namespace
        job = find_job(body) if declared is None else declared.job
        if job is None:
            return view, None
        settings = await self._buses.read(namespace, job)
        there = self._index.has(namespace, job) and isinstance(settings, JobSettings)
        if declared is not None and not there:
            message = f"spec.jobRef names Job {job}, which is not there or has no queue: create it; nothing is planned"
            view = replace(view, stalled=Problem(Reason.JOB_MISSING, message))
        elif declared is not None and isinstance(settings, JobSettings):
            view = replace(view, stalled=check_payload(declared, most_bytes=settings.payload_max_bytes))
        bus = self._buses.of(namespace)
        planner = Planner(bus, by=self._by, require=self._buses.require)
        none = declared is None or view.suspended or view.stalled is not None
        choose = choose_none if declared is None or none else make_choice(declared, view.uid)
        wanted = build_plan(body, declared, job, now=bus.link.now())
        passed = await planner.plan(view.uid, wanted, choose)
        self._metrics.count_slots(
            namespace, planned=passed.planned, withdrawn=passed.withdrawn, missed=len(passed.missed)
        )
        if passed.missed:
            await self._tell_missed(body, bus, job, passed.missed)
        if passed.planned or passed.withdrawn:
            log.info(
                "slots_planned",
                namespace=namespace,
                schedule=key.name,
                planned=passed.planned,
                withdrawn=passed.withdrawn,
                generation=view.generation,
            )
        if passed.stored is not None:
            view = replace(view, plan=passed.stored.plan, seen=passed.seen)
        return view, passed

    async def _conclude(self, key: Key, body: Body, declared: Declared | None, view: ScheduleView) -> Again | None:
        """Write the status, and say when to look again: to plan on, at the next slot, while jobs have not ended."""
        now = self._buses.of(key.namespace).link.now()
        planning = declared is not None and not view.suspended and view.stalled is None
        if planning and declared is not None:
            view = replace(view, next_runs=list_next(declared.calendar, now, SHOWN))
        left = await self._publish(body, view)
        waits = [] if left is None else [left]
        if view.stalled is not None and view.stalled.reason is Reason.JOB_MISSING:
            waits.append(LOOK_SECONDS)
        if any(entry.record.open for entry in view.seen.values()):
            waits.append(ACTIVE_SECONDS)
        plan = view.plan
        if plan is not None and planning:
            look = decide_look(plan, now)
            dues = [slot.due for slot in plan.slots if slot.due > now]
            times = [*([] if look is None else [look]), *dues[:1]]
            waits += [(time - now) / 1e6 + LATER_SECONDS for time in times]
        return Again(max(min(waits), SOON_SECONDS)) if waits else None

    async def _publish(self, body: Body, view: ScheduleView) -> float | None:
        after = build_schedule_status(view, body.get("status") or {}, now=self._clock.stamp())
        return await self._status.write(SCHEDULED_JOB, body, after)

    async def _retry(self, body: Body, view: ScheduleView) -> Again:
        said = parse_time((body.get("status") or {}).get("nextRetryTime"))
        now = self._clock.now()
        if said is None or said <= now:
            said = now + timedelta(seconds=60)  # a write each minute is enough
        await self._publish(body, replace(view, retry_time=format_time(said)))
        return Again(RETRY_SECONDS)

    async def _tell_missed(self, body: Body, bus: Bus, job: str, missed: list[int]) -> None:
        meta = body["metadata"]
        times = ("… " if len(missed) > SHOWN else "") + ", ".join(
            format_time(to_moment(one)) for one in missed[-SHOWN:]
        )
        message = f"{len(missed)} slots were not planned in time and are not made up for: {times}"
        await self._recorder.tell(body, "Missed", message, kind="Warning")
        for time in missed[-MOST_TOLD:]:
            event = build_missed(meta, job, time, now=bus.link.now())
            await bus.events.publish(MISSED, msgspec.json.encode(event), event_id=event["id"])

    # End

    async def _end(self, key: Key, body: Body) -> Again | None:
        """Withdraw what is planned, then let it go."""
        finalizers = body["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            return None
        annotations = body["metadata"].get("annotations") or {}
        if annotations.get(RELEASE) != "true":
            try:
                await self._withdraw(key, body)
            except BusError as err:
                self._buses.doubt(key.namespace)
                if not await self._is_given_up(body, err):
                    return Again(RETRY_SECONDS)
        rest = [name for name in finalizers if name != FINALIZER]
        patch = {"metadata": {"finalizers": rest or None, "resourceVersion": body["metadata"]["resourceVersion"]}}
        await self._cluster.patch(SCHEDULED_JOB, key.namespace, key.name, patch)
        self._status.forget(body["metadata"]["uid"])
        log.info("schedule_let_go", namespace=key.namespace, schedule=key.name)
        return None

    async def _withdraw(self, key: Key, body: Body) -> None:
        bus, uid = self._buses.of(key.namespace), body["metadata"]["uid"]
        try:
            stored = await bus.ledger.read_plan(uid)
        except NotFoundError:
            return  # the namespace has nothing in NATS
        if stored is not None:
            wanted = build_end(stored.plan, generation=body["metadata"]["generation"] + 1)
            await Planner(bus, by=self._by, require=self._buses.require).plan(uid, wanted, choose_none)

    async def _is_given_up(self, body: Body, err: BusError) -> bool:
        """Wait for NATS, ask a person, or (in a namespace that is going away) give up."""
        if self._clock.count_deleted(body) < BLOCKED_SECONDS:
            return False
        message = (
            f"its slots cannot be withdrawn: {err.message}. It goes when NATS is back, or at once with: kubectl "
            f"annotate jmsj {body['metadata']['name']} {RELEASE}=true (then what is planned still fires)"
        )
        if not await self._recorder.tell(body, Reason.CLEANUP_BLOCKED, message, kind="Warning"):
            return True
        problem = Problem(Reason.CLEANUP_BLOCKED, message)
        view = ScheduleView(body["metadata"]["uid"], body["metadata"]["generation"], stalled=problem)
        await self._publish(body, view)
        return False
