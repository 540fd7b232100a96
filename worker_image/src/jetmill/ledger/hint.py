"""Putting the hint of a record, whoever does it: enqueuer, worker, keeper or a person's client.

What a hint's body carries for the worker (payload and call) stands in the record that began the enqueueing, its
source; `payload_seq` says where that lies.
"""

from __future__ import annotations

import msgspec

from jetmill.bus.ports import Bus
from jetmill.errors import CodecError
from jetmill.ledger.patience import Backoff, insist
from jetmill.protocol.codec import encode
from jetmill.protocol.hint import Hint, build_hint
from jetmill.protocol.record import Entry, Record


def has_payload(record: Record) -> bool:
    """Tell whether payload and call stand in this very record."""
    return record.payload is not None or record.payload_ref is not None


async def read_source(bus: Bus, entry: Entry, backoff: Backoff) -> Record:
    """Read the record that holds payload and call; the entry's own if that is gone. Raise CodecError."""
    seq = entry.record.payload_seq
    if seq is None or has_payload(entry.record):
        return entry.record
    found = await insist(lambda: bus.ledger.read_at(seq), backoff)
    return entry.record if found is None else found.record


def prepare_hint(entry: Entry, *, source: Record | None = None, body: bytes | None = None) -> Hint | None:
    """Build the hint of a record; without its payload if the two together are too large for a message."""
    try:
        return build_hint(entry, source=source, body=body)
    except CodecError:
        return build_hint(entry, body=encode(entry.record))


async def put_hint(
    bus: Bus, entry: Entry, *, source: Record | None = None, due: int | None = None, backoff: Backoff
) -> None:
    """Put the hint of a record until it is answered; `due` (µs) delays one that would be ready."""
    hint = prepare_hint(entry, source=source)
    if hint is None:
        return
    ready = hint if due is None else msgspec.structs.replace(hint, due=due)
    await insist(lambda: bus.queue.publish(ready), backoff)


async def restore_hint(bus: Bus, entry: Entry, backoff: Backoff) -> None:
    """Put the hint of a record that was read, payload included."""
    if entry.record.open:
        await put_hint(bus, entry, source=await read_source(bus, entry, backoff), backoff=backoff)
