"""What a worker process needs for each of its steps: who it is, and questions to the bus that are asked until answered.

One per process and loop, shared by all its claims. A worker never gives up, so nothing here raises BusError; only
cancellation ends the asking.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from itertools import count

import structlog

from jetmill.bus.ports import Bus, Delivery
from jetmill.errors import BusError, CodecError, RefusedError
from jetmill.ledger.hint import has_payload, put_hint, read_source
from jetmill.ledger.lease import Sent
from jetmill.ledger.patience import Backoff, insist
from jetmill.protocol.codec import decode_record, encode
from jetmill.protocol.record import Entry, Record

log = structlog.get_logger(__name__)


class Actor:
    """A worker process, as the ledger knows it."""

    def __init__(
        self,
        bus: Bus,
        *,
        worker: str,
        lease_seconds_of: Callable[[str], float],
        presence_ttl_seconds: Callable[[], float],
        on_concluded: Callable[[Entry, Record | None], None] | None = None,
    ) -> None:
        self.bus = bus
        self.on_concluded = on_concluded
        self.worker = worker
        self.lease_seconds_of = lease_seconds_of
        self.presence_ttl_seconds = presence_ttl_seconds
        self.now = bus.link.now
        """The server's clock, µs."""
        self._prefix = secrets.token_hex(8)
        self._count = count(1)
        self._unreadable: set[str] = set()

    def make_lease(self) -> str:
        """An id that no other claim has: random for the process, counted within it."""
        return f"{self._prefix}-{next(self._count)}"

    def decode_hint(self, delivery: Delivery) -> Record | None:
        """The record in a hint's body, or None: then the ledger's word counts alone. Logged once for each Job."""
        try:
            return decode_record(delivery.body)
        except CodecError as err:
            self.note_unreadable(delivery, err)
            return None

    def note_unreadable(self, delivery: Delivery, err: CodecError) -> None:
        """Log what cannot be read, once for each Job."""
        if delivery.job not in self._unreadable:
            self._unreadable.add(delivery.job)
            log.error("record_unreadable", job=delivery.job, id=delivery.id, error=str(err))

    async def read(self, job_id: str) -> Entry | None:
        """The last record of a job; raise CodecError."""
        return await insist(lambda: self.bus.ledger.read(job_id), Backoff())

    async def read_source(self, entry: Entry, known: Record | None, *, known_seq: int | None) -> Record:
        """The record with payload and call of an entry's enqueueing; `known` is a hint's body, which may be of another.

        A body says of which enqueueing it is by its `payload_seq`, or else by its own sequence. Raise CodecError.
        """
        wanted = entry.record.payload_seq or entry.seq
        if known is not None and has_payload(known) and (known.payload_seq or known_seq) == wanted:
            return known
        return await read_source(self.bus, entry, Backoff())

    async def is_present(self, record: Record) -> bool:
        """Tell whether the owner of a claim is to be left alone: it is this process, or lives, or nobody can tell yet.

        Absence counts only for who has been connected for as long as a presence lasts: after an outage the living
        have to be heard first.
        """
        owner = record.worker
        if owner is None or owner == self.worker:
            return owner is not None
        patience = max(self.presence_ttl_seconds(), self.lease_seconds_of(record.job))
        if self.bus.link.connected_seconds < patience:
            return True
        found = await insist(lambda: self.bus.presence.get(owner), Backoff())
        return found is not None or self.bus.link.connected_seconds < patience

    def send(self, last: Entry, record: Record) -> Sent:
        """Send a record to follow `last`, without waiting for the answer; raise CodecError."""
        return Sent(last, record, self.bus.ledger.append(last.id, encode(record), expected=last.seq))

    async def append(self, last: Entry, record: Record, backoff: Backoff) -> Entry | None:
        """Append after `last`; None: refused or not answered, so read before anything else."""
        return await self.confirm(self.send(last, record), backoff)

    async def confirm(self, sent: Sent, backoff: Backoff) -> Entry | None:
        """Wait for the answer to a record; None: refused or not answered, so read before anything else."""
        try:
            await sent.answer
        except RefusedError:
            return None
        except BusError as err:
            await backoff.pause(err)
            return None
        return sent.accepted()

    async def put_hint(self, entry: Entry, source: Record, *, due: int | None = None) -> None:
        """Put the hint of a record until it is answered."""
        await put_hint(self.bus, entry, source=source, due=due, backoff=Backoff())

    def look_again_later(self, delivery: Delivery) -> None:
        """Give a delivery back, for a third of the lease time."""
        delivery.nak(self.lease_seconds_of(delivery.job) / 3)
