"""Snapshots for streams, out of the projection: which jobs there are, as the stream itself would tell them.

The projection says up to which sequence it tells, and the stream goes on there, so the two may be as far apart as they
like: what the one lacks the other gives.
"""

from __future__ import annotations

import msgspec

from jetmill.protocol.state import State
from jetmill_operator.gateway.projection import Projection
from jetmill_operator.gateway.stream.frame import MAX_ITEMS
from jetmill_operator.gateway.stream.snapshot import Snapshot
from jetmill_operator.gateway.stream.topic import Kind, Topic
from jetmill_operator.gateway.web.row import build_row_event

_encoder = msgspec.json.Encoder()


class ProjectedSnapshots:
    """The port `Snapshots`."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection

    async def take(self, namespace: str, topic: Topic) -> Snapshot | None:
        """See the port; None also before the projection has once been up to date, for it would lack most."""
        if topic.kind not in {Kind.NAMESPACE, Kind.JOBS, Kind.STATE} or not self._projection.lag(namespace).complete:
            return None
        job = topic.name if topic.kind is Kind.JOBS else None
        state = State(topic.name) if topic.kind is Kind.STATE else None
        standing = await self._projection.standing(namespace, job=job, state=state, limit=MAX_ITEMS)
        items = [_encoder.encode(build_row_event(row)) for row in standing.items]
        return Snapshot(items, standing.seq, standing.total)
