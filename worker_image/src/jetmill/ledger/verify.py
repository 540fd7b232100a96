"""Proof of the invariants on a whole ledger."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from jetmill.bus.ports import Bus


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that a chain breaks."""

    id: str
    sequences: list[int]
    rule: str
    text: str


class Report(msgspec.Struct, kw_only=True):
    """What `verify` saw."""

    jobs: int = 0
    records: int = 0
    states: dict[str, int] = {}
    """Chains by their last record's state."""
    open: int = 0
    unhinted: int = 0
    """Open jobs without a hint in the queue, at this moment."""
    unreadable: int = 0
    """Records that this version cannot decode (violations too)."""
    violation_count: int = 0
    violations: list[Violation] = []
    """The first 1,000."""

    @property
    def clean(self) -> bool:
        """No rule is broken."""
        return self.violation_count == 0


async def verify(bus: Bus, *, on_progress: Callable[[int, int], None] | None = None) -> Report:
    """Read the whole ledger once and check every chain; `on_progress(sequence, last)` now and then."""
    raise NotImplementedError
