"""The hint of a record: the queue message that says "look at this job".

```
queued               q, with Jm-Seq           waits in the band's queue
scheduled, retrying  at {due}, with Jm-Seq    put even if due has passed: JetStream fires it at once
running, cancelling  q, without               for whoever must look after the owner
final                none
```

A gated job's hints are always without Jm-Seq: its worker asks the holder before it claims. Lost, late, stale or
doubled, a hint does no harm.
"""

from __future__ import annotations

import msgspec

from jetmill.protocol.codec import encode
from jetmill.protocol.record import Band, Entry, Record
from jetmill.protocol.state import State


class Hint(msgspec.Struct, frozen=True, gc=False):
    """What is published for a job: to the band's subject, or (with `due`) to the delayed one."""

    id: str
    job: str
    band: Band
    body: bytes
    """The encoded record, with payload and call where they fit."""
    seq: int | None = None
    """Jm-Seq: the record's sequence in the ledger."""
    due: int | None = None
    """µs."""


def build_hint(entry: Entry, *, body: bytes | None = None, source: Record | None = None) -> Hint | None:
    """Build the hint that `entry` needs, or None for a final record.

    `body` is the encoded record if the caller has it; `source` the record that holds payload and call, where
    `entry.record` only points to it: they are put into the body, so that the worker needs no read.
    """
    record = entry.record
    if record.final:
        return None
    if body is None:
        body = encode(_with_payload(record, source))
    plain = record.claimed or record.gate is not None
    due = record.due if record.state in (State.SCHEDULED, State.RETRYING) else None
    return Hint(id=entry.id, job=record.job, band=record.band, body=body, seq=None if plain else entry.seq, due=due)


def _with_payload(record: Record, source: Record | None) -> Record:
    if source is None or record.payload_seq is None:
        return record
    return msgspec.structs.replace(record, payload=source.payload, payload_ref=source.payload_ref, call=source.call)
