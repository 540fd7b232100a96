"""The numbers behind a decision, as one sentence for a person (an Event, `jetmill why NAME`) and as metrics."""

from __future__ import annotations

from dataclasses import dataclass

from jetmill_operator.policy.demand import ASSUMED_SERVICE_SECONDS


@dataclass(frozen=True, slots=True)
class Figures:
    """What led from so many workers to so many.

    >>> str(Figures(12, 20, 20, True, pending=480, arrivals_per_second=16.0, service_seconds=2.0))
    '12 → 20: 480 waiting, 16/s arriving, 2.0 s a job, drain in 30 s'
    """

    before: int
    """Workers that were asked for."""
    after: int
    """Workers that are asked for now."""
    needed: int
    """Workers that the work needs, limits aside."""
    known: bool = False
    """False: the queue could not be read, so all that follows means nothing."""
    pending: int = 0
    in_flight: int = 0
    arrivals_per_second: float = 0.0
    """As the window sees it that decided."""
    service_seconds: float = 0.0
    """0: not known, and assumed."""
    target_drain_seconds: float = 30.0
    ready: int = 0
    unschedulable: int = 0
    least: int = 0
    """`minReplicas`."""

    def __str__(self) -> str:
        step = f"{self.before} → {self.after}" if self.after != self.before else f"{self.before}"
        if not self.known:
            return f"{step}: the queue could not be read"
        parts = [f"{self.pending} waiting"]
        if self.in_flight and not self.pending:
            parts.append(f"{self.in_flight} in hand")
        parts.append(f"{format_rate(self.arrivals_per_second)} arriving")
        parts.append(self._format_service())
        parts.append(f"drain in {self.target_drain_seconds:g} s")
        if self.needed > self.after:
            parts.append(f"{self.needed} needed")
        if self.needed < self.after == self.least:
            parts.append(f"minReplicas is {self.least}")
        if self.unschedulable:
            parts.append(f"no room for {self.unschedulable}")
        return f"{step}: {', '.join(parts)}"

    def _format_service(self) -> str:
        if self.service_seconds <= 0:
            return f"{format_seconds(ASSUMED_SERVICE_SECONDS)} a job (assumed)"
        return f"{format_seconds(self.service_seconds)} a job"


def format_rate(per_second: float) -> str:
    """Format a rate with two digits that matter, per minute where it is below one a second."""
    if per_second <= 0:
        return "0/s"
    if per_second < 0.95:
        return f"{per_second * 60:.{0 if per_second * 60 >= 9.5 else 1}f}/min"
    return f"{per_second:.{0 if per_second >= 9.5 else 1}f}/s"


def format_seconds(seconds: float) -> str:
    """Format a time with two digits that matter."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.{0 if seconds >= 0.0095 else 1}f} ms"
    return f"{seconds:.{0 if seconds >= 9.95 else 1}f} s"
