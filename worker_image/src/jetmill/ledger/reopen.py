"""What a person does with a job (rule 6): retry, discard, reschedule.

To retry what waits for its next attempt is to let it have that now: the attempt counts as any other.

All append by compare-and-set to what was read, and look again when that is refused or not answered. A reopening
carries payload and call itself instead of pointing to them: the keeper may be purging the finished chain at this
very moment, and then the new enqueueing must stand alone.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from jetmill.bus.ports import Bus
from jetmill.errors import BusError, JobNotFoundError, JobStateError, RefusedError
from jetmill.ledger.hint import read_source, restore_hint
from jetmill.ledger.patience import Backoff, for_caller, insist
from jetmill.protocol.codec import encode
from jetmill.protocol.record import Entry, Record
from jetmill.protocol.state import State
from jetmill.protocol.step import build_discard, build_reopen, build_reschedule

_MOVABLE = frozenset({State.SCHEDULED, State.RETRYING})


async def retry(bus: Bus, job_id: str, *, by: str) -> Entry:
    """Enqueue a finished job once more: attempt 1, no crashes; or let one that waits to be retried be so now. Raise
    JobNotFoundError, JobStateError (waits for its first attempt, runs, or was discarded), NoAnswerError.
    """
    backoff = for_caller()
    seen = await _read(bus, job_id, backoff)
    if seen.record.state is State.RETRYING:
        return await _move(bus, seen, due=bus.link.now(), by=by, backoff=backoff)
    return await _reopen(bus, seen, by=by, backoff=backoff)


async def _reopen(bus: Bus, seen: Entry, *, by: str, backoff: Backoff) -> Entry:
    job_id = seen.id
    if not seen.record.final or seen.record.state is State.DISCARDED:
        raise JobStateError(f"job {job_id} is {seen.record.state}", cure="it can be retried once it has ended")
    source = await read_source(bus, seen, backoff)

    def build(last: Entry) -> Record:
        if last.record.state is State.DISCARDED:
            raise JobStateError(f"job {job_id} was discarded meanwhile")
        record = build_reopen(last, time=bus.link.now(), by=by)
        return msgspec.structs.replace(
            record, payload=source.payload, payload_ref=source.payload_ref, call=source.call, payload_seq=None
        )

    stands = await _append(
        bus, seen, build, is_done=lambda last: last.record.enqueueing > seen.record.enqueueing, backoff=backoff
    )
    await restore_hint(bus, stands, Backoff(unanswered_only=True))
    return stands


async def discard(bus: Bus, job_id: str, *, by: str) -> Entry:
    """Give up a failed job for good; idempotent. Raise JobNotFoundError, JobStateError (not failed), NoAnswerError."""
    backoff = for_caller()
    seen = await _read(bus, job_id, backoff)

    def build(last: Entry) -> Record:
        if last.record.state is not State.FAILED:
            raise JobStateError(f"job {job_id} is {last.record.state}", cure="only a failed job can be discarded")
        return build_discard(last, time=bus.link.now(), by=by)

    return await _append(bus, seen, build, is_done=lambda last: last.record.state is State.DISCARDED, backoff=backoff)


async def reschedule(bus: Bus, job_id: str, *, due: int, by: str) -> Entry:
    """Move a scheduled job, or the next attempt of one that is retried, to another time (µs by the server's clock).
    Raise JobNotFoundError, JobStateError (waits for no time), NoAnswerError.
    """
    backoff = for_caller()
    return await _move(bus, await _read(bus, job_id, backoff), due=due, by=by, backoff=backoff)


async def _move(bus: Bus, seen: Entry, *, due: int, by: str, backoff: Backoff) -> Entry:
    def build(last: Entry) -> Record:
        if last.record.state not in _MOVABLE:
            cure = "only one that waits for a time can be moved"
            raise JobStateError(f"job {seen.id} is {last.record.state}", cure=cure)
        return build_reschedule(last, due=due, time=bus.link.now(), by=by)

    stands = await _append(
        bus,
        seen,
        build,
        is_done=lambda last: last.record.state in _MOVABLE and last.record.due == due,
        backoff=backoff,
    )
    await restore_hint(bus, stands, Backoff(unanswered_only=True))
    return stands


async def _append(
    bus: Bus,
    last: Entry,
    build: Callable[[Entry], Record],
    *,
    is_done: Callable[[Entry], bool],
    backoff: Backoff,
) -> Entry:
    """Append what `build` makes of the last record, until it stands or the chain says that it is done."""
    while not is_done(last):
        record = build(last)
        try:
            seq = await bus.ledger.append(last.id, encode(record), expected=last.seq)
        except RefusedError:
            pass
        except BusError as err:
            await backoff.pause(err)
        else:
            return Entry(last.id, seq, record.time, record)
        last = await _read(bus, last.id, backoff)
    return last


async def _read(bus: Bus, job_id: str, backoff: Backoff) -> Entry:
    last = await insist(lambda: bus.ledger.read(job_id), backoff)
    if last is None:
        raise JobNotFoundError(f"no job {job_id}", cure="its retention may be over")
    return last
