"""The next record of a chain: one pure builder for each arrow of the diagram.

Each takes the record that it follows and returns the one to append. What the next step needs is carried over;
payload and call are pointed to by `payload_seq`. `at` is the entry's own sequence, for the first record has the
payload in itself. A step that the diagram does not have raises JobStateError: it cannot even be built.
"""

from __future__ import annotations

from typing import Any

import msgspec

from jetmill.errors import JobStateError
from jetmill.protocol.outcome import Cancelled, Failed, Interrupted, Outcome, Retry, Succeeded
from jetmill.protocol.record import Entry, ErrorInfo, Record
from jetmill.protocol.state import ALLOWED, Reason, State


def payload_seq(entry: Entry) -> int:
    """The sequence of the record that holds the payload and the call of this entry's enqueueing."""
    return entry.record.payload_seq or entry.seq


def _check(entry: Entry, state: State) -> Record:
    """The record that is followed; raise JobStateError if `state` cannot follow it."""
    last = entry.record
    if state not in ALLOWED[last.state] or (
        last.state is State.CANCELLED and state is not State.QUEUED and last.reason is not Reason.WITHDRAWN
    ):
        raise JobStateError(f"job {entry.id} is {last.state}: {state} cannot follow")
    return last


def _follow(entry: Entry, state: State, *, time: int, by: str, **fields: Any) -> Record:
    last = _check(entry, state)
    values: dict[str, Any] = {
        "enqueueing": last.enqueueing,
        "attempt": last.attempt,
        "crashes": last.crashes,
        "worker": None,
        "payload_seq": payload_seq(entry),
        **fields,
    }
    return Record(
        state=state,
        job=last.job,
        band=last.band,
        time=time,
        by=by,
        gate=last.gate,
        schedule=last.schedule,
        generation=last.generation,
        **values,
    )


def build_claim(entry: Entry, *, lease: str, worker: str, time: int, max_retries: int | None) -> Record:
    """`running` after a waiting record, or (a takeover, crashes + 1) after `running`.

    Written out, as `build_success` is: every job passes both, and `_follow` costs three times as much.
    """
    last = _check(entry, State.RUNNING)
    state = last.state
    takeover = state is State.RUNNING
    return Record(
        state=State.RUNNING,
        enqueueing=last.enqueueing,
        attempt=last.attempt + 1 if state is State.RETRYING else last.attempt,
        crashes=last.crashes + 1 if takeover else last.crashes,
        job=last.job,
        band=last.band,
        time=time,
        by=f"worker:{worker}",
        lease=lease,
        worker=worker,
        reason=Reason.TAKEN_OVER if takeover else None,
        max_retries=max_retries,
        gate=last.gate,
        schedule=last.schedule,
        generation=last.generation,
        payload_seq=last.payload_seq or entry.seq,
    )


def _raw(result: bytes | None) -> msgspec.Raw | None:
    return None if result is None else msgspec.Raw(result)


def build_success(entry: Entry, outcome: Succeeded, *, time: int, worker: str) -> Record:
    """`succeeded` after a worker's own claim."""
    last = _check(entry, State.SUCCEEDED)
    return Record(
        state=State.SUCCEEDED,
        enqueueing=last.enqueueing,
        attempt=last.attempt,
        crashes=last.crashes,
        job=last.job,
        band=last.band,
        time=time,
        by=f"worker:{worker}",
        worker=worker,
        gate=last.gate,
        schedule=last.schedule,
        generation=last.generation,
        payload_seq=last.payload_seq or entry.seq,
        result=_raw(outcome.result),
        result_ref=outcome.result_ref,
    )


def build_outcome(entry: Entry, outcome: Outcome, *, time: int, worker: str) -> Record:
    """What follows a worker's own claim; after `cancelling` only `succeeded` or `cancelled` can."""
    if isinstance(outcome, Succeeded):
        return build_success(entry, outcome, time=time, worker=worker)
    if not entry.record.claimed:
        raise JobStateError(f"job {entry.id} is {entry.record.state}: nobody runs it")
    by = f"worker:{worker}"
    if entry.record.state is State.CANCELLING:
        outcome = Cancelled()
    match outcome:
        case Retry(delay_seconds, error, reason, result):
            due = time + round(delay_seconds * 1_000_000)
            shown: dict[str, Any] = {"error": error, "reason": reason, "result": _raw(result)}
            return _follow(entry, State.RETRYING, time=time, by=by, worker=worker, due=due, **shown)
        case Failed(reason, error, result):
            shown = {"error": error, "reason": reason, "result": _raw(result)}
            return _follow(entry, State.FAILED, time=time, by=by, worker=worker, **shown)
        case Cancelled():
            return _follow(entry, State.CANCELLED, time=time, by=by, worker=worker)
        case Interrupted():
            return _follow(entry, State.QUEUED, time=time, by=by, worker=worker, reason=Reason.INTERRUPTED)


def build_cancel(entry: Entry, *, time: int, by: str) -> Record:
    """`cancelled` after a waiting record, `cancelling` (the owner's lease kept) after `running`."""
    last = entry.record
    if last.waiting:
        return _follow(entry, State.CANCELLED, time=time, by=by)
    return _follow(
        entry, State.CANCELLING, time=time, by=by, lease=last.lease, worker=last.worker, max_retries=last.max_retries
    )


def build_skip(entry: Entry, reason: Reason, *, time: int, worker: str) -> Record:
    """`skipped` after `queued` or `scheduled`: its gate is held, or its starting deadline has passed."""
    return _follow(entry, State.SKIPPED, time=time, by=f"worker:{worker}", reason=reason)


def build_poison(entry: Entry, *, time: int, worker: str) -> Record:
    """`failed` after a `running` whose owner is gone and whose crash budget is spent."""
    error = ErrorInfo(type="WorkerLost", message=f"{entry.record.crashes + 1} workers died while they ran this job")
    return _follow(entry, State.FAILED, time=time, by=f"worker:{worker}", reason=Reason.POISON, error=error)


def build_conclusion(entry: Entry, *, time: int, worker: str) -> Record:
    """`cancelled` after a `cancelling` whose owner is gone."""
    return _follow(entry, State.CANCELLED, time=time, by=f"worker:{worker}")


def build_reschedule(entry: Entry, *, due: int, time: int, by: str) -> Record:
    """`scheduled` or `retrying` at another time, after the same; what went wrong in the last attempt stays with it."""
    state = State.RETRYING if entry.record.state is State.RETRYING else State.SCHEDULED
    return _follow(entry, state, time=time, by=by, due=due, reason=Reason.RESCHEDULED, error=entry.record.error)


def build_withdrawal(entry: Entry, *, generation: int, time: int, by: str) -> Record:
    """`cancelled` after a `scheduled` slot that its schedule does not intend any more; `generation` is who says so."""
    record = _follow(entry, State.CANCELLED, time=time, by=by, reason=Reason.WITHDRAWN, due=entry.record.due)
    return msgspec.structs.replace(record, generation=generation)


def build_reopen(entry: Entry, *, time: int, by: str) -> Record:
    """`queued` after a final record: the next enqueueing, attempt 1, no crashes."""
    return _follow(
        entry,
        State.QUEUED,
        time=time,
        by=by,
        enqueueing=entry.record.enqueueing + 1,
        attempt=1,
        crashes=0,
        reason=Reason.REOPENED,
    )


def build_discard(entry: Entry, *, time: int, by: str) -> Record:
    """`discarded` after `failed`; nothing follows."""
    return _follow(entry, State.DISCARDED, time=time, by=by, reason=entry.record.reason, error=entry.record.error)
