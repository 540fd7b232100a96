"""Whose turn it is, and how much to ask for: the two decisions of the intake, pure.

Bands share the slots 6 : 3 : 1 by smooth weighted round robin, so a full `high` band never starves `low`: in ten
choices each band that has something gets its part, and a band that has nothing leaves its part to the others.

A worker asks for what it can start (its free slots) and what its measured rate will finish in the next 100 ms, so that
a fast worker is never without work and a slow one does not sit on jobs that others could run. Each source is asked
for at least one delivery, so that a job in an empty band is noticed at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WEIGHTS = (6, 3, 1)
"""high, normal, low."""
AHEAD_SECONDS = 0.1
MAX_CREDIT = 1000
HOLD_SECONDS = 1.0
"""A delivery that waited longer for a slot is given back."""

Turns = tuple[int, int, int]
START: Turns = (0, 0, 0)


def decide_band(turns: Turns, ready: tuple[bool, bool, bool]) -> tuple[int, Turns]:
    """Choose the band (0 high, 1 normal, 2 low) among those that are ready, and the turns to go on with.

    Returns band -1 if none is ready.
    """
    high, normal, low = turns
    total, best, most = 0, -1, 0
    if ready[0]:
        high, total = high + WEIGHTS[0], total + WEIGHTS[0]
        best, most = 0, high
    if ready[1]:
        normal, total = normal + WEIGHTS[1], total + WEIGHTS[1]
        if best < 0 or normal > most:
            best, most = 1, normal
    if ready[2]:
        low, total = low + WEIGHTS[2], total + WEIGHTS[2]
        if best < 0 or low > most:
            best = 2
    if best == 0:
        high -= total
    elif best == 1:
        normal -= total
    elif best == 2:
        low -= total
    return best, (high, normal, low)


def decide_budget(free: int, finished_per_second: float) -> int:
    """How many deliveries to have in hand or asked for, over all sources."""
    return min(MAX_CREDIT, free + math.ceil(finished_per_second * AHEAD_SECONDS))


@dataclass(frozen=True, slots=True)
class Demand:
    """One source (a Job's band) as the credit is decided."""

    weight: int
    held: int
    """Delivered, waiting for a slot."""
    outstanding: int
    """Asked for, not yet delivered."""
    flowing: bool
    """It delivered something lately."""
    paused: bool = False
    """It gave deliveries back, and no slot was freed since."""


def decide_wants(budget: int, demands: Sequence[Demand]) -> list[int]:
    """How many more to ask of each source, in order.

    Sources that flow share the budget by weight; every source may have one. More is asked for only when less than
    half of a source's share is left, so that requests stay few.
    """
    total = sum(demand.weight for demand in demands if demand.flowing) or 1
    wants = []
    for demand in demands:
        share = budget * demand.weight // total if demand.flowing else 0
        target = max(1, share)
        have = demand.held + demand.outstanding
        low = have * 2 <= target if target > 1 else have < 1
        wants.append(target - have if low and not demand.paused else 0)
    return wants
