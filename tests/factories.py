"""What tests are made of: messages with sensible defaults, everything overridable by name."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import msgspec

from jetmill.protocol.codec import encode
from jetmill.protocol.hint import Hint, build_hint
from jetmill.protocol.plan import Plan, Slot, Template
from jetmill.protocol.record import Call, Entry, ErrorInfo, Holder, JobSettings, PayloadRef, Presence, Record
from jetmill.protocol.state import State

NOON = 1_780_000_000_000_000
"""µs; the time at which records of tests are written unless they say otherwise."""

JOB = "send-email"

_numbers = itertools.count(1)


def make_job_id() -> str:
    """An id that no other test has."""
    return str(uuid.uuid4())


def make_record(state: State = State.QUEUED, **fields: Any) -> Record:
    """A record as the protocol writes it in that state; what a state demands (a lease, a due time) is filled in."""
    values: dict[str, Any] = {"enqueueing": 1, "attempt": 1, "job": JOB, "time": NOON, "by": "client:test"}
    if state in (State.RUNNING, State.CANCELLING):
        values |= {"lease": f"lease-{next(_numbers)}", "worker": "worker-1", "by": "worker:worker-1"}
    if state in (State.SCHEDULED, State.RETRYING):
        values["due"] = NOON + 60_000_000
    return Record(state=state, **{**values, **fields})


def make_entry(
    state: State = State.QUEUED,
    *,
    id: str | None = None,  # noqa: A002 - the field's name
    seq: int = 1,
    time: int = NOON,
    **fields: Any,
) -> Entry:
    """A record where it lies."""
    return Entry(id=id or make_job_id(), seq=seq, time=time, record=make_record(state, **fields))


def make_data(state: State = State.QUEUED, **fields: Any) -> bytes:
    """An encoded record."""
    return encode(make_record(state, **fields))


def make_hint(**fields: Any) -> Hint:
    """A ready hint; with `due` a delayed one."""
    values: dict[str, Any] = {"id": make_job_id(), "job": JOB, "band": "normal", "body": b'{"v":1}', "seq": 7}
    return Hint(**{**values, **fields})


def make_hint_of(entry: Entry) -> Hint:
    """The hint that an open entry needs."""
    hint = build_hint(entry)
    assert hint is not None, "a final record has no hint"
    return hint


def make_settings(job: str = JOB, **fields: Any) -> JobSettings:
    """The settings of a Job."""
    return JobSettings(job=job, **fields)


def make_presence(worker: str = "worker-1", **fields: Any) -> Presence:
    """What a worker says of itself."""
    values: dict[str, Any] = {"jobs": [JOB], "slots": 10, "host": "host-1", "pid": 123, "version": "0.1.0"}
    return Presence(worker=worker, **{**values, **fields})


def make_holder(**fields: Any) -> Holder:
    """Who holds a gate."""
    values: dict[str, Any] = {"id": make_job_id(), "enqueueing": 1}
    return Holder(**{**values, **fields})


def make_plan(**fields: Any) -> Plan:
    """The plan of a schedule; `slots` and `old` may be times (µs)."""
    values: dict[str, Any] = {"schedule": "nightly", "job": JOB, "generation": 1, "since": NOON, "until": NOON}
    values |= {"template": Template(payload=msgspec.Raw(b'{"to":"ada"}'))}
    for name in ("slots", "old"):
        if name in fields:
            fields[name] = [slot if isinstance(slot, Slot) else Slot(slot, slot) for slot in fields[name]]
    return Plan(**{**values, **fields})


def make_call(**fields: Any) -> Call:
    """What a caller asked for."""
    return Call(**{"user": "ada", "labels": {"team": "shop"}, "max_retries": 3, **fields})


def make_error(**fields: Any) -> ErrorInfo:
    """What went wrong."""
    return ErrorInfo(**{"type": "ValueError", "message": "no such thing", "traceback": "Traceback …", **fields})


def make_payload_ref(**fields: Any) -> PayloadRef:
    """A payload in the object store."""
    return PayloadRef(**{"name": "payload-1", "bytes": 600_000, "sha256": "0" * 64, **fields})
