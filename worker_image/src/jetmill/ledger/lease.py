"""A claim in hand: the accepted `running` record, the delivery that led to it, and what the job is to do.

And what comes before and after it: a record that is on its way to the ledger.
"""

from __future__ import annotations

import asyncio

import msgspec

from jetmill.bus.ports import Delivery
from jetmill.errors import BusError
from jetmill.protocol.record import Call, Entry, PayloadRef, Record

_NO_CALL = Call()


class Sent(msgspec.Struct, frozen=True):
    """A record that was sent to follow another; the answer tells whether it does."""

    last: Entry
    record: Record
    answer: asyncio.Future[int]

    def accepted(self) -> Entry | None:
        """Where the record lies, once that was answered; None: refused, or nobody knows."""
        try:
            seq = self.answer.result()
        except (BusError, asyncio.CancelledError):
            return None
        return Entry(self.last.id, seq, self.record.time, self.record)


class Claim(msgspec.Struct):
    """A job in hand: it may be run, and has to be settled."""

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


def is_under(lease: str, last: Entry | None) -> bool:
    """Tell whether the last record is claimed under this lease: then the claim stands, whatever was answered."""
    return last is not None and last.record.claimed and last.record.lease == lease
