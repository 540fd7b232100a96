"""Workers and queues, as NATS has them now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Request, get
from litestar.handlers import BaseRouteHandler

from jetmill.client.status import time_of
from jetmill.protocol.record import Presence
from jetmill_operator.gateway.access.right import QUEUES, WORKERS
from jetmill_operator.gateway.web.model import QueuesView, QueueView, WorkersView, WorkerView, build
from jetmill_operator.gateway.web.served import served_for


@get("/workers", opt={"right": WORKERS}, tags=["Workers"], operation_id="listWorkers")
async def list_workers(request: Request[Any, Any, Any]) -> WorkersView:
    """The worker processes that live, by their id."""
    found = await served_for(request).reader.workers()
    return WorkersView(items=[view_worker(one) for one in sorted(found, key=lambda one: one.worker)])


@get("/queues", opt={"right": QUEUES}, tags=["Queues"], operation_id="listQueues")
async def list_queues(request: Request[Any, Any, Any]) -> QueuesView:
    """What waits and runs of each Job, and who works on it."""
    found = await served_for(request).reader.stats()
    return QueuesView(items=[build(QueueView, one) for one in sorted(found, key=lambda one: one.job)])


def view_worker(presence: Presence) -> WorkerView:
    """A worker as it goes over the wire."""
    fields = {name: getattr(presence, name) for name in presence.__struct_fields__}
    fields["started"] = time_of(presence.started) if presence.started else None
    return WorkerView(**fields)


HANDLERS: Sequence[BaseRouteHandler] = (list_workers, list_queues)
