"""The states of a job and the steps between them.

```
 0 ─▶ queued ────┐             cancelled ◀── queued · scheduled · retrying
 0 ─▶ scheduled ─┼─▶ running ─▶ succeeded · failed               any final ─▶ queued (reopened)   failed ─▶ discarded
      retrying ──┘    │ │ │ └─▶ retrying                         scheduled · retrying ─▶ the same (rescheduled)
                      │ │ └───▶ queued (interrupted)             cancelled (withdrawn) ─▶ scheduled
                      │ └─────▶ running (taken over, crashes + 1) queued · scheduled ─▶ skipped (gate, expired)
                      └───────▶ cancelling ─▶ succeeded · cancelled    0 ─▶ cancelled (withdrawn slot)
```

Nothing follows `discarded`.
"""

from __future__ import annotations

from enum import StrEnum

from jetmill.protocol.name import is_delivery


class State(StrEnum):
    """Where a job stands; the last five are for good."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    DISCARDED = "discarded"


class Reason(StrEnum):
    """Why a record says what it says; documented API."""

    EXHAUSTED = "exhausted"
    """Failed on its last attempt."""
    NON_RETRYABLE = "non_retryable"
    """The handler said that trying again is useless."""
    TIMEOUT = "timeout"
    """Ran longer than `timeoutSeconds`, on its last attempt."""
    POISON = "poison"
    """Its workers died under it more often than the crash budget allows."""
    UNKNOWN_HANDLER = "unknown_handler"
    """For 15 minutes no worker knew its handler."""
    INVALID_PAYLOAD = "invalid_payload"
    """The payload does not fit the handler or the schema."""
    INVALID_RESULT = "invalid_result"
    """The handler's return value cannot be stored (not JSON, or too large)."""
    EXPIRED = "expired"
    """Not started before its starting deadline."""
    OVERLAP = "overlap"
    """Another job held its gate."""
    INTERRUPTED = "interrupted"
    """Its worker was told to stop; no attempt is spent."""
    TAKEN_OVER = "taken_over"
    """Its worker was gone; counted as a crash."""
    REOPENED = "reopened"
    """A person asked for another enqueueing."""
    RESCHEDULED = "rescheduled"
    """Moved to another time."""
    REPLANNED = "replanned"
    """A slot whose schedule was edited before it was due: it goes by the new spec."""
    WITHDRAWN = "withdrawn"
    """A slot that its schedule does not name any more."""


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.SKIPPED, State.DISCARDED})
WAITING = frozenset({State.QUEUED, State.SCHEDULED, State.RETRYING})
CLAIMED = frozenset({State.RUNNING, State.CANCELLING})
OPEN = WAITING | CLAIMED

ALLOWED: dict[State | None, frozenset[State]] = {
    None: frozenset({State.QUEUED, State.SCHEDULED, State.CANCELLED}),
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED, State.SKIPPED}),
    State.SCHEDULED: frozenset({State.RUNNING, State.CANCELLED, State.SKIPPED, State.SCHEDULED}),
    State.RETRYING: frozenset({State.RUNNING, State.CANCELLED, State.RETRYING}),
    State.RUNNING: frozenset(
        {State.RUNNING, State.CANCELLING, State.SUCCEEDED, State.FAILED, State.RETRYING, State.QUEUED}
    ),
    State.CANCELLING: frozenset({State.SUCCEEDED, State.CANCELLED}),
    State.SUCCEEDED: frozenset({State.QUEUED}),
    State.FAILED: frozenset({State.QUEUED, State.DISCARDED}),
    State.CANCELLED: frozenset({State.QUEUED, State.SCHEDULED}),
    State.SKIPPED: frozenset({State.QUEUED}),
    State.DISCARDED: frozenset(),
}
"""What may follow what; `None` is the empty chain. `cancelled → scheduled` only where it was withdrawn."""

CRASH_BUDGET = 3
"""Takeovers that a job survives; one more and it is poison."""
DELIVERY_CRASH_BUDGET = 1_000_000
"""The same for a delivery: what sends it cannot crash by what it sends, and a receiver knows it again by its id."""


def crash_budget(job: str) -> int:
    """The takeovers that a job of this Job survives."""
    return DELIVERY_CRASH_BUDGET if is_delivery(job) else CRASH_BUDGET
