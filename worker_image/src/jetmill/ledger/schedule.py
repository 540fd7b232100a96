"""Schedules as the ledger knows them: found by name, triggered by a person."""

from __future__ import annotations

from jetmill.bus.ports import Bus
from jetmill.errors import JobStateError, NotFoundError, UnknownScheduleError
from jetmill.ledger.draft import Submission, Submitted, enqueue, prepare
from jetmill.ledger.patience import for_caller
from jetmill.protocol.plan import StoredPlan
from jetmill.protocol.record import Call


async def list_schedules(bus: Bus) -> list[StoredPlan]:
    """The plan of every schedule that is there, by name; raises BusError."""
    try:
        found = await bus.ledger.plans()
    except NotFoundError:
        return []
    newest: dict[str, StoredPlan] = {}
    for stored in sorted((one for one in found if not one.plan.gone), key=lambda one: one.seq):
        newest[stored.plan.schedule] = stored  # an earlier one of that name is about to be withdrawn
    return [newest[name] for name in sorted(newest)]


async def find_schedule(bus: Bus, name: str) -> StoredPlan:
    """The plan of a schedule; raise UnknownScheduleError, BusError."""
    for stored in await list_schedules(bus):
        if stored.plan.schedule == name:
            return stored
    cure = "`jetmill schedule list` shows those that an operator has planned"
    raise UnknownScheduleError(f"no schedule {name:.80}", field="schedule", cure=cure)


async def trigger(
    bus: Bus, name: str, *, by: str, job_id: str | None = None, payload: bytes | None = None
) -> Submitted:
    """Enqueue a job of a schedule now, beside its slots: an id of its own, the schedule's payload (or this one, a JSON
    object) and its concurrency policy. Also while it is suspended. Raise UnknownScheduleError, JobStateError if the
    schedule cannot be understood, InvalidNameError, CodecError, NoAnswerError.
    """
    stored = await find_schedule(bus, name)
    plan, now = stored.plan, bus.link.now()
    template = plan.template
    if template.payload is None:
        raise JobStateError(f"schedule {name} has no payload: its spec cannot be obeyed", cure="look at its conditions")
    submission = Submission(
        job=plan.job,
        payload=bytes(template.payload) if payload is None else payload,
        id=job_id,
        band=template.band,
        call=Call(
            labels=template.labels,
            max_retries=template.max_retries,
            timeout_seconds=template.timeout_seconds,
            slot=now,
        ),
        gate=template.gate,
        schedule=plan.schedule,
        generation=plan.generation,
    )
    submitted = await enqueue(bus, prepare(submission, time=now, by=by), for_caller())
    bus.signals.wake(plan.job)
    return submitted
