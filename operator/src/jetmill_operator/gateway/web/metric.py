"""What the gateway counts, in Prometheus' terms. Names and labels are API: `docs/metrics.md` has the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jetmill.bus.ports import Trunk
from jetmill.metric import Histogram, find_version
from jetmill_operator.gateway.access.authenticate import Authenticator
from jetmill_operator.gateway.access.authorize import Authorizer, KubeAuthorizer
from jetmill_operator.gateway.stream.backplane import Backplane

if TYPE_CHECKING:
    from prometheus_client.core import Metric


class Metrics:
    """Plain numbers; prometheus-client's registry asks for them."""

    def __init__(
        self, trunk: Trunk, authenticator: Authenticator, authorizer: Authorizer, backplane: Backplane
    ) -> None:
        self._backplane = backplane
        self._trunk = trunk
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._requests: dict[tuple[str, str, str], int] = {}
        self._seconds: dict[str, Histogram] = {}
        self._refusals: dict[str, int] = {}

    def count(self, *, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request that was answered; `route` is the template, never a path."""
        key = (route, method, str(status))
        self._requests[key] = self._requests.get(key, 0) + 1
        self._seconds.setdefault(route, Histogram()).observe(seconds)

    def count_refusal(self, why: str) -> None:
        """Count somebody who was not let in; `why` is a problem's slug."""
        self._refusals[why] = self._refusals.get(why, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """What prometheus-client asks for."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        build = GaugeMetricFamily("jetmill_gateway_info", "Versions", labels=["version"])
        build.add_metric([find_version()], 1)
        yield build
        requests = CounterMetricFamily(
            "jetmill_gateway_requests", "Requests that were answered", labels=["route", "method", "status"]
        )
        for key, count in list(self._requests.items()):
            requests.add_metric(key, count)
        yield requests
        seconds = HistogramMetricFamily(
            "jetmill_gateway_request_duration_seconds", "How long an answer took", labels=["route"]
        )
        for route, histogram in list(self._seconds.items()):
            seconds.add_metric([route], histogram.cumulated(), histogram.total)
        yield seconds
        refusals = CounterMetricFamily("jetmill_gateway_refusals", "Requests that were not let in", labels=["why"])
        for why, count in list(self._refusals.items()):
            refusals.add_metric([why], count)
        yield refusals
        yield from self._collect_reviews()
        yield from self._collect_streams()
        connected = GaugeMetricFamily("jetmill_nats_connected", "1 while there is a connection")
        connected.add_metric([], float(self._trunk.connected))
        yield connected

    def _collect_streams(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        backplane = self._backplane
        sessions = GaugeMetricFamily("jetmill_gateway_stream_clients", "Clients that watch now")
        sessions.add_metric([], float(len(backplane.sessions)))
        yield sessions
        waiting = GaugeMetricFamily("jetmill_gateway_stream_waiting_bytes", "What waits for clients that are slow")
        waiting.add_metric([], float(backplane.waiting_bytes))
        yield waiting
        events = CounterMetricFamily(
            "jetmill_gateway_stream_events", "Events given to clients, or left out with a gap", labels=["result"]
        )
        events.add_metric(["delivered"], backplane.delivered)
        events.add_metric(["dropped"], backplane.dropped)
        yield events
        ended = CounterMetricFamily("jetmill_gateway_stream_ended", "Streams that ended, by code", labels=["code"])
        for code, count in sorted(backplane.closed.items()):
            ended.add_metric([str(code)], count)
        yield ended

    def _collect_reviews(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily

        caches = {"token": self._authenticator.cache}
        rows = [(kind, "hit", cache.hits) for kind, cache in caches.items()]
        rows += [(kind, "miss", cache.misses) for kind, cache in caches.items()]
        if isinstance(self._authorizer, KubeAuthorizer):
            rows += [("access", "hit", self._authorizer.cache.hits), ("access", "miss", self._authorizer.cache.misses)]
        reviews = CounterMetricFamily(
            "jetmill_gateway_reviews", "Questions about tokens and rights", labels=["kind", "cache"]
        )
        for kind, cache, count in rows:
            reviews.add_metric([kind, cache], count)
        yield reviews
