"""What an answer means for a delivery, and when the next attempt is: pure.

2xx is delivered; 410 is a receiver that wants nothing more; everything else (a redirect, which is never followed, too)
is tried again by the Webhook's schedule, not before what `Retry-After` asks for.
"""

from __future__ import annotations

import email.utils
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum

STANDARD = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""The schedule of Standard Webhooks: ten attempts over 75 hours and 35 minutes."""
SHORT = (5.0, 30.0, 180.0)
"""Three retries, within four minutes."""
PRESETS = {"standard": STANDARD, "short": SHORT}
LONGEST_RETRY_AFTER_SECONDS = 86_400.0
JITTER = 0.1
"""The wait is up to this share shorter or longer, so that what failed together is not tried together."""


class Verdict(StrEnum):
    """What an answer says."""

    DELIVERED = "delivered"
    GONE = "gone"
    """It wants nothing more."""
    THROTTLED = "throttled"
    """It lives, and asks to wait."""
    FAILED = "failed"


def judge(status: int) -> Verdict:
    """What a status says of a delivery."""
    if 200 <= status < 300:
        return Verdict.DELIVERED
    if status == 410:
        return Verdict.GONE
    return Verdict.THROTTLED if status == 429 else Verdict.FAILED


def list_delays(max_retries: int, *, initial_seconds: float, factor: float, longest_seconds: float) -> list[float]:
    """The waits of an explicit schedule."""
    delays, wait = [], initial_seconds
    for _ in range(max_retries):
        delays.append(min(wait, longest_seconds))
        wait = min(wait * factor, longest_seconds)
    return delays


def decide_wait(delays: Sequence[float], *, attempt: int, draw: float, retry_after_seconds: float | None) -> float:
    """Seconds until the attempt after number `attempt` (from 1); `draw` is uniform in [0, 1)."""
    if attempt > len(delays):
        return 0.0
    wait = delays[attempt - 1] * (1 - JITTER + 2 * JITTER * draw)
    return max(wait, retry_after_seconds or 0.0)


def parse_retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """The seconds that an answer asks to wait, at most a day; None: it does not ask, or nobody can read it."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), LONGEST_RETRY_AFTER_SECONDS)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max(0.0, (when - now).total_seconds()), LONGEST_RETRY_AFTER_SECONDS)
