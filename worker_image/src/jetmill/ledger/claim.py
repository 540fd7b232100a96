"""Claims (rules 2, 3, 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from jetmill.bus.ports import Bus, Delivery
from jetmill.ledger.settle import Settled
from jetmill.protocol.outcome import Outcome
from jetmill.protocol.record import Call, Entry, PayloadRef, Record

_NO_CALL = Call()


@dataclass(slots=True)
class Claim:
    """A job in hand: may be run."""

    entry: Entry
    """The accepted `running` record where it lies (`cancelling` once that was seen)."""
    delivery: Delivery
    source: Record
    """The record that holds payload and call (a hint's body does too)."""

    @property
    def lease(self) -> str:
        """The id of this claim."""
        return self.entry.record.lease or ""

    @property
    def payload(self) -> msgspec.Raw | None:
        """The encoded payload, unless it lies in the object store."""
        return self.source.payload

    @property
    def payload_ref(self) -> PayloadRef | None:
        """Where the payload lies, if it is large: fetching it is up to the worker."""
        return self.source.payload_ref

    @property
    def call(self) -> Call:
        """What the caller asked for."""
        return self.source.call or _NO_CALL


class Claimer:
    """Turns deliveries into claims and claims into outcomes, for one worker process on one loop."""

    def __init__(
        self,
        bus: Bus,
        *,
        worker: str,
        lease_seconds_of: Callable[[str], float],
        presence_ttl_seconds: float,
    ) -> None:
        raise NotImplementedError

    async def claim(self, delivery: Delivery, *, max_retries: Callable[[Record], int]) -> Claim | None:
        """Claim the job that a delivery points to; None: the delivery was settled otherwise.

        `max_retries` is asked with the record that holds the call. Never raises BusError: tries again, with
        backoff, until settled. Cancellation passes through (only for a worker that ends at once).
        """
        raise NotImplementedError

    async def settle(self, claim: Claim, outcome: Outcome) -> Settled:
        """Record how the attempt ended, then acknowledge; never raises BusError, goes on while NATS is away."""
        raise NotImplementedError

    async def is_cancelled(self, claim: Claim) -> bool:
        """Read whether the claim is `cancelling` (ask this before a push stops a handler); raises BusError."""
        raise NotImplementedError
