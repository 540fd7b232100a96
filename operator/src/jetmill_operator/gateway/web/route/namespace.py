"""What there is besides jobs: this gateway, the workers, the queues."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Request, get

from jetmill.client.status import time_of
from jetmill.metric import find_version
from jetmill_operator.gateway.access.authorize import Permit
from jetmill_operator.gateway.access.identity import Identity
from jetmill_operator.gateway.access.right import QUEUES, SELF, SIGHT, WORKERS
from jetmill_operator.gateway.web.body import (
    MAX_BULK,
    QueueBody,
    QueuesBody,
    ServerBody,
    WorkerBody,
    WorkersBody,
)
from jetmill_operator.gateway.web.document import MAX_BYTES
from jetmill_operator.gateway.web.guard import caller_of
from jetmill_operator.gateway.web.parts import GatewayParts, parts_of
from jetmill_operator.gateway.web.route.job import NamespaceQuery
from jetmill_operator.gateway.web.served import served_for

Asked = Request[Any, Any, Any]


@get("/api/v1/server", opt={"right": SELF}, tags=["server"], summary="What this gateway is")
async def get_server(request: Asked) -> ServerBody:
    """Its version, its limits, and of the namespaces that it serves those in which you may see something."""
    parts = parts_of(request)
    seen = await _find_seen(parts, caller_of(request).identity)
    return ServerBody(
        version=find_version(),
        namespaces=seen,
        default_namespace=parts.namespaces.default if parts.namespaces.default in seen else None,
        auth=parts.settings.auth,
        connected=parts.namespaces.trunk.connected,
        max_body_bytes=MAX_BYTES,
        max_bulk=MAX_BULK,
    )


async def _find_seen(parts: GatewayParts, identity: Identity) -> list[str]:
    """The namespaces in which somebody may see something; who may see single Jobs alone has to name theirs."""

    async def sees(namespace: str) -> bool:
        for right in SIGHT:
            if await Permit(identity, namespace, right, parts.authorizer).open():
                return True
        return False

    names = list(parts.namespaces)
    found = await asyncio.gather(*(sees(name) for name in names))
    return [name for name, one in zip(names, found, strict=True) if one]


@get("/api/v1/workers", opt={"right": WORKERS}, tags=["namespace"], summary="The worker processes that live")
async def list_workers(request: Asked, namespace: NamespaceQuery = None) -> WorkersBody:  # noqa: ARG001
    """By their presence, so at most half a minute late."""
    workers = await served_for(request).reader.workers()
    return WorkersBody(
        items=[
            WorkerBody(
                worker=one.worker,
                jobs=one.jobs,
                missing=one.missing,
                slots=one.slots,
                busy=one.busy,
                running=one.running,
                started=time_of(one.started) if one.started else None,
                host=one.host,
                pod=one.pod,
                version=one.version,
                draining=one.draining,
                stopping=one.stopping,
            )
            for one in sorted(workers, key=lambda one: one.worker)
        ]
    )


@get("/api/v1/queues", opt={"right": QUEUES}, tags=["namespace"], summary="What waits and runs of each Job")
async def list_queues(request: Asked, namespace: NamespaceQuery = None) -> QueuesBody:  # noqa: ARG001
    """Read from NATS now."""
    stats = await served_for(request).reader.stats()
    return QueuesBody(
        items=[
            QueueBody(
                job=one.job,
                ready=one.ready,
                in_flight=one.in_flight,
                delayed=one.delayed,
                workers=one.workers,
                slots=one.slots,
                busy=one.busy,
                suspended=one.suspended,
            )
            for one in stats
        ]
    )


HANDLERS = [get_server, list_workers, list_queues]
