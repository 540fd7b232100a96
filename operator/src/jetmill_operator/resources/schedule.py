"""What a ScheduledJob becomes in the ledger: its plan, the choice of its slots, the event of a missed one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from pydantic import ValidationError

from jetmill.errors import CodecError
from jetmill.ledger.gate import Policy, build_gate
from jetmill.ledger.planning import Choose
from jetmill.protocol.codec import INLINE_BYTES, encode_value
from jetmill.protocol.identity import id_from_key
from jetmill.protocol.name import is_label
from jetmill.protocol.plan import Chosen, Plan, Span, Template, make_slot_id
from jetmill_operator.api.refusal import list_refusals
from jetmill_operator.api.scheduledjob import ScheduledJob
from jetmill_operator.calendar.errors import ScheduleError
from jetmill_operator.calendar.slot import Calendar
from jetmill_operator.calendar.spec import build_calendar
from jetmill_operator.calendar.zone import to_instant, to_moment
from jetmill_operator.cluster.ports import Body
from jetmill_operator.policy.planning import Rules, choose_slots
from jetmill_operator.policy.reason import Reason
from jetmill_operator.policy.worker import Problem

MISSED = "schedule.missed"
"""The type of the event."""
_GATES: dict[str, Policy] = {"Forbid": "forbid", "Replace": "replace"}
_LONGEST_MESSAGE = 2_000


@dataclass(frozen=True, slots=True)
class Declared:
    """A ScheduledJob that was understood."""

    schedule: ScheduledJob
    calendar: Calendar
    payload: bytes
    """As JSON."""

    @property
    def job(self) -> str:
        """The Job that it enqueues."""
        return self.schedule.spec.job_ref.name


def read_schedule(body: Body) -> Declared | Problem:
    """Read a ScheduledJob, or say what is refused: field, character, cure."""
    try:
        schedule = ScheduledJob.model_validate(body)
    except ValidationError as err:
        message = " · ".join(map(str, list_refusals(err, ScheduledJob)))
        return Problem(Reason.INVALID_SPEC, message[:_LONGEST_MESSAGE])
    try:
        calendar = build_calendar(schedule.spec)
    except ScheduleError as err:
        return Problem(Reason.INVALID_SCHEDULE, f"spec.{err}"[:_LONGEST_MESSAGE])
    try:
        payload = encode_value(schedule.spec.payload or {})
    except CodecError as err:
        return Problem(Reason.INVALID_SPEC, f"spec.payload: {err}")
    return Declared(schedule, calendar, payload)


def check_payload(declared: Declared, *, most_bytes: int) -> Problem | None:
    """Say that the payload is too large for the Job, or for a plan."""
    size, most = len(declared.payload), min(most_bytes, INLINE_BYTES)
    if size <= most:
        return None
    message = f"spec.payload has {size} bytes, at most {most} can be scheduled: say where it is, not what it is"
    return Problem(Reason.INVALID_SPEC, message)


def find_job(body: Body) -> str | None:
    """The Job that is named even in a spec that is refused."""
    spec = body.get("spec")
    reference = spec.get("jobRef") if isinstance(spec, Mapping) else None
    name = reference.get("name") if isinstance(reference, Mapping) else None
    return name if isinstance(name, str) and is_label(name) else None


def build_plan(body: Body, declared: Declared | None, job: str, *, now: int) -> Plan:
    """What is wanted of a schedule: its first record, should there be none, counts from the object's creation.

    Without `declared`, the spec cannot be obeyed: a generation without slots.
    """
    meta = body["metadata"]
    since = now
    if meta["generation"] == 1 and "creationTimestamp" in meta:
        since = min(now, to_instant(datetime.fromisoformat(meta["creationTimestamp"])))
    plan = Plan(schedule=meta["name"], job=job, generation=meta["generation"], since=since, until=since, suspended=True)
    if declared is None:
        return plan
    spec = declared.schedule.spec
    gate = _GATES.get(spec.concurrency_policy)
    template = Template(
        payload=msgspec.Raw(declared.payload),
        gate=None if gate is None else build_gate(gate, f"schedule/{meta['uid']}"),
        start_by_seconds=spec.starting_deadline_seconds,
    )
    return msgspec.structs.replace(
        plan,
        keep_succeeded=spec.successful_jobs_history_limit,
        keep_failed=spec.failed_jobs_history_limit,
        template=template,
        expression=spec.schedule,
        every=spec.every,
        time_zone=spec.time_zone,
        start=declared.calendar.start,
        end=declared.calendar.end,
        suspended=spec.suspend,
    )


def make_choice(declared: Declared, uid: str) -> Choose:
    """How the slots of a schedule are chosen."""
    spec = declared.schedule.spec
    rules = Rules(
        uid,
        jitter_seconds=spec.jitter_seconds,
        catch_up=spec.catch_up.policy,
        most=spec.catch_up.max,
        deadline_seconds=spec.starting_deadline_seconds,
    )
    return lambda span: choose_slots(declared.calendar, rules, span)


def choose_none(span: Span) -> Chosen:
    """No slots: nothing is intended."""
    return Chosen([], span.after)


def build_end(plan: Plan, *, generation: int) -> Plan:
    """What is wanted of a schedule that has gone: nothing of what it planned."""
    name, job = plan.schedule, plan.job
    return Plan(schedule=name, job=job, generation=generation, since=0, until=0, suspended=True, gone=True)


def build_missed(meta: Mapping[str, Any], job: str, time: int, *, now: int) -> dict[str, Any]:
    """The CloudEvent of a slot (µs) that was missed; the same slot is the same event."""
    moment = to_moment(time).isoformat().replace("+00:00", "Z")
    return {
        "specversion": "1.0",
        "id": id_from_key(MISSED, meta["uid"], str(time)),
        "type": MISSED,
        "source": f"/jetmill/{meta['namespace']}/{meta['name']}",
        "subject": meta["name"],
        "time": to_moment(now).isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": {"schedule": meta["name"], "job": job, "time": moment, "id": make_slot_id(meta["uid"], time)},
    }
