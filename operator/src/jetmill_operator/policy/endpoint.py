"""How a Webhook's endpoint fares, and what follows of it: pure, a fold over what dispatchers saw.

```
 closed ── most of the last 10 and more failed within 30 s ──▶ open: nothing is sent for 30 s, then 60, … 10 min
    ▲                                                            │ its time is over
    └── one is delivered ◀── half open: one at a time ◀──────────┘ one more fails: open again, for longer
 410, or nothing but failures for `disableAfterSeconds` ──▶ disabled, until the Webhook is edited or enabled
```

Every dispatcher adds what it saw to one note, by compare-and-set; open, half open and disabled follow from the note and
the clock, so they outlive all dispatchers.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from jetmill.protocol.delivery import HOURS, EndpointState, HourCount, LastDelivery

WINDOW_SECONDS = 30.0
FEWEST = 10
"""So many attempts within the window have to be there before they are judged."""
FAILED_SHARE = 0.7
OPEN_SECONDS, LONGEST_OPEN_SECONDS = 30.0, 600.0
_HOUR = 3_600_000_000
_SECOND = 1_000_000


class Phase(StrEnum):
    """What an endpoint may be sent."""

    CLOSED = "closed"
    """All there is."""
    HALF_OPEN = "half-open"
    """One request at a time."""
    OPEN = "open"
    """Nothing for now."""
    DISABLED = "disabled"
    """Nothing."""


@dataclass(slots=True)
class Seen:
    """What one dispatcher saw of an endpoint since it last said so; `add` in the order of the ends."""

    delivered: int = 0
    failed: int = 0
    failing_since: int | None = None
    """µs: the first failure after the last success; None: the last attempt was one, or there was none."""
    last: LastDelivery | None = None
    gone: bool = False
    """It answered 410."""
    tripped: bool = False
    """Most of the latest attempts failed."""
    filter_errors: int = 0

    def __bool__(self) -> bool:
        return bool(self.delivered or self.failed or self.filter_errors)

    def add(self, attempt: LastDelivery) -> None:
        """Take an attempt that ended."""
        self.last = attempt
        if attempt.delivered:
            self.delivered += 1
            self.failing_since, self.tripped = None, False
        else:
            self.failed += 1
            self.failing_since = self.failing_since or attempt.time


@dataclass(slots=True)
class Window:
    """The latest attempts of one endpoint in one dispatcher."""

    _ends: deque[tuple[int, bool]] = field(default_factory=deque)
    _failed: int = 0

    def add(self, time: int, *, delivered: bool) -> bool:
        """Take an attempt that ended at `time` (µs); tell whether by now so many failed that the circuit is to open."""
        ends = self._ends
        ends.append((time, delivered))
        self._failed += not delivered
        while ends[0][0] < time - WINDOW_SECONDS * _SECOND:
            self._failed -= not ends.popleft()[1]
        return not delivered and len(ends) >= FEWEST and self._failed >= FAILED_SHARE * len(ends)

    def clear(self) -> None:
        """Begin anew: the circuit has opened."""
        self._ends.clear()
        self._failed = 0


def find_phase(state: EndpointState, now: int) -> Phase:
    """What an endpoint may be sent at `now` (µs)."""
    if state.disabled is not None:
        return Phase.DISABLED
    if state.opens == 0:
        return Phase.CLOSED
    return Phase.OPEN if now < state.until else Phase.HALF_OPEN


def begin_state(state: EndpointState | None, *, uid: str, generation: int) -> EndpointState:
    """The state that counts for a Webhook: that of an older generation is enabled and closed, with its counts; that of
    another object of the name is none.
    """
    if state is None or state.uid != uid:
        return EndpointState(uid=uid, generation=generation)
    if state.generation >= generation:
        return state
    return enable(state, generation=generation)


def enable(state: EndpointState, *, generation: int) -> EndpointState:
    """Let requests be sent again, as if nothing had failed."""
    return msgspec.structs.replace(
        state, generation=generation, opens=0, until=0, failing_since=None, disabled=None, disabled_time=0
    )


def fold(state: EndpointState, seen: Seen, *, now: int, disable_after_seconds: float) -> EndpointState:
    """The state after what a dispatcher saw; `now` is µs."""
    failing = seen.failing_since
    if not seen.delivered:
        failing = state.failing_since or failing
    last = max(filter(None, (state.last, seen.last)), key=lambda one: one.time, default=None)
    opens, until = _turn_circuit(state, seen, now)
    after = msgspec.structs.replace(
        state,
        opens=opens,
        until=until,
        failing_since=failing,
        last=last,
        hours=_count(state.hours, seen, now),
        filter_errors=state.filter_errors + seen.filter_errors,
    )
    if state.disabled is not None:
        return after
    if seen.gone:
        return msgspec.structs.replace(after, disabled="gone", disabled_time=now)
    lasting = failing is not None and now - failing >= disable_after_seconds * _SECOND
    if disable_after_seconds > 0 and lasting and seen.failed:
        return msgspec.structs.replace(after, disabled="failing", disabled_time=now)
    return after


def _turn_circuit(state: EndpointState, seen: Seen, now: int) -> tuple[int, int]:
    match find_phase(state, now):
        case Phase.CLOSED if seen.tripped:
            return 1, now + round(OPEN_SECONDS * _SECOND)
        case Phase.HALF_OPEN if seen.failing_since is not None:
            seconds = min(LONGEST_OPEN_SECONDS, OPEN_SECONDS * 2.0 ** min(state.opens, 10))
            return state.opens + 1, now + round(seconds * _SECOND)
        case Phase.HALF_OPEN if seen.delivered:
            return 0, 0
        case _:
            return state.opens, state.until


def _count(hours: list[HourCount], seen: Seen, now: int) -> list[HourCount]:
    this = now // _HOUR
    kept = {one.hour: one for one in hours if one.hour > this - HOURS}
    if seen.delivered or seen.failed:
        old = kept.get(this, HourCount(hour=this))
        kept[this] = HourCount(hour=this, delivered=old.delivered + seen.delivered, failed=old.failed + seen.failed)
    return [kept[hour] for hour in sorted(kept)]
