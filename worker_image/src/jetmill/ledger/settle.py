"""Settling a claim (rules 3, 4)."""

from __future__ import annotations

from dataclasses import dataclass

from jetmill.protocol.record import Entry


@dataclass(frozen=True, slots=True)
class Settled:
    """What stands after an attempt."""

    entry: Entry | None
    """The last record; None if the chain is gone."""
    lost: bool
    """The claim was another's by then, so the outcome was not recorded."""
