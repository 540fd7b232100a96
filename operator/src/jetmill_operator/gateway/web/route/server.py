"""What answers here: probes and metrics at the root, and who it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import BaseRouteHandler

from jetmill.metric import find_version
from jetmill_operator.gateway.access.right import PUBLIC, SELF
from jetmill_operator.gateway.web.model import ServerView
from jetmill_operator.gateway.web.parts import parts_of


@get("/livez", opt={"right": PUBLIC}, include_in_schema=False)
async def get_livez() -> Response[str]:
    """Its loop turns."""
    return Response("ok\n", media_type="text/plain")


@get("/readyz", opt={"right": PUBLIC}, include_in_schema=False)
async def get_readyz(request: Request[Any, Any, Any]) -> Response[str]:
    """It can answer: NATS is there, and what else was registered is well."""
    faults = [fault for check in parts_of(request).checks.values() if (fault := check()) is not None]
    text = "".join(f"{fault}\n" for fault in faults) or "ok\n"
    return Response(text, status_code=503 if faults else 200, media_type="text/plain")


@get("/metrics", opt={"right": PUBLIC}, include_in_schema=False)
async def get_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """For Prometheus."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    registry = CollectorRegistry(auto_describe=False)
    registry.register(parts_of(request).metrics)
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


@get("/server", opt={"right": SELF}, tags=["Server"], operation_id="getServer")
async def get_server(request: Request[Any, Any, Any]) -> ServerView:
    """Version, namespaces, and whether NATS is there."""
    parts = parts_of(request)
    return ServerView(
        version=find_version(),
        namespaces=list(parts.namespaces),
        auth=parts.settings.auth,
        connected=parts.namespaces.trunk.connected,
        time=datetime.now(UTC),
    )


ROOT_HANDLERS: Sequence[BaseRouteHandler] = (get_livez, get_readyz, get_metrics)
HANDLERS: Sequence[BaseRouteHandler] = (get_server,)
