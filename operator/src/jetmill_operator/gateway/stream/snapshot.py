"""How things stand, given before what happens next.

A snapshot says up to which sequence it tells; the replay goes on there, so nothing falls between the two.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec

from jetmill_operator.gateway.stream.frame import MAX_ITEMS, Key, build_answer, build_snapshot
from jetmill_operator.gateway.stream.hub import Hub
from jetmill_operator.gateway.stream.outbox import Outbox
from jetmill_operator.gateway.stream.source import build_job_event
from jetmill_operator.gateway.stream.topic import Kind, Topic


class Snapshot(NamedTuple):
    """The items of a topic, encoded, and the sequence up to which they tell; what came later is in none of them."""

    items: list[bytes]
    seq: int
    total: int
    """How many there are: a snapshot is bounded, and may leave the oldest out."""


class Snapshots(Protocol):
    """Who knows how the jobs of a namespace stand: the projection."""

    async def take(self, namespace: str, topic: Topic) -> Snapshot | None:
        """The jobs of a topic that changed last; None if it has no snapshot, or nobody knows yet."""
        ...


async def give_snapshot(hub: Hub, topic: Topic, outbox: Outbox, *, after: int, provider: Snapshots | None) -> int:
    """Put a topic's snapshot; the sequence to go on from (`after`, where there is none: the client is told)."""
    found = await _take_job(hub, topic.name) if topic.kind is Kind.JOB else None
    if found is None and provider is not None:
        found = await provider.take(hub.namespace, topic)
    key = Key(hub.namespace, str(topic))
    if found is None:
        detail = "there is no snapshot of this topic now: ask for a list, and resume from its sequence"
        outbox.put(build_answer("error", key=key, seq=after, code="no-snapshot", detail=detail))
        return after
    starts = range(0, max(1, len(found.items)), MAX_ITEMS)
    for start in starts:
        await outbox.room()
        seq = found.seq if start == starts[-1] else None
        outbox.put(build_snapshot(key, found.items[start : start + MAX_ITEMS], seq=seq, total=found.total))
    return found.seq


async def _take_job(hub: Hub, job_id: str) -> Snapshot:
    """A job as its last record says; nothing, if there is none yet."""
    seq = await hub.bus.ledger.last_seq()
    entry = await hub.bus.ledger.read(job_id)
    if entry is None:
        return Snapshot([], seq, 0)
    return Snapshot([msgspec.json.encode(build_job_event(entry))], max(entry.seq, seq), 1)
