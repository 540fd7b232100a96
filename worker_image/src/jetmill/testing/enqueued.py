"""What was enqueued, read from a world in memory without a coroutine, so that an assertion is a plain call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from jetmill.bus.memory import MemoryWorld
from jetmill.client.concurrency import ConcurrencyPolicy, parse_key_gate
from jetmill.protocol.record import Band, Entry
from jetmill.protocol.state import Reason, State

Where = Mapping[str, Any] | Callable[["EnqueuedJob"], object]
"""Values that the payload must hold, or a question about the whole job."""


@dataclass(frozen=True, slots=True)
class EnqueuedJob:
    """One job as it was enqueued, and where it stands now."""

    id: str
    job: str
    payload: Any
    """The arguments by name, as JSON's types."""
    priority: Band
    due: datetime | None
    """When it may start, if it was delayed."""
    user: str | None
    labels: Mapping[str, str]
    max_retries: int | None
    timeout_seconds: float | None
    concurrency_key: str | None
    concurrency_policy: ConcurrencyPolicy | None
    state: State
    reason: Reason | None
    attempt: int

    def fits(self, where: Where | None) -> bool:
        """Tell whether it is what `where` describes."""
        if where is None:
            return True
        if callable(where):
            return bool(where(self))
        payload = self.payload if isinstance(self.payload, dict) else {}
        return all(name in payload and payload[name] == value for name, value in where.items())

    def __str__(self) -> str:
        return f"{self.job} {self.payload!r:.200} ({self.state})"


def read_enqueued(world: MemoryWorld) -> list[EnqueuedJob]:
    """Every job in the ledger, in the order in which they were enqueued."""
    chains = (world.ledger.chain(job_id) for job_id in world.ledger.ids())
    return [_build(world, chain) for chain in chains]


def _build(world: MemoryWorld, chain: list[Entry]) -> EnqueuedJob:
    first, last = chain[0].record, chain[-1].record
    call = first.call
    key, policy = parse_key_gate(first.gate)
    return EnqueuedJob(
        id=chain[0].id,
        job=first.job,
        payload=_read_payload(world, chain[0]),
        priority=first.band,
        due=None if first.due is None else datetime.fromtimestamp(first.due / 1_000_000, UTC),
        user=call.user if call is not None else None,
        labels=(call.labels if call is not None else None) or {},
        max_retries=call.max_retries if call is not None else None,
        timeout_seconds=call.timeout_seconds if call is not None else None,
        concurrency_key=key,
        concurrency_policy=policy,
        state=last.state,
        reason=last.reason,
        attempt=last.attempt,
    )


def _read_payload(world: MemoryWorld, first: Entry) -> Any:
    record = first.record
    if record.payload_ref is not None:
        return msgspec.json.decode(world.payloads[record.payload_ref.name])
    return None if record.payload is None else msgspec.json.decode(record.payload)
