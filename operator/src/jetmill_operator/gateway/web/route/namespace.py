"""What there is besides jobs: this gateway, the workers, the queues."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.params import QueryParameter

from jetmill.client.status import JobStats, time_of
from jetmill.metric import find_version
from jetmill.protocol.record import JobSettings
from jetmill_operator.gateway.access.authorize import Permit
from jetmill_operator.gateway.access.identity import Identity
from jetmill_operator.gateway.access.right import DECLARED, QUEUES, SELF, SIGHT, WORKERS
from jetmill_operator.gateway.projection import Flow, Percentiles
from jetmill_operator.gateway.web.body import (
    MAX_BULK,
    AllSettingsBody,
    LatencyBody,
    QueueBody,
    QueuesBody,
    ServerBody,
    SettingsBody,
    TriggerBody,
    WorkerBody,
    WorkersBody,
)
from jetmill_operator.gateway.web.document import MAX_BYTES
from jetmill_operator.gateway.web.guard import caller_of
from jetmill_operator.gateway.web.parts import GatewayParts, parts_of
from jetmill_operator.gateway.web.projecting import lag_headers
from jetmill_operator.gateway.web.route.job import NamespaceQuery
from jetmill_operator.gateway.web.served import served_for

Asked = Request[Any, Any, Any]
WINDOW_SECONDS = 900
MAX_WINDOW_SECONDS = 86_400
_LIST_JOBS, _ = DECLARED["jobs"]


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
async def list_queues(
    request: Asked,
    namespace: NamespaceQuery = None,  # noqa: ARG001
    job: Annotated[str | None, QueryParameter(description="Of this Job alone")] = None,
    window: Annotated[
        int, QueryParameter(description="Seconds before now that latencies are of", ge=60, le=MAX_WINDOW_SECONDS)
    ] = WINDOW_SECONDS,
) -> Response[QueuesBody]:
    """How much waits is read from NATS now; how long jobs have waited, wait and run comes from the lists.
    Deliveries of Webhooks are left out unless `job` is theirs.
    """
    served = served_for(request)
    stats = await served.reader.stats(job)
    projection = parts_of(request).projection
    if projection is None or not projection.lag(served.namespace).complete:
        return Response(QueuesBody(items=[_build_queue(one, None, 0) for one in stats]))
    now = served.bus.link.now()
    flows = await projection.flow(served.namespace, [one.job for one in stats], now=now, window_seconds=window)
    items = [_build_queue(one, flow, now) for one, flow in zip(stats, flows, strict=True)]
    return Response(QueuesBody(items=items, window_seconds=window), headers=lag_headers(projection, served.namespace))


@get("/api/v1/settings", opt={"right": _LIST_JOBS}, tags=["namespace"], summary="What counts for each Job")
async def list_settings(request: Asked, namespace: NamespaceQuery = None) -> AllSettingsBody:  # noqa: ARG001
    """As clients and workers have it from NATS, where `declarations` has what the cluster wants and how far that is."""
    return AllSettingsBody(items=[build_settings(one) for one in await served_for(request).reader.jobs()])


def build_settings(settings: JobSettings) -> SettingsBody:
    """The settings of a Job as they go over the wire. Pure."""
    given: dict[str, Any] = {name: getattr(settings, name) for name in SettingsBody.__struct_fields__}
    schema = settings.payload_schema
    given["payload_schema"] = None if schema is None else msgspec.json.decode(schema)
    given["triggers"] = [TriggerBody(**msgspec.structs.asdict(trigger)) for trigger in settings.triggers]
    return SettingsBody(**given)


def _build_queue(stats: JobStats, flow: Flow | None, now: int) -> QueueBody:
    return QueueBody(
        job=stats.job,
        ready=stats.ready,
        in_flight=stats.in_flight,
        delayed=stats.delayed,
        workers=stats.workers,
        slots=stats.slots,
        busy=stats.busy,
        suspended=stats.suspended,
        oldest_seconds=(now - flow.oldest) / 1e6 if flow is not None and flow.oldest is not None else None,
        wait=None if flow is None else _build_latency(flow.wait),
        run=None if flow is None else _build_latency(flow.run),
    )


def _build_latency(found: Percentiles | None) -> LatencyBody | None:
    if found is None:
        return None
    return LatencyBody(count=found.count, p50=found.p50, p95=found.p95, p99=found.p99)


HANDLERS = [get_server, list_workers, list_queues, list_settings]
