"""What the operator counts, for Prometheus; names are API: `docs/metrics.md`.

Gauges of what NATS has are those of the last look, and absent where it could not be read: a number that stands still
would be taken for calm.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from jetmill.metric import Histogram, find_version
from jetmill_operator.cluster.ports import Key
from jetmill_operator.reconcile.board import Board
from jetmill_operator.reconcile.queue import End, Run

if TYPE_CHECKING:
    from prometheus_client import Metric


class Gauges(Protocol):
    """What the process can say of itself at any moment."""

    @property
    def leading(self) -> bool:
        """It leads."""
        ...

    @property
    def connected(self) -> bool:
        """There is a connection to NATS."""
        ...

    @property
    def jobs(self) -> int:
        """Jobs that it knows of."""
        ...

    @property
    def depth(self) -> int:
        """Keys that wait."""
        ...

    @property
    def delayed(self) -> int:
        """Keys that wait for their time."""
        ...

    @property
    def running(self) -> int:
        """Keys that are being reconciled."""
        ...

    @property
    def oldest_seconds(self) -> float:
        """How long the key that waits longest has waited."""
        ...

    @property
    def watch_age_seconds(self) -> float | None:
        """How long the watch that is silent longest has been so; None: nothing is watched."""
        ...


class Metrics:
    """All that one operator counts; a collector for prometheus-client."""

    def __init__(self) -> None:
        self.gauges: Gauges | None = None
        self.board: Board | None = None
        self._runs: dict[tuple[str, End], int] = {}
        self._seconds: dict[str, Histogram] = {}
        self._waits: dict[str, Histogram] = {}
        self._decisions: dict[tuple[str, str], int] = {}
        self._strays = 0
        self._slots: dict[tuple[str, str], int] = {}

    def count_slots(self, namespace: str, *, planned: int, withdrawn: int, missed: int) -> None:
        """Count what a pass over a schedule did."""
        for what, count in (("planned", planned), ("withdrawn", withdrawn), ("missed", missed)):
            self._slots[namespace, what] = self._slots.get((namespace, what), 0) + count

    def count_decision(self, direction: str, reason: str) -> None:
        """Count a change of how many workers are asked for; `direction` is up or down."""
        self._decisions[direction, reason] = self._decisions.get((direction, reason), 0) + 1

    def count_strays(self, count: int) -> None:
        """Count pods that went in place of those that had drained."""
        self._strays += count

    def count(self, run: Run[Key]) -> None:
        """Count a reconcile that has ended."""
        kind = run.key.kind
        if kind not in self._seconds:
            self._seconds[kind], self._waits[kind] = Histogram(), Histogram()
            self._runs |= dict.fromkeys(((kind, end) for end in End), 0)
        self._runs[kind, run.end] += 1
        self._seconds[kind].observe(run.seconds)
        self._waits[kind].observe(run.waited_seconds)

    def collect(self) -> Iterator[Metric]:
        """What prometheus-client asks for."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        versions = {"version": find_version(), "python": platform.python_version()}
        yield InfoMetricFamily("jetmill_build", "Versions", versions)
        total = CounterMetricFamily("jetmill_reconcile", "Reconciles that ended", labels=["kind", "result"])
        for (kind, end), count in list(self._runs.items()):
            total.add_metric([kind, str(end)], count)
        yield total
        yield from self._collect_times()
        for name, text, value in self._list_gauges():
            gauge = GaugeMetricFamily(name, text)
            gauge.add_metric([], value)
            yield gauge
        yield from self._collect_board()
        yield from self._collect_scaling()

    def _collect_scaling(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily

        labels = ["direction", "reason"]
        decisions = CounterMetricFamily(
            "jetmill_autoscaler_decisions", "Changes of the workers asked for", labels=labels
        )
        for place, count in list(self._decisions.items()):
            decisions.add_metric(place, count)
        strays = CounterMetricFamily("jetmill_autoscaler_strays", "Pods that went in place of those that had drained")
        strays.add_metric([], self._strays)
        labels = ["namespace", "what"]
        slots = CounterMetricFamily("jetmill_schedule_slots", "Slots of ScheduledJobs", labels=labels)
        for place, count in list(self._slots.items()):
            slots.add_metric(place, count)
        yield from (decisions, strays, slots)

    def _collect_times(self) -> Iterator[Metric]:
        from prometheus_client.core import HistogramMetricFamily

        tables: list[tuple[str, str, dict[str, Histogram]]] = [
            ("jetmill_reconcile_duration_seconds", "How long a reconcile ran", self._seconds),
            ("jetmill_workqueue_wait_seconds", "How long a key waited", self._waits),
        ]
        for name, text, table in tables:
            family: Any = HistogramMetricFamily(name, text, labels=["kind"])
            for kind, histogram in list(table.items()):
                family.add_metric([kind], histogram.cumulated(), histogram.total)
            yield family

    def _list_gauges(self) -> Iterator[tuple[str, str, float]]:
        gauges = self.gauges
        if gauges is None:
            return
        yield "jetmill_leader", "1 while this process leads", float(gauges.leading)
        yield "jetmill_nats_connected", "1 while there is a connection", float(gauges.connected)
        yield "jetmill_declared_jobs", "Jobs that are declared", gauges.jobs
        yield "jetmill_workqueue_depth", "Keys that wait for a worker", gauges.depth
        yield "jetmill_workqueue_delayed", "Keys that wait for their time", gauges.delayed
        yield "jetmill_workqueue_running", "Keys that are being reconciled", gauges.running
        yield "jetmill_workqueue_oldest_seconds", "How long the oldest key has waited", gauges.oldest_seconds
        if gauges.watch_age_seconds is not None:
            yield "jetmill_watch_age_seconds", "Since when the quietest watch is silent", gauges.watch_age_seconds

    def _collect_board(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        labels = ["namespace", "job"]
        depth = GaugeMetricFamily("jetmill_queue_depth", "Jobs that are not finished", labels=[*labels, "state"])
        desired = GaugeMetricFamily("jetmill_autoscaler_desired_replicas", "Workers that are wanted", labels=labels)
        current = GaugeMetricFamily("jetmill_autoscaler_current_replicas", "Workers that are asked for", labels=labels)
        limited = GaugeMetricFamily("jetmill_autoscaler_limited", "1 while more are needed than may be", labels=labels)
        for key, seen in [] if self.board is None else self.board.all():
            place = [key.namespace, key.name]
            if seen.backlog is not None:
                depth.add_metric([*place, "ready"], seen.backlog.ready)
                depth.add_metric([*place, "in_flight"], seen.backlog.in_flight)
                depth.add_metric([*place, "delayed"], seen.backlog.delayed)
            if seen.replicas is not None:
                current.add_metric(place, seen.replicas)
            if seen.scaling is not None:
                desired.add_metric(place, seen.scaling.desired)
                limited.add_metric(place, float(seen.scaling.limited is not None))
        yield from (depth, desired, current, limited)
