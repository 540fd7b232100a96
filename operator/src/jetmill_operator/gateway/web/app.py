"""The application: every route, what stands before all of them, and what becomes of errors.

A new resource is a module in `route/` that exports `HANDLERS`, and a name in `ROUTES` below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from litestar import Litestar, Request, Response, Router
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter

from jetmill_operator.gateway.web.body import MAX_BODY_BYTES, check_body
from jetmill_operator.gateway.web.exchange import exchange_of
from jetmill_operator.gateway.web.front import Front
from jetmill_operator.gateway.web.guard import check_handlers, guard
from jetmill_operator.gateway.web.parts import GatewayParts
from jetmill_operator.gateway.web.problem import MEDIA_TYPE, explain
from jetmill_operator.gateway.web.route import action, creation, fleet, job, server

log = structlog.get_logger(__name__)

API = "/api/v1"
ROUTES: Sequence[Sequence[BaseRouteHandler]] = (
    server.HANDLERS,
    job.HANDLERS,
    creation.HANDLERS,
    action.HANDLERS,
    fleet.HANDLERS,
)
"""What is served below /api/v1."""
ROOT_ROUTES: Sequence[Sequence[BaseRouteHandler]] = (server.ROOT_HANDLERS,)
"""What is served at the root: probes and metrics."""


def make_app(parts: GatewayParts) -> Litestar:
    """Build the application; ConfigError if a handler declares no right."""
    api = [handler for handlers in ROUTES for handler in handlers]
    root = [handler for handlers in ROOT_ROUTES for handler in handlers]
    check_handlers([*api, *root])
    return Litestar(
        [*root, Router(API, route_handlers=api, parameters={"namespace": _namespace_parameter()})],
        guards=[guard],
        before_request=check_body,
        exception_handlers={HTTPException: answer_problem, Exception: answer_problem},
        request_max_body_size=MAX_BODY_BYTES,
        state=State({"parts": parts}),
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


def make_front(parts: GatewayParts) -> Front:
    """The application with what stands before it: what a server serves."""
    return Front(make_app(parts), parts)


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Any error as an RFC 9457 problem; those that are defects of ours go into the log with their traceback."""
    problem, headers = explain(error)
    exchange = exchange_of(request.scope)
    if problem.status == 500:
        exchange.failed = True
        log.error("request_failed", path=request.scope["path"], exc_info=error)
    elif problem.status in (401, 403, 429, 503):
        request.app.state.parts.metrics.count_refusal(problem.type.rpartition("/")[2])
    problem = msgspec.structs.replace(problem, instance=f"urn:jetmill:request:{exchange.request_id}")
    headers.pop("content-type", None)
    return Response(msgspec.json.encode(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def _namespace_parameter() -> Any:
    return QueryParameter(
        annotation=str | None,
        default=None,
        required=False,
        description="The namespace that is meant; if not given, the gateway's first",
    )
