"""The projection of a gateway: opened with it, fed from the ledger of each namespace that it serves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jetmill.errors import BusError, NotFoundError
from jetmill_operator.gateway.projection import Ingest, Projection
from jetmill_operator.gateway.web.parts import GatewayParts, parts_of
from jetmill_operator.gateway.web.problem import Fault, ProblemError
from jetmill_operator.gateway.web.served import Served
from jetmill_operator.gateway.web.standing import ProjectedSnapshots

if TYPE_CHECKING:
    from prometheus_client import Metric

AFTER_SECONDS = 5.0
"""How long a request waits for the projection to know what its caller wrote."""
LATE_SECONDS = 30.0
"""A projection that is behind for so long is not ready."""
PAUSE_SECONDS = 2.0


@contextlib.asynccontextmanager
async def run_projection(
    parts: GatewayParts, path: Path | None = None, *, rebuild: bool = False
) -> AsyncIterator[Projection]:
    """Open the projection (None: one that goes with the process) and feed it until the block ends."""
    projection = await Projection.open(path)
    absent = set(parts.namespaces)
    tasks = []
    for name, served in parts.namespaces.items():
        ingest = Ingest(projection, served.bus, namespace=name, rebuild=rebuild, pause_seconds=PAUSE_SECONDS)
        tasks.append(asyncio.create_task(_feed(ingest, served, absent)))
    parts.projection = projection
    parts.backplane.snapshots = ProjectedSnapshots(projection)
    parts.collectors.append(LagCollector(parts, projection))
    parts.checks["projection"] = lambda: find_delay(set(parts.namespaces) - absent, projection)
    try:
        yield projection
    finally:
        parts.projection = parts.backplane.snapshots = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await projection.close()


class LagCollector:
    """How far behind the ledger the lists are, for Prometheus."""

    def __init__(self, parts: GatewayParts, projection: Projection) -> None:
        self._parts = parts
        self._projection = projection

    def collect(self) -> Iterator[Metric]:
        """What prometheus-client asks for."""
        from prometheus_client.core import GaugeMetricFamily

        lags = [self._projection.lag(name) for name in self._parts.namespaces]
        yield GaugeMetricFamily(
            "jetmill_gateway_projection_lag_records",
            "Records that the lists do not have yet, of the namespace that is behind most",
            value=max((lag.records for lag in lags), default=0),
        )
        yield GaugeMetricFamily(
            "jetmill_gateway_projection_lag_seconds",
            "For how long the lists have been behind, of the namespace that is behind most",
            value=max((lag.seconds for lag in lags), default=0.0),
        )


async def _feed(ingest: Ingest, served: Served, absent: set[str]) -> None:
    """Feed a namespace, once it has a ledger: one without a Job has none, and its lists are empty."""
    while True:
        try:
            await served.bus.ledger.last_seq()
        except NotFoundError:
            await asyncio.sleep(PAUSE_SECONDS)
        except BusError:
            break  # whether there is one cannot be told: the ingest says what is wrong, and tries again
        else:
            break
    absent.discard(served.namespace)
    await ingest.run()


def find_delay(namespaces: Collection[str], projection: Projection) -> str | None:
    """Say by how much the projection of these is late, without their names: anybody may ask; None: it is not."""
    late = [lag.records for name in namespaces if (lag := projection.lag(name)).seconds > LATE_SECONDS]
    return f"{len(late)} namespaces are up to {max(late)} records behind" if late else None


def projection_of(connection: Any) -> Projection:
    """The projection of the gateway that was asked; ProblemError while there is none."""
    projection = parts_of(connection).projection
    if projection is None:
        raise ProblemError("projection-unavailable", "this gateway holds no lists yet", headers={"Retry-After": "2"})
    return projection


async def catch_up(projection: Projection, served: Served, after: int | None) -> None:
    """Wait until the projection knows the ledger up to a sequence; ProblemError if that takes too long, and for one
    that the ledger never gave: nobody has to wait for it.
    """
    namespace = served.namespace
    if after is None or after <= projection.seq(namespace):
        return
    last = await _find_last(served)
    if after > last:
        detail = f"the ledger has come to {last}, not to {after}"
        fault = Fault(detail=detail, parameter="after")
        raise ProblemError("invalid-parameter", detail, cure="send what an answer gave as seq", faults=(fault,))
    if await projection.reached(namespace, after, timeout_seconds=AFTER_SECONDS):
        return
    raise ProblemError(
        "projection-behind",
        f"the lists know the ledger up to {projection.seq(namespace)}, not yet up to {after}",
        headers={"Retry-After": "1"},
    )


async def _find_last(served: Served) -> int:
    try:
        return await served.bus.ledger.last_seq()
    except NotFoundError:  # the namespace has no ledger yet
        return 0


def lag_headers(projection: Projection, namespace: str) -> dict[str, str]:
    """What every answer from the projection says of how far behind it is."""
    lag = projection.lag(namespace)
    return {"X-Jetmill-Lag": f"{lag.seconds:.3f}", "X-Jetmill-Seq": str(projection.seq(namespace))}
