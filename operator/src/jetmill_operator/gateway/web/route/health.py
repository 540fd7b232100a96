"""`/livez`, `/readyz`, `/metrics`: for probes and scrapers, who are nobody."""

from __future__ import annotations

from typing import Any

from litestar import MediaType, Request, Response, get

from jetmill_operator.gateway.access.right import PUBLIC
from jetmill_operator.gateway.web.parts import parts_of

Asked = Request[Any, Any, Any]
OPT = {"right": PUBLIC}


@get("/livez", opt=OPT, media_type=MediaType.TEXT, include_in_schema=False)
async def livez() -> str:
    """The process answers."""
    return "ok\n"


@get("/readyz", opt=OPT, media_type=MediaType.TEXT, include_in_schema=False)
async def readyz(request: Asked) -> Response[str]:
    """503 with what is wrong, while something is."""
    faults = [f"{name}: {fault}" for name, check in parts_of(request).checks.items() if (fault := check())]
    return Response("\n".join(faults or ["ok"]) + "\n", status_code=503 if faults else 200, media_type=MediaType.TEXT)


@get("/metrics", opt=OPT, include_in_schema=False)
async def metrics(request: Asked) -> Response[bytes]:
    """Prometheus' text format; no name of a job, a user or a namespace is in it."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    parts = parts_of(request)
    for collector in (parts.metrics, *parts.collectors):
        registry.register(collector)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


HANDLERS = [livez, readyz, metrics]
