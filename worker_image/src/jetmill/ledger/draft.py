"""One job on its way into the ledger: what is asked for, its first record, the append and the hint (rule 1).

The ledger first, then the hint, published until it is answered. An accepted append is an accepted job. Refused, or
not answered: read; a chain under the id *is* the job, whoever wrote it, and a second hint does no harm.
"""

from __future__ import annotations

import os

import msgspec

from jetmill.bus.ports import Bus
from jetmill.errors import BusError, InputError, NoAnswerError, RefusedError
from jetmill.ledger.hint import restore_hint
from jetmill.ledger.patience import Backoff, insist
from jetmill.protocol.codec import encode
from jetmill.protocol.hint import Hint, build_hint
from jetmill.protocol.identity import make_id
from jetmill.protocol.name import parse_job_id, parse_job_name
from jetmill.protocol.record import Band, Call, Entry, PayloadRef, Record
from jetmill.protocol.state import State
from jetmill.protocol.subject import BANDS

NO_CALL = Call()
ID_BYTES = 10
"""Of chance, in each id."""


class Submission(msgspec.Struct, frozen=True):
    """One job to enqueue."""

    job: str
    payload: bytes = b"{}"
    """An encoded JSON object; not read if there is a `payload_ref`."""
    payload_ref: PayloadRef | None = None
    id: str | None = None
    """None: a fresh UUIDv7."""
    band: Band = "normal"
    due: int | None = None
    """µs by the server's clock; None: now."""
    call: Call = NO_CALL
    gate: str | None = None
    """As `jetmill.ledger.gate.build_gate` makes it."""
    schedule: str | None = None
    generation: int | None = None


class Submitted(msgspec.Struct, frozen=True):
    """A job that the ledger holds."""

    id: str
    seq: int
    """Of the record that is the job's last now."""
    created: bool
    """False: the id already had a chain."""


class Draft(msgspec.Struct, frozen=True):
    """A submission made ready: its first record, encoded once for the ledger and the hint."""

    id: str
    fresh: bool
    """The id was made here, so a chain under it is of this draft."""
    record: Record
    body: bytes

    def lies_in(self, entry: Entry) -> bool:
        """Tell whether an unanswered append of this draft began the chain that ends with `entry`, if that shows."""
        return self.fresh or (entry.record.time == self.record.time and entry.record.by == self.record.by)

    def entry(self, seq: int) -> Entry:
        """The first record where it lies."""
        return Entry(self.id, seq, self.record.time, self.record)

    def hint(self, seq: int) -> Hint:
        """The hint of the first record."""
        hint = build_hint(self.entry(seq), body=self.body)
        assert hint is not None
        return hint


def prepare(submission: Submission, *, time: int, by: str, chance: bytes | None = None) -> Draft:
    """Check a submission and build its first record; raise InputError or CodecError.

    `chance`: ID_BYTES of `os.urandom` for the id, given to no other; None: drawn here, which costs a system call.
    """
    job = parse_job_name(submission.job)
    fresh = submission.id is None
    if submission.id is None:
        job_id = make_id(time // 1000, int.from_bytes(chance or os.urandom(ID_BYTES), "big"))
    else:
        job_id = parse_job_id(submission.id)
    if submission.band not in BANDS:
        raise InputError(f"band: {submission.band!r:.80}", field="band", cure="use high, normal or low")
    record = Record(
        state=State.QUEUED if submission.due is None else State.SCHEDULED,
        enqueueing=1,
        attempt=1,
        job=job,
        band=submission.band,
        time=time,
        by=by,
        due=submission.due,
        gate=submission.gate,
        schedule=submission.schedule,
        generation=submission.generation,
        payload=msgspec.Raw(submission.payload) if submission.payload_ref is None else None,
        payload_ref=submission.payload_ref,
        call=None if submission.call.is_empty() else submission.call,
    )
    return Draft(id=job_id, fresh=fresh, record=record, body=encode(record))


async def enqueue(bus: Bus, draft: Draft, backoff: Backoff, *, unanswered: bool = False) -> Submitted:
    """Append until the chain is there, then put its hint; `unanswered`: an append went out before."""
    while True:
        try:
            seq = await bus.ledger.append(draft.id, draft.body, expected=0)
        except RefusedError:
            pass
        except NoAnswerError as err:
            unanswered = True
            await backoff.pause(err)
        except BusError as err:  # nobody hears, or it is refused: nothing happened
            await backoff.pause(err)
            continue
        else:
            await publish_until_answered(bus, draft.hint(seq))
            return Submitted(draft.id, seq, created=True)
        last = await insist(lambda: bus.ledger.read(draft.id), backoff)
        if last is not None:
            await restore_hint(bus, last, Backoff(unanswered_only=True))
            return Submitted(draft.id, last.seq, created=unanswered and draft.lies_in(last))


async def publish_until_answered(bus: Bus, hint: Hint) -> None:
    """Put a hint again and again until NATS has it; raise BusError if NATS refuses it."""
    await insist(lambda: bus.queue.publish(hint), Backoff(unanswered_only=True))
