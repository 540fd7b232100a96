"""Claims (rules 2, 3, 4): every start is an accepted append of `running`.

A hint with Jm-Seq is claimed by one append to that record, without a read: its body is the record, payload included.
Whatever else happens (refused, no answer, no Jm-Seq, a body that cannot be read) is looked up in the ledger.

`claim` and `settle` are the whole of it. A worker that has to be quick sends by `send` and `send_outcome`, which do not
wait, and comes back with what was sent only where the answer was not a plain yes.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from jetmill.bus.ports import Bus, Delivery
from jetmill.errors import BusError, CodecError, RefusedError
from jetmill.ledger.actor import Actor
from jetmill.ledger.hint import has_payload
from jetmill.ledger.lease import Claim, Sent, is_under
from jetmill.ledger.lookup import Lookup, MaxRetries, is_expired, make_claim
from jetmill.ledger.settle import Settled, release, send_outcome, settle
from jetmill.protocol.outcome import Outcome
from jetmill.protocol.record import Entry, Record
from jetmill.protocol.state import State

__all__ = ["Claim", "Claimer", "Start"]


class Start(msgspec.Struct):
    """A delivery on its way to a claim."""

    delivery: Delivery
    hint: Record | None
    """The record in its body, if that can be read."""
    lease: str
    max_retries: MaxRetries
    sent: Sent | None = None

    def claim(self) -> Claim | None:
        """The claim, once what was sent was answered; None: it was not accepted."""
        entry = self.sent.accepted() if self.sent is not None else None
        return None if entry is None or self.hint is None else Claim(entry, self.delivery, self.hint)


class Claimer:
    """Turns deliveries into claims and claims into outcomes, for one worker process on one loop.

    The worker's presence must be there before the first claim. `lease_seconds_of` gives a Job's `leaseSeconds`,
    `presence_ttl_seconds` the longest of those served now; `on_concluded` hears of each final record that is written
    in a job's stead (poison, expired, overlap, cancelled), with the hint's body if there was one.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        worker: str,
        lease_seconds_of: Callable[[str], float],
        presence_ttl_seconds: Callable[[], float],
        on_concluded: Callable[[Entry, Record | None], None] | None = None,
    ) -> None:
        self._actor = Actor(
            bus,
            worker=worker,
            lease_seconds_of=lease_seconds_of,
            presence_ttl_seconds=presence_ttl_seconds,
            on_concluded=on_concluded,
        )

    def send(self, delivery: Delivery, *, max_retries: MaxRetries) -> Start:
        """Send the claim of a delivery whose job can be claimed without a look; without `sent`, it cannot.

        `max_retries` is asked with the record that holds the call.
        """
        actor = self._actor
        lease = actor.make_lease()
        hint = actor.decode_hint(delivery)
        start = Start(delivery, hint, lease, max_retries)
        seq, time = delivery.seq, delivery.time
        if seq is not None and hint is not None and _is_plain_sailing(hint, time, actor.now):
            entry = Entry(delivery.id, seq, time, hint)
            start.sent = actor.send(entry, make_claim(actor, entry, lease=lease, limit=max_retries(hint)))
        return start

    async def claim(self, delivery: Delivery, *, max_retries: MaxRetries) -> Claim | None:
        """Claim the job that a delivery points to; None: the delivery was settled otherwise. See `resolve`."""
        return await self.resolve(self.send(delivery, max_retries=max_retries))

    async def resolve(self, start: Start) -> Claim | None:
        """Go on until a delivery is a claim, or was settled otherwise (None).

        Never raises BusError: tries again, with backoff, until settled. Cancellation passes through (only for a worker
        that ends at once).
        """
        sent: tuple[int, Record] | None = None
        if start.sent is not None:
            try:
                await start.sent.answer
            except RefusedError:
                pass
            except BusError:
                sent = (start.sent.last.seq, start.sent.record)
            else:
                return start.claim()
        actor, delivery = self._actor, start.delivery
        lookup = Lookup(actor, delivery, lease=start.lease, hint=start.hint, max_retries=start.max_retries)
        try:
            return await lookup.resolve(sent)
        except CodecError as err:  # of a newer version: a newer worker can read it
            actor.note_unreadable(delivery, err)
            actor.look_again_later(delivery)
            return None

    def send_outcome(self, claim: Claim, outcome: Outcome) -> Sent | None:
        """Send how the attempt ended, without waiting for the answer; None: only `settle` can record it."""
        return send_outcome(self._actor, claim, outcome)

    def release(self, claim: Claim, sent: Sent) -> Settled | None:
        """Acknowledge the delivery of an outcome that was accepted; None: there is more to do, by `settle`."""
        written = sent.accepted()
        return None if written is None else release(claim, written)

    async def settle(self, claim: Claim, outcome: Outcome, *, sent: Sent | None = None) -> Settled:
        """Record how the attempt ended, then acknowledge; never raises BusError, goes on while NATS is away.

        `sent` is what `send_outcome` sent of it.
        """
        return await settle(self._actor, claim, outcome, sent=sent)

    async def is_cancelled(self, claim: Claim) -> bool:
        """Read whether the claim is `cancelling` or lost: then its handler is to stop. A push alone proves nothing."""
        last = await self._actor.read(claim.entry.id)
        if last is None or not is_under(claim.lease, last):
            return True
        claim.entry = last
        return last.record.state is State.CANCELLING


def _is_plain_sailing(hint: Record, time: int, now: Callable[[], int]) -> bool:
    """Tell whether a hint with Jm-Seq of `time` can be claimed without a look: whole, due, no gate, not too late."""
    return (
        (hint.state is State.QUEUED or hint.waiting)
        and hint.gate is None
        and has_payload(hint)
        and (hint.due is None or hint.due <= time)
        and not (hint.call is not None and is_expired(hint, hint, now=max(time, now())))
    )
