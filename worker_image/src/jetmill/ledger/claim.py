"""Claims (rules 2, 3, 4): every start is an accepted append of `running`.

A hint with Jm-Seq is claimed by one append to that record, without a read: its body is the record, payload included.
Whatever else happens (refused, no answer, no Jm-Seq, a body that cannot be read) is looked up in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable

from jetmill.bus.ports import Bus, Delivery
from jetmill.errors import BusError, CodecError, RefusedError
from jetmill.ledger.actor import Actor
from jetmill.ledger.hint import has_payload
from jetmill.ledger.lease import Claim, is_under
from jetmill.ledger.lookup import Lookup, MaxRetries, is_expired, make_claim
from jetmill.ledger.settle import Settled, settle
from jetmill.protocol.codec import encode
from jetmill.protocol.outcome import Outcome
from jetmill.protocol.record import Entry, Record
from jetmill.protocol.state import State

__all__ = ["Claim", "Claimer"]


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
        self._ledger = bus.ledger

    async def claim(self, delivery: Delivery, *, max_retries: MaxRetries) -> Claim | None:
        """Claim the job that a delivery points to; None: the delivery was settled otherwise.

        `max_retries` is asked with the record that holds the call. Never raises BusError: tries again, with
        backoff, until settled. Cancellation passes through (only for a worker that ends at once).
        """
        actor = self._actor
        lease = actor.make_lease()
        hint = actor.decode_hint(delivery)
        sent: tuple[int, Record] | None = None
        if delivery.seq is not None and hint is not None and _is_plain_sailing(hint, delivery):
            entry = Entry(delivery.id, delivery.seq, delivery.time, hint)
            record = make_claim(actor, entry, lease=lease, limit=max_retries(hint))
            try:
                seq = await self._ledger.append(delivery.id, encode(record), expected=entry.seq)
            except RefusedError:
                pass
            except BusError:
                sent = (entry.seq, record)
            else:
                return Claim(Entry(delivery.id, seq, record.time, record), delivery, hint)
        lookup = Lookup(actor, delivery, lease=lease, hint=hint, max_retries=max_retries)
        try:
            return await lookup.resolve(sent)
        except CodecError as err:  # of a newer version: a newer worker can read it
            actor.note_unreadable(delivery, err)
            actor.look_again_later(delivery)
            return None

    async def settle(self, claim: Claim, outcome: Outcome) -> Settled:
        """Record how the attempt ended, then acknowledge; never raises BusError, goes on while NATS is away."""
        return await settle(self._actor, claim, outcome)

    async def is_cancelled(self, claim: Claim) -> bool:
        """Read whether the claim is `cancelling` or lost: then its handler is to stop. A push alone proves nothing."""
        last = await self._actor.read(claim.entry.id)
        if last is None or not is_under(claim.lease, last):
            return True
        claim.entry = last
        return last.record.state is State.CANCELLING


def _is_plain_sailing(hint: Record, delivery: Delivery) -> bool:
    """Tell whether a hint with Jm-Seq can be claimed without a look: whole, due, without gate and not too late."""
    return (
        hint.waiting
        and hint.gate is None
        and has_payload(hint)
        and (hint.due is None or hint.due <= delivery.time)
        and not (hint.call is not None and is_expired(hint, hint, held_since=delivery.time))
    )
