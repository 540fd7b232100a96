"""Slots as people read them: what the clock on the wall shows, and what a shift of the clocks does to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from jetmill_operator.calendar.expression import Cron
from jetmill_operator.calendar.slot import SECOND, Calendar
from jetmill_operator.calendar.zone import Twice, find_instants, offset_at, to_moment, to_wall


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One slot."""

    instant: int
    """µs."""
    local: datetime
    """In the zone of the calendar."""
    note: str = ""
    """What a shift of the clocks does to it."""


def list_occurrences(calendar: Calendar, after: int, count: int) -> list[Occurrence]:
    """The next slots."""
    return [
        Occurrence(slot, to_moment(slot, calendar.zone), "; ".join(_list_notes(calendar, slot)))
        for slot in islice(calendar.after(after), count)
    ]


def _list_notes(calendar: Calendar, slot: int) -> Iterator[str]:
    rule, zone = calendar.rule, calendar.zone
    if not isinstance(rule, Cron):
        return
    wall = to_wall(slot, zone)
    if offset_at(slot - SECOND, zone) < offset_at(slot, zone):
        skipped = [one for one in _walls_before(rule, wall, zone, slot) if one < wall]
        if skipped:
            yield f"clocks go forward: instead of {', '.join(f'{one:%H:%M:%S}' for one in skipped[:3])}"
    found = find_instants(wall, zone)
    if isinstance(found, Twice):
        if found.second == slot:
            yield "clocks go back: the second pass"
        else:
            yield "clocks go back: the first pass" + ("" if rule.follows else ", not again at the second")


def _walls_before(rule: Cron, wall: datetime, zone: ZoneInfo, slot: int) -> Iterator[datetime]:
    """The wall times that the clocks skip at this very shift; none where the hour follows real time."""
    if rule.follows:
        return
    gap = timedelta(microseconds=offset_at(slot, zone) - offset_at(slot - SECOND, zone))
    for one in rule.walls(wall - gap - timedelta(seconds=1)):
        if one >= wall:
            return
        yield one
