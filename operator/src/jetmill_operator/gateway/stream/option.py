"""How streams behave; the defaults are what was measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """The numbers of a gateway's streams."""

    window_seconds: float = 0.1
    """Events that come within one window share a frame; after a quiet window the first goes out at once."""
    ring: int = 10_000
    """Events kept in memory for each feed: who resumes within them costs no read."""
    backlog: int = 2_000
    """Sequences that a feed reads back when it begins, for those who resume after a restart."""
    replay: int = 100_000
    """Sequences that a resume may lie behind; who lies further behind is told a gap."""
    replays_at_once: int = 4
    """Resumes that read from NATS at one time; others wait for their turn."""
    max_bytes: int = 1_048_576
    """What may wait for one client."""
    max_frames: int = 256
    """The same in frames."""
    max_subscriptions: int = 50
    """Topics on one connection."""
    frames_per_second: float = 20.0
    """What a client may send, on average: each subscription may be a question to the API server."""
    frames_at_once: int = 200
    """And at once: all its topics after a break, and again."""
    max_sessions: int = 5_000
    """Connections to this gateway."""
    max_sessions_of_one: int = 1_500
    """The same of one user, so that nobody takes them all."""
    heartbeat_seconds: float = 15.0
    recheck_seconds: float = 60.0
    """How long a right is believed."""
    recheck_grace_seconds: float = 30.0
    """How much longer while the API server cannot be asked."""
    stall_seconds: float = 60.0
    """A client that takes nothing of what waits for so long is sent away."""
    poll_seconds: float = 2.0
    """How often workers and queues are looked at, while somebody watches them."""
