"""Cancelling (rule 5): durable, before the run and during it.

The order matters: the queue's last sequence is taken before the deciding read, and the purge goes no further. So a
hint that a person's retry puts between the read and the purge survives. The purge is housekeeping: without it a
worker reads `cancelled` and acknowledges.
"""

from __future__ import annotations

from jetmill.bus.ports import Bus
from jetmill.errors import BusError, JobNotFoundError, NotFoundError, RefusedError
from jetmill.ledger.patience import Backoff, for_caller, insist
from jetmill.protocol.codec import encode
from jetmill.protocol.record import Entry
from jetmill.protocol.state import State
from jetmill.protocol.step import build_cancel


async def cancel(bus: Bus, job_id: str, *, by: str) -> Entry:
    """Cancel a job, before or during its run; idempotent. Returns what stands: `cancelled`, `cancelling`, or the
    final record that was there first. Raise JobNotFoundError, NoAnswerError.
    """
    return await cancel_patiently(bus, job_id, by=by, backoff=for_caller())


async def cancel_patiently(bus: Bus, job_id: str, *, by: str, backoff: Backoff) -> Entry:
    """Cancel, with the caller's own patience."""
    job = (await _read(bus, job_id, backoff)).record.job
    while True:
        bound = await _queue_end(bus, job, backoff)
        last = await _read(bus, job_id, backoff)
        if last.record.final:
            return last
        if last.record.state is State.CANCELLING:
            bus.signals.cancel(job_id)
            return last
        record = build_cancel(last, time=bus.link.now(), by=by)
        try:
            seq = await bus.ledger.append(job_id, encode(record), expected=last.seq)
        except RefusedError:
            continue
        except BusError as err:
            await backoff.pause(err)
            continue
        if record.final:
            await _purge_hints(bus, last, bound)
        else:
            bus.signals.cancel(job_id)
        return Entry(job_id, seq, record.time, record)


async def _read(bus: Bus, job_id: str, backoff: Backoff) -> Entry:
    last = await insist(lambda: bus.ledger.read(job_id), backoff)
    if last is None:
        raise JobNotFoundError(f"no job {job_id}", cure="its retention may be over")
    return last


async def _queue_end(bus: Bus, job: str, backoff: Backoff) -> int | None:
    """The sequence up to which hints may be purged; None if the Job has no queue any more."""
    while True:
        try:
            return await bus.queue.last_seq(job)
        except NotFoundError:
            return None
        except BusError as err:
            await backoff.pause(err)


async def _purge_hints(bus: Bus, last: Entry, bound: int | None) -> None:
    if bound is None:
        return
    try:
        await bus.queue.purge(last.record.job, last.id, up_to=bound + 1)
    except BusError:
        return  # may be left out, and is not tried again: the worker that gets the hint reads `cancelled`
