"""What a worker counts: plain integers in the hot path, made into metrics only when somebody scrapes.

A histogram observation is a bisection and two additions; prometheus-client's own objects would cost a lock each. The
reader is another thread, so what it sees may be of two moments a few µs apart. Names are API: `docs/metrics.md`.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from jetmill.metric import Histogram, find_version

if TYPE_CHECKING:
    from prometheus_client import Metric

OUTCOMES = ("succeeded", "failed", "cancelled", "retrying", "interrupted", "lost")


class JobNumbers:
    """What is counted for one Job."""

    __slots__ = ("latency", "outcomes", "reasons", "redelivered", "run", "whole")

    def __init__(self) -> None:
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        self.reasons: dict[str, int] = {}
        """Final failures by reason."""
        self.redelivered = 0
        self.latency = Histogram()
        """From the moment that it could start to its start."""
        self.run = Histogram()
        self.whole = Histogram()
        """From its enqueueing to its end for good."""


class Gauges(Protocol):
    """What the worker can say of itself at any moment."""

    @property
    def slots(self) -> int:
        """Jobs that may run at once."""
        ...

    @property
    def busy(self) -> int:
        """Slots in use."""
        ...

    @property
    def abandoned(self) -> int:
        """Threads given up that have not ended."""
        ...

    @property
    def connected(self) -> bool:
        """There is a connection now."""
        ...

    @property
    def heartbeat_time(self) -> float:
        """When presence was last renewed, seconds since the epoch."""
        ...


class Metrics:
    """All that one worker counts; a collector for prometheus-client."""

    def __init__(self, *, namespace: str) -> None:
        self.namespace = namespace
        self.jobs: dict[str, JobNumbers] = {}
        self.abandoned_total = 0
        self.gauges: Gauges | None = None

    def of(self, job: str) -> JobNumbers:
        """The numbers of a Job."""
        numbers = self.jobs.get(job)
        if numbers is None:
            numbers = self.jobs[job] = JobNumbers()
        return numbers

    def collect(self) -> Iterator[Metric]:
        """What prometheus-client asks for."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        yield InfoMetricFamily(
            "jetmill_build", "Versions", {"version": find_version(), "python": platform.python_version()}
        )
        yield from self._collect_jobs()
        abandoned = CounterMetricFamily(
            "jetmill_worker_handlers_abandoned", "Handlers that did not stop when told to", labels=["namespace"]
        )
        abandoned.add_metric([self.namespace], self.abandoned_total)
        yield abandoned
        for name, text, value in self._gauges():
            gauge = GaugeMetricFamily(name, text, labels=["namespace"])
            gauge.add_metric([self.namespace], value)
            yield gauge

    def _gauges(self) -> Iterable[tuple[str, str, float]]:
        gauges = self.gauges
        if gauges is None:
            return
        yield "jetmill_worker_slots", "Jobs that may run at once", gauges.slots
        yield "jetmill_worker_slots_in_use", "Jobs that run", gauges.busy
        yield "jetmill_worker_threads_abandoned", "Threads given up that have not ended yet", gauges.abandoned
        yield (
            "jetmill_worker_last_heartbeat_timestamp_seconds",
            "When presence was last renewed",
            gauges.heartbeat_time,
        )
        yield "jetmill_nats_connected", "1 while there is a connection", float(gauges.connected)

    def _collect_jobs(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        labels = ["namespace", "job"]
        finished = CounterMetricFamily("jetmill_jobs_finished", "Jobs that ended for good", labels=[*labels, "outcome"])
        attempts = CounterMetricFamily("jetmill_job_attempts", "Attempts that ended", labels=[*labels, "result"])
        retries = CounterMetricFamily("jetmill_job_retries", "Attempts that another follows", labels=labels)
        failures = CounterMetricFamily("jetmill_job_failures", "Jobs that failed for good", labels=[*labels, "reason"])
        again = CounterMetricFamily("jetmill_job_redeliveries", "Deliveries after the first", labels=labels)
        histograms: list[tuple[Any, str]] = [
            (HistogramMetricFamily("jetmill_job_queue_latency_seconds", "Due to started", labels=labels), "latency"),
            (HistogramMetricFamily("jetmill_job_run_duration_seconds", "Run time of an attempt", labels=labels), "run"),
            (HistogramMetricFamily("jetmill_job_end_to_end_seconds", "Enqueued to ended", labels=labels), "whole"),
        ]
        for job, numbers in list(self.jobs.items()):
            values = [self.namespace, job]
            for outcome in OUTCOMES:
                attempts.add_metric([*values, outcome], numbers.outcomes[outcome])
            for outcome in ("succeeded", "failed", "cancelled"):
                finished.add_metric([*values, outcome], numbers.outcomes[outcome])
            for reason, count in list(numbers.reasons.items()):
                failures.add_metric([*values, reason], count)
            retries.add_metric(values, numbers.outcomes["retrying"])
            again.add_metric(values, numbers.redelivered)
            for family, name in histograms:
                histogram: Histogram = getattr(numbers, name)
                family.add_metric(values, histogram.cumulated(), histogram.total)
        yield from (finished, attempts, retries, failures, again)
        yield from (family for family, _ in histograms)
