"""A cluster in memory and a clock that is moved."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.reconcile.moment import Clock


@dataclass
class Hand:
    """Moves a clock."""

    seconds: float = 0.0
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        begin = datetime(2026, 1, 31, 12, tzinfo=UTC)
        self.clock = Clock(monotonic=lambda: self.seconds, now=lambda: begin + timedelta(seconds=self.seconds))


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def cluster(hand: Hand) -> LocalCluster:
    return LocalCluster(now=hand.clock.now)
