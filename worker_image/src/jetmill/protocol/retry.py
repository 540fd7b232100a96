"""How long to wait before the next attempt: arithmetic, with the random number given."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter (each delay is uniform between zero and the exponential value)."""

    max_retries: int = 3
    """Attempts after the first."""
    initial_delay_seconds: float = 2.0
    factor: float = 2.0
    max_delay_seconds: float = 3600.0
    jitter: bool = True

    def allows(self, attempt: int) -> bool:
        """Tell whether another attempt may follow attempt number `attempt` (from 1)."""
        return attempt <= self.max_retries

    def delay_seconds(self, attempt: int, draw: float) -> float:
        """The wait after attempt number `attempt` (from 1), with `draw` uniform in [0, 1)."""
        ceiling = self.initial_delay_seconds
        if attempt > 1 and ceiling > 0:
            exponent = (attempt - 1) * math.log(max(self.factor, 1.0))
            # exp() overflows above 709; a maximum is reached long before
            ceiling = ceiling * math.exp(exponent) if exponent < 700 else math.inf
        ceiling = max(0.0, min(self.max_delay_seconds, ceiling))
        return ceiling * draw if self.jitter else ceiling
