"""What the dispatcher says of itself: to probes, and to Prometheus; names are API: `docs/metrics.md`."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from jetmill.bus.ports import Trunk
from jetmill.metric import find_version
from jetmill_operator.dispatch.branch import Branches
from jetmill_operator.dispatch.delivery import Attempts

if TYPE_CHECKING:
    from prometheus_client import Metric

BEAT_SECONDS = 1.0
STUCK_SECONDS = 30.0
"""A loop that has not turned for so long is stuck."""


COUNTERS = {
    "transitions_published": "Transitions of jobs that are stored as events, whoever of several was first",
    "jobs_triggered": "Jobs that events have enqueued by a Job's triggers",
    "events_unreadable": "Events that were no CloudEvents when somebody wanted to know more than their type",
    "filter_failures": "Times that a filter of a trigger could not be asked of an event, which then does not fit",
}
"""What works count, by name: `jetmill_dispatcher_NAME_total`."""


class Health:
    """The state of the process, filled in as it goes; read from the health server's thread."""

    def __init__(self) -> None:
        self.trunk: Trunk | None = None
        self.branches: Branches | None = None
        self.attempts: Attempts = Counter()
        self._beat = time.monotonic()

    async def beat(self) -> None:
        """Say that the loop turns, until cancelled."""
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    def is_live(self) -> str | None:
        """None, or what is wrong."""
        stuck = time.monotonic() - self._beat
        return f"the event loop has not turned for {stuck:.0f} s" if stuck > STUCK_SECONDS else None

    def is_ready(self) -> str | None:
        """None, or what is wrong."""
        if self.trunk is None:
            return "not connected to NATS yet"
        return self.is_live() or (None if self.trunk.connected else "not connected to NATS")

    def collect(self) -> Iterator[Metric]:
        """What a scrape gets."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        version = GaugeMetricFamily("jetmill_build_info", "Versions", labels=["version"])
        version.add_metric([find_version()], 1.0)
        yield version
        connected = self.trunk is not None and self.trunk.connected
        yield GaugeMetricFamily("jetmill_nats_connected", "1 while there is a connection", value=float(connected))
        attempts = CounterMetricFamily(
            "jetmill_webhook_attempts", "Requests that ended", labels=["namespace", "webhook", "result"]
        )
        for labels, count in list(self.attempts.items()):
            attempts.add_metric(labels, count)
        yield attempts
        namespaces = [] if self.branches is None else self.branches.namespaces
        yield GaugeMetricFamily("jetmill_dispatcher_namespaces", "Namespaces that it serves", value=len(namespaces))
        families = {
            name: CounterMetricFamily(f"jetmill_dispatcher_{name}", text, labels=["namespace"])
            for name, text in COUNTERS.items()
        }
        for namespace, name, count in () if self.branches is None else self.branches.counts():
            families[name].add_metric([namespace], count)
        yield from families.values()
