"""What a reconcile gives back to the queue that called it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """When to look again."""

    after_seconds: float | None = None
    """Look again after that long; None: when something changes."""


DONE = Result()
