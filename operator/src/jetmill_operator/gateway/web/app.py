"""The application: its routes, their guard, and how errors leave it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
import structlog
from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from jetmill_operator.gateway.web.document import MAX_BYTES, check_body
from jetmill_operator.gateway.web.exchange import exchange_of
from jetmill_operator.gateway.web.guard import check_handlers, guard
from jetmill_operator.gateway.web.parts import GatewayParts, parts_of
from jetmill_operator.gateway.web.problem import BASE, MEDIA_TYPE, Problem, explain
from jetmill_operator.gateway.web.route import (
    creation,
    dashboard,
    declaration,
    document,
    edit,
    event,
    health,
    job,
    listing,
    namespace,
    operation,
    schedule,
    session,
    stream,
    webhook,
    why,
)
from jetmill_operator.gateway.web.schema import build_document

log = structlog.get_logger(__name__)

HANDLERS: Sequence[BaseRouteHandler] = (
    *health.HANDLERS,
    *job.HANDLERS,
    *why.HANDLERS,
    *creation.HANDLERS,
    *listing.HANDLERS,
    *operation.HANDLERS,
    *declaration.HANDLERS,
    *edit.HANDLERS,
    *event.HANDLERS,
    *schedule.HANDLERS,
    *webhook.HANDLERS,
    *namespace.HANDLERS,
    *session.HANDLERS,
    *stream.HANDLERS,
    *document.HANDLERS,
    *dashboard.HANDLERS,
)
"""Every route there is; the matrix of rights is tested from this table."""


def make_app(parts: GatewayParts, *, more: Sequence[BaseRouteHandler] = ()) -> Litestar:
    """Build the application; ConfigError if a handler (of ours, or of `more`) declares no right."""
    handlers = [*HANDLERS, *more]
    check_handlers(handlers)
    return Litestar(
        route_handlers=handlers,
        state=State({"parts": parts, "document": cache(lambda: build_document(handlers))}),
        guards=[guard],
        before_request=check_body,
        exception_handlers={Exception: answer_error},
        after_exception=[note_refusal],
        request_max_body_size=MAX_BYTES,
        openapi_config=None,
        logging_config=None,
    )


async def note_refusal(error: Exception, scope: Any) -> None:
    """Keep why a websocket is refused: Litestar would close it with a code that no client gets to see."""
    if scope["type"] != "websocket":
        return
    exchange = exchange_of(scope)
    problem, headers = explain(error)
    problem = msgspec.structs.replace(problem, instance=f"urn:jetmill:request:{exchange.request_id}")
    if problem.status in (401, 403, 429, 503):
        scope["litestar_app"].state.parts.metrics.count_refusal(problem.type.removeprefix(BASE))
    if problem.status == 500:
        log.error("request_failed", path=scope["path"], exc_info=error)
    if exchange.status == 101:
        return
    exchange.status = problem.status
    exchange.refusal = (msgspec.json.encode(problem), headers)


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Turn whatever was raised into a problem."""
    exchange = exchange_of(request.scope)
    problem, headers = explain(error)
    if problem.status == 500:
        exchange.failed = True
        log.error("request_failed", path=request.scope["path"], exc_info=error)
    if problem.status in (401, 403, 429, 503):
        parts_of(request).metrics.count_refusal(problem.type.removeprefix(BASE))
    problem = msgspec.structs.replace(problem, instance=f"urn:jetmill:request:{exchange.request_id}")
    return Response(problem, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)
