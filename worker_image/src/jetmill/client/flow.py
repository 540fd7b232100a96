"""What a handler raises to say how its attempt ended, where "it failed, try again by the policy" is not meant."""

from __future__ import annotations

from datetime import timedelta


class NonRetryable(Exception):  # noqa: N818 - reads as a statement in a handler: raise NonRetryable("no such user")
    """The job fails now: trying again is useless."""


class RetryAfter(Exception):  # noqa: N818 - the same: raise RetryAfter(60)
    """The attempt failed; the next one, if the policy allows one more, begins after `seconds` (or a timedelta)."""

    def __init__(self, seconds: float | timedelta, message: str = "") -> None:
        self.seconds = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
        if not 0 <= self.seconds < float("inf"):
            raise ValueError(f"RetryAfter({self.seconds}): give a finite number of seconds, not less than 0")
        super().__init__(message or f"try again in {self.seconds:g} s")
