"""Calendars: the instants at which a schedule fires. Pure and deterministic: everybody who asks gets the same slots.

```
                         clocks go forward over it            clocks go back over it
 hour * or */n           no slot: no clock shows it           a slot at each pass
 any other hour          one slot at the shift, for all       a slot at the first pass
 every: 90s              counts seconds, knows no clock       the same
```

So a report at 02:30 comes every day, once; and what is to happen every half hour does, in real time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from heapq import heappop, heappush
from typing import assert_never
from zoneinfo import ZoneInfo

from jetmill_operator.calendar.errors import ScheduleError
from jetmill_operator.calendar.expression import Cron
from jetmill_operator.calendar.zone import Never, Once, Twice, find_fall, find_instants, to_wall

SECOND = 1_000_000
LONGEST_EVERY = 366 * 86_400
LAST = 253_370_764_800 * SECOND
"""The year 9999: no slot is later."""
_SPAN = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Every:
    """Equal steps, counted from `anchor` (µs; the Unix epoch unless the schedule has a start)."""

    seconds: int
    anchor: int = 0

    def instants(self, after: int) -> Iterator[int]:
        """Those later than `after`, in order, none before the anchor."""
        step = self.seconds * SECOND
        count = max(0, (after - self.anchor) // step + 1)
        while (instant := self.anchor + count * step) <= LAST:
            yield instant
            count += 1


@dataclass(frozen=True, slots=True)
class Calendar:
    """When a schedule fires."""

    rule: Cron | Every
    zone: ZoneInfo
    start: int | None = None
    """µs; no slot before."""
    end: int | None = None
    """µs; no slot after."""

    def after(self, instant: int) -> Iterator[int]:
        """The slots later than `instant`, in order (µs)."""
        if self.start is not None:
            instant = max(instant, self.start - 1)
        rule = self.rule
        found = rule.instants(instant) if isinstance(rule, Every) else _list_instants(rule, self.zone, instant)
        for slot in found:
            if self.end is not None and slot > self.end:
                return
            yield slot

    def between(self, after: int, until: int) -> Iterator[int]:
        """The slots later than `after`, up to and including `until`."""
        for slot in self.after(after):
            if slot > until:
                return
            yield slot


def _list_instants(cron: Cron, zone: ZoneInfo, after: int) -> Iterator[int]:
    """Wall times as instants, in order. The second passes of a fold wait until the first ones are over."""
    wall = to_wall(after, zone).replace(microsecond=0) - timedelta(microseconds=find_fall(after, zone))
    later: list[int] = []
    last = after
    for shown in cron.walls(wall - timedelta(seconds=1)):
        first, again = _place(find_instants(shown, zone), follows=cron.follows)
        if first is None:
            continue
        while later and later[0] < first:
            yield heappop(later)
        if first > last:  # of several that the clocks skip together, one
            last = first
            if first > LAST:
                return
            yield first
        if again is not None and again > after:
            heappush(later, again)
    while later:
        yield heappop(later)


def _place(found: Once | Twice | Never, *, follows: bool) -> tuple[int | None, int | None]:
    """When a wall time counts, and when it counts again."""
    match found:
        case Once(instant):
            return instant, None
        case Twice(first, second):
            return first, second if follows else None
        case Never(shift):
            return None if follows else shift, None
        case _:
            assert_never(found)


def parse_every(text: str, *, anchor: int = 0) -> Every:
    """Understand a length of time: `90s`, `5m`, `1h30m`, `1d`; ScheduleError."""
    parts = _SPAN.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ScheduleError(
            "every", f"{text!r:.40} is no length of time", cure="write 90s, 5m, 1h30m or 1d", position=1
        )
    seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if not 1 <= seconds <= LONGEST_EVERY:
        raise ScheduleError("every", f"{text} is not between one second and 366 days", cure="choose another")
    return Every(seconds, anchor)


def decide_jitter(uid: str, slot: int, seconds: float) -> int:
    """How much (µs) after its time a slot of a schedule fires: the same whoever asks, spread evenly up to `seconds`."""
    if seconds <= 0:
        return 0
    digest = hashlib.sha256(f"{uid}/{slot}".encode()).digest()
    return int(int.from_bytes(digest[:8]) / 2**64 * seconds * SECOND)
