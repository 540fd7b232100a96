"""What the operator would do with ScheduledJobs, without doing it: the part of `jetmill plan` that is about slots.

The decision is that of the planner (`ledger.planning.revise`), on the plan that stands, where NATS can be asked. That a
schedule is planned on as time passes is no difference and is not shown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from jetmill.bus.ports import Bus
from jetmill.errors import BusError, NotFoundError
from jetmill.ledger.planning import revise
from jetmill.protocol.plan import Slot, StoredPlan
from jetmill_operator.api.scheduledjob import ScheduledJob
from jetmill_operator.calendar.zone import to_moment
from jetmill_operator.cluster.ports import JOB, SCHEDULED_JOB, Body, Cluster
from jetmill_operator.policy.worker import Problem
from jetmill_operator.reconcile.moment import format_time
from jetmill_operator.resources.schedule import build_plan, choose_none, find_job, make_choice, read_schedule

UNKNOWN_UID = "00000000-0000-0000-0000-000000000000"
SHOWN = 5
"""So many slots are listed of those to be planned, and of those to be withdrawn."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """What would be done for one ScheduledJob."""

    name: str
    plan: tuple[str, ...] = ()
    """Lines, one for each slot that is planned or withdrawn."""
    fault: str = ""
    """What stands in the way."""
    note: str = ""
    """What could not be looked at."""

    def __str__(self) -> str:
        head = f"ScheduledJob {self.name}: "
        if self.fault:
            head += f"stalled: {self.fault}"
        else:
            signs = [line[0] for line in self.plan]
            said = [f"{signs.count(sign)} slots {verb}" for sign, verb in _VERBS.items() if sign in signs]
            head += ", ".join(said) or "nothing to do"
        lines = [line for sign in _VERBS for line in _shorten([one for one in self.plan if one[0] == sign])]
        return head + (f" ({self.note})" if self.note else "") + "\n" + "".join(f"  {line}\n" for line in lines)


_VERBS = {"+": "to plan", "-": "to withdraw"}


class Forecaster:
    """Looks ahead for the schedules of one namespace; without a cluster or a bus as if nothing were there."""

    def __init__(
        self, namespace: str, *, now: Callable[[], int], cluster: Cluster | None = None, bus: Bus | None = None
    ) -> None:
        self._namespace = namespace
        self._now = now
        """µs; NATS' clock where there is one."""
        self._cluster = cluster
        self._bus = bus

    async def look(self, schedule: ScheduledJob, *, jobs: Collection[str]) -> Outlook:
        """What becomes of one; `jobs` are declared beside it. Raises ClusterError if the cluster cannot be asked."""
        name, job = schedule.metadata.name, schedule.spec.job_ref.name
        body = schedule.model_dump(mode="json", by_alias=True, exclude_unset=True)
        body["metadata"]["namespace"] = self._namespace
        live = None if self._cluster is None else await self._cluster.get(SCHEDULED_JOB, self._namespace, name)
        if live is not None:
            body["metadata"] = _move(live, schedule)
            if find_job(live) != job:
                return Outlook(name, fault="spec.jobRef cannot change: delete the ScheduledJob and create it anew")
        if job not in jobs and (self._cluster is None or await self._cluster.get(JOB, self._namespace, job) is None):
            return Outlook(name, fault=f"spec.jobRef names Job {job}, which is not there")
        stored, note = await self._read(body)
        return self._decide(body, job, stored, note)

    async def _read(self, body: Body) -> tuple[StoredPlan | None, str]:
        """The plan that stands, and why none is known."""
        if self._cluster is None:
            return None, "as if nothing were there yet"
        if self._bus is None:
            return None, "the plan was not looked at: JETMILL_NATS_URL is not set"
        try:
            return await self._bus.ledger.read_plan(body["metadata"].get("uid", UNKNOWN_UID)), ""
        except NotFoundError:
            return None, ""
        except BusError as err:
            return None, f"the plan could not be looked at: {err.message}"

    def _decide(self, body: Body, job: str, stored: StoredPlan | None, note: str) -> Outlook:
        name, now = body["metadata"]["name"], self._now()
        body = {**body, "metadata": {"uid": UNKNOWN_UID, "generation": 1, **body["metadata"]}}
        declared = read_schedule(body)
        if isinstance(declared, Problem):
            return Outlook(name, fault=declared.message)
        wanted = build_plan(body, declared, job, now=now)
        before = [] if stored is None else [slot for slot in stored.plan.slots if slot.due > now]
        if stored is not None and stored.plan.generation == wanted.generation:
            return Outlook(name, note=note)
        choose = choose_none if wanted.suspended else make_choice(declared, body["metadata"]["uid"])
        after, _, _ = revise(stored, wanted, choose, now=now, seen={})
        added = [slot for slot in after.slots if slot not in before]
        gone = [slot for slot in before if slot.time not in {one.time for one in after.slots}]
        return Outlook(name, (*_list("+", added), *_list("-", gone)), note=note)


def _move(live: Body, schedule: ScheduledJob) -> dict[str, Any]:
    """The metadata that the object would have: a generation later if its spec is another one."""
    meta = dict(live["metadata"])
    before = read_schedule(live)
    same = not isinstance(before, Problem) and before.schedule.spec == schedule.spec
    return meta if same else {**meta, "generation": meta["generation"] + 1}


def _list(sign: str, slots: list[Slot]) -> list[str]:
    return [f"{sign} slot {format_time(to_moment(slot.time))}" for slot in slots]


def _shorten(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN
    return lines if more <= 0 else [*lines[:SHOWN], f"{lines[0][0]} … {more} more"]
