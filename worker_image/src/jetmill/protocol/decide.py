"""What to do with a hint whose claim was refused, or that has no Jm-Seq: rule 2 as a pure function.

```
none, final                     → Ack
waiting, due                    → Claim          (after `retrying`: attempt + 1)
scheduled, retrying, not due    → PutDelayed
running, cancelling, present    → Wait
running, absent                 → Claim (crashes + 1), or Bury when the crash budget is spent
cancelling, absent              → Conclude
```

Due is judged by the JetStream timestamp of the message in hand, never by a worker's own clock. Nothing else is ever
acknowledged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from jetmill.protocol.record import Entry
from jetmill.protocol.state import State, crash_budget


@dataclass(frozen=True, slots=True)
class Ack:
    """The job needs no hint any more."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Append `running` after `entry`."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class PutDelayed:
    """Too early: put the delayed hint of `entry` and acknowledge this one."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Wait:
    """Its owner lives: look again in a third of the lease time."""


@dataclass(frozen=True, slots=True)
class Bury:
    """Append `failed`, poison."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Conclude:
    """Append `cancelled`, for its owner is gone."""

    entry: Entry


Decision = Ack | Claim | PutDelayed | Wait | Bury | Conclude


def decide(entry: Entry | None, *, held_since: int, owner_present: bool) -> Decision:
    """Decide by the last record, read after the hint was delivered.

    `held_since` is the JetStream timestamp (µs) of the message in hand; `owner_present` matters only when the
    record is claimed.
    """
    if entry is None or entry.record.final:
        return Ack()
    record = entry.record
    match record.state:
        case State.QUEUED:
            return Claim(entry)
        case State.SCHEDULED | State.RETRYING:
            return PutDelayed(entry) if (record.due or 0) > held_since else Claim(entry)
        case State.RUNNING | State.CANCELLING if owner_present:
            return Wait()
        case State.RUNNING:
            return Bury(entry) if record.crashes >= crash_budget(record.job) else Claim(entry)
        case State.CANCELLING:
            return Conclude(entry)
        case State.SUCCEEDED | State.FAILED | State.CANCELLED | State.SKIPPED | State.DISCARDED:
            return Ack()
        case _:
            assert_never(record.state)
