"""Why a job does not run, or a Job's jobs do not: pure, from what was just read. The command `why` only shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jetmill.cli.output import span
from jetmill.client.status import JobStats, JobStatus
from jetmill.protocol.plan import Plan
from jetmill.protocol.record import JobSettings, Presence
from jetmill.protocol.state import Reason, State


@dataclass(frozen=True, slots=True)
class Cause:
    """One finding: a constant code, what it means here, and what to do."""

    code: str
    text: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read of a Job and who works on it."""

    job: str
    now: datetime
    settings: JobSettings | None
    stats: JobStats | None
    workers: list[Presence]
    plans: Sequence[Plan] = ()
    """Of the schedules that enqueue its jobs."""


SCHEDULE_SUSPENDED = "schedule_suspended"
OF_SCHEDULES = frozenset({SCHEDULE_SUSPENDED, "schedule_invalid"})
"""The codes that tell of ScheduledJobs, which not everybody may see."""
_CURES = {
    Reason.EXHAUSTED: "mend the handler, then: jetmill dead retry ID",
    Reason.NON_RETRYABLE: "mend what it was given, then: jetmill dead retry ID",
    Reason.TIMEOUT: "raise timeoutSeconds, or make it faster, then: jetmill dead retry ID",
    Reason.POISON: "look at the worker's memory limit and its last log lines before you retry it",
    Reason.UNKNOWN_HANDLER: "deploy a worker that knows the handler, then: jetmill dead retry ID",
    Reason.INVALID_PAYLOAD: "enqueue it anew with a payload that fits",
    Reason.INVALID_RESULT: "return JSON, or a reference to what is large",
    Reason.EXPIRED: "raise startingDeadlineSeconds, or give the Job more workers",
    Reason.OVERLAP: "its concurrency policy says so: another with its key was not done with",
}


def decide_job_causes(seen: Seen) -> list[Cause]:
    """What keeps the jobs of a Job from starting; empty: nothing does."""
    if seen.settings is None:
        return [
            Cause(
                "unknown_job", f"no Job {seen.job} is declared here", "apply its manifest, or see `jetmill job types`"
            )
        ]
    causes = _explain_suspension(seen)
    needed, delayed = (seen.stats.ready + seen.stats.in_flight, seen.stats.delayed) if seen.stats else (0, 0)
    if needed:
        causes += _explain_workers(seen)
    elif delayed:
        causes.append(
            Cause("waiting_until", f"none of {seen.job} is ready: {delayed} wait for their time or their key")
        )
    return causes + [_explain_rest(plan) for plan in seen.plans if plan.suspended]


def _explain_rest(plan: Plan) -> Cause:
    """Why a schedule enqueues nothing."""
    name = plan.schedule
    if plan.template.payload is None:
        said = f"ScheduledJob {name} plans no jobs of {plan.job}: its spec cannot be obeyed"
        return Cause("schedule_invalid", said, f"look at its conditions: kubectl describe jmsj {name}")
    said = f"ScheduledJob {name} is suspended: it plans no jobs of {plan.job}"
    return Cause(SCHEDULE_SUSPENDED, said, f"jetmill schedule resume {name}")


def _explain_suspension(seen: Seen) -> list[Cause]:
    if seen.settings is None or not seen.settings.suspend:
        return []
    return [Cause("suspended", f"Job {seen.job} is suspended", "set spec.suspend: false")]


def _explain_workers(seen: Seen) -> list[Cause]:
    """Why nobody takes a job that is ready."""
    serving = [worker for worker in seen.workers if seen.job in worker.jobs]
    live = [worker for worker in serving if not worker.draining]
    if not serving:
        cure = f"start one: jetmill worker --job {seen.job} --import MODULE"
        return [Cause("no_worker", f"no worker serves {seen.job}", cure)]
    if not live:
        return [Cause("draining", f"all {len(serving)} workers of {seen.job} are about to leave", "start another")]
    if all(seen.job in worker.missing for worker in live):
        cure = "deploy one that does; in 15 minutes (JETMILL_UNKNOWN_HANDLER_SECONDS) its jobs fail"
        return [Cause("unknown_handler", f"none of the {len(live)} workers of {seen.job} knows its handler", cure)]
    waiting = seen.stats.ready if seen.stats else 0
    if waiting and all(worker.busy >= worker.slots for worker in live):
        slots = sum(worker.slots for worker in live)
        said = f"all {slots} slots are taken, {waiting} jobs wait"
        return [Cause("busy", said, "raise concurrency or maxReplicas")]
    return []


def decide_causes(status: JobStatus, seen: Seen, *, holder: str | None) -> list[Cause]:
    """Why one job stands where it stands; `holder` is another, open job that has its key."""
    match status.state:
        case State.CANCELLED if status.reason is Reason.WITHDRAWN and status.schedule is not None:
            return [_explain_withdrawal(status.schedule, seen)]
        case State.SUCCEEDED | State.CANCELLED | State.DISCARDED:
            return [Cause("done", f"it is done with: {status.state} at {status.finished}")]
        case State.FAILED | State.SKIPPED:
            return [_explain_end(status)]
        case State.RUNNING | State.CANCELLING:
            return [_explain_run(status, seen)]
        case State.SCHEDULED | State.RETRYING | State.QUEUED:
            return _explain_wait(status, seen, holder=holder)


def _explain_end(status: JobStatus) -> Cause:
    said = f": {status.error.type}: {status.error.message}" if status.error else ""
    cure = _CURES.get(status.reason, "") if status.reason else ""
    return Cause(
        status.reason or status.state, f"it {status.state} ({status.reason}){said}", cure.replace("ID", status.id)
    )


def _explain_withdrawal(schedule: str, seen: Seen) -> Cause:
    """Why a slot of a schedule does not run."""
    plan = next((plan for plan in seen.plans if plan.schedule == schedule), None)
    if plan is None:
        return Cause("withdrawn", f"it was withdrawn: ScheduledJob {schedule} is not there any more")
    if not plan.suspended:
        return Cause("withdrawn", f"it was withdrawn: ScheduledJob {schedule} was edited, and has other times since")
    found = _explain_rest(plan)
    return Cause(found.code, f"it was withdrawn: {found.text}", found.cure)


def _explain_run(status: JobStatus, seen: Seen) -> Cause:
    worker = next((worker for worker in seen.workers if worker.worker == status.worker), None)
    lasted = span((seen.now - status.started).total_seconds()) if status.started else "?"
    if worker is None:
        lease = seen.settings.lease_seconds if seen.settings else 30.0
        return Cause(
            "worker_absent",
            f"its worker {status.worker} is gone; another takes it over within {span(lease * 4 / 3)}",
            "" if any(seen.job in worker.jobs for worker in seen.workers) else "no other worker serves it: start one",
        )
    if status.state is State.CANCELLING:
        return Cause(
            "cancelling", f"worker {status.worker} was told to stop it", "the handler has to look at ctx.cancelled"
        )
    return Cause("running", f"it runs on {status.worker}, for {lasted} now")


def _explain_wait(status: JobStatus, seen: Seen, *, holder: str | None) -> list[Cause]:
    causes = []
    due = status.history[-1].due if status.history else None
    early = due is not None and due > seen.now
    if due is not None and early:
        left = span((due - seen.now) / timedelta(seconds=1))
        code = "waiting_until" if status.state is State.SCHEDULED else "retrying_until"
        causes.append(Cause(code, f"it is {status.state}: due {due.isoformat(timespec='seconds')}, in {left}"))
    if status.state is State.RETRYING and status.error is not None:
        causes.append(Cause("last_error", f"attempt {status.attempt}: {status.error.type}: {status.error.message}"))
    if holder is not None:
        said = f"its key {status.concurrency_key!r} is held by job {holder}"
        causes.append(Cause("held", said, f"jetmill why {holder}"))
    if seen.settings is None:
        return causes + decide_job_causes(seen)
    causes += _explain_suspension(seen)
    if not early:
        causes += _explain_workers(seen)
    if not causes:
        ahead = seen.stats.ready if seen.stats else 0
        causes.append(Cause("next", f"nothing holds it: {ahead} jobs are ready, a worker takes it when a slot is free"))
    return causes
