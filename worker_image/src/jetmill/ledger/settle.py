"""Settling a claim (rules 3, 4): the outcome is appended to the own claim, then the delivery is acknowledged.

```
append outcome, E own claim ── accepted ──▶ (retrying: put `at`, confirmed) ─▶ ack · interrupted: nak
        │ refused, no answer
        ▼
      read ── own lease, running ────▶ append it again
        ├──── own lease, cancelling ─▶ append succeeded if the handler ended well, else cancelled
        ├──── the outcome itself ────▶ it had landed
        └──── another's ─────────────▶ lost: as with a new delivery (rule 2)
```
"""

from __future__ import annotations

import msgspec

from jetmill.errors import CodecError
from jetmill.ledger.actor import Actor
from jetmill.ledger.lease import Claim, Sent, is_under
from jetmill.ledger.patience import Backoff
from jetmill.protocol.decide import Ack, PutDelayed, Wait, decide
from jetmill.protocol.outcome import Cancelled, Failed, Interrupted, Outcome
from jetmill.protocol.record import Entry, ErrorInfo, Record
from jetmill.protocol.state import Reason, State
from jetmill.protocol.step import build_outcome


class Settled(msgspec.Struct, frozen=True):
    """What stands after an attempt."""

    entry: Entry | None
    """The last record; None if the chain is gone or cannot be read."""
    lost: bool
    """The claim was another's by then, so the outcome was not recorded."""


def send_outcome(actor: Actor, claim: Claim, outcome: Outcome) -> Sent | None:
    """Send the outcome; None where the ledger has to be looked at first, or no message can hold it."""
    if isinstance(outcome, Cancelled) and claim.entry.record.state is State.RUNNING:
        return None
    try:
        return actor.send(claim.entry, build_outcome(claim.entry, outcome, time=actor.now(), worker=actor.worker))
    except CodecError:
        return None


def release(claim: Claim, written: Entry) -> Settled | None:
    """The outcome stands, and so the delivery can go; None: the next hint has to be put first."""
    match written.record.state:
        case State.RETRYING:
            return None
        case State.QUEUED:
            claim.delivery.nak()
        case _:
            claim.delivery.ack()
    return Settled(written, lost=False)


async def settle(actor: Actor, claim: Claim, outcome: Outcome, *, sent: Sent | None = None) -> Settled:
    """Record how the attempt ended, then acknowledge; goes on until that is answered.

    `sent` is what `send_outcome` sent, accepted or not.
    """
    try:
        if sent is None and isinstance(outcome, Cancelled) and claim.entry.record.state is State.RUNNING:
            last = await actor.read(claim.entry.id)
            if last is None or not is_under(claim.lease, last):
                return await _lose(actor, claim, last)
            claim.entry = last
            if last.record.state is State.RUNNING:
                outcome = Interrupted()  # a push without a record: nobody cancelled it, so it is given back
        return await _settle(actor, claim, outcome, sent)
    except CodecError as err:  # the last record is of a newer version
        actor.note_unreadable(claim.delivery, err)
        actor.look_again_later(claim.delivery)
        return Settled(None, lost=True)


async def _settle(actor: Actor, claim: Claim, outcome: Outcome, sent: Sent | None) -> Settled:
    backoff = Backoff()
    entry = sent.last if sent else claim.entry  # what the record follows; a push may move `claim.entry` meanwhile
    record = sent.record if sent else build_outcome(entry, outcome, time=actor.now(), worker=actor.worker)
    while True:
        if sent is None:
            written = await _append(actor, entry, record, backoff)
        else:
            written, sent = await actor.confirm(sent, backoff), None
        if written is not None:
            return await _release(actor, claim, written)
        last = await actor.read(claim.entry.id)
        if last is not None and _is_same(last.record, record):
            return await _release(actor, claim, last)
        if last is None or not is_under(claim.lease, last):
            return await _lose(actor, claim, last)
        if last.seq != entry.seq:  # cancelling meanwhile
            claim.entry = entry = last
            record = build_outcome(entry, outcome, time=actor.now(), worker=actor.worker)


async def _append(actor: Actor, entry: Entry, record: Record, backoff: Backoff) -> Entry | None:
    """Append an outcome; one that no message can hold becomes a failure that says so."""
    try:
        return await actor.append(entry, record, backoff)
    except CodecError as err:
        failure = Failed(Reason.INVALID_RESULT, ErrorInfo(type="CodecError", message=str(err)[:1000]))
        record = build_outcome(entry, failure, time=actor.now(), worker=actor.worker)
        return await actor.append(entry, record, backoff)


def _is_same(last: Record, record: Record) -> bool:
    """Tell whether `last` is the outcome that was sent, landed without an answer."""
    return last.state is record.state and last.worker == record.worker and last.time == record.time


async def _release(actor: Actor, claim: Claim, written: Entry) -> Settled:
    """The outcome stands: the next hint first, if there is one, then the delivery."""
    settled = release(claim, written)
    if settled is None:
        await actor.put_hint(written, claim.source)
        claim.delivery.ack()
        settled = Settled(written, lost=False)
    return settled


async def _lose(actor: Actor, claim: Claim, last: Entry | None) -> Settled:
    """The claim is another's: treat the delivery by rule 2, and let a new delivery do what takes a claim."""
    match decide(last, held_since=claim.delivery.time, owner_present=True):
        case Ack():
            claim.delivery.ack()
        case PutDelayed(entry):
            source = await actor.read_source(entry, claim.source, known_seq=claim.entry.record.payload_seq)
            await actor.put_hint(entry, source)
            claim.delivery.ack()
        case Wait():
            actor.look_again_later(claim.delivery)
        case _:
            claim.delivery.nak()
    return Settled(last, lost=True)
