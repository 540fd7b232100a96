"""Time, as reconcilers see it: one value to pass in, so that tests can move it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Clock:
    """Two clocks: one that only goes forward, in seconds, and the calendar's."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _now

    def stamp(self) -> str:
        """The calendar's time as a status has it."""
        return format_time(self.now())

    def count_deleted(self, body: Mapping[str, Any]) -> float:
        """The seconds since an object was deleted; 0 if it was not."""
        since = parse_time(body["metadata"].get("deletionTimestamp"))
        return 0.0 if since is None else (self.now() - since).total_seconds()


SYSTEM = Clock()


def format_time(moment: datetime) -> str:
    """Write it as RFC 3339 in UTC, to the second, as Kubernetes does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: object) -> datetime | None:
    """Read it; None for what is none."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
