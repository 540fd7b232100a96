"""What stands before the application, for each connection whatever becomes of it: the request's id, headers that keep
pages safe, one line in the log, one count, the audit log, and an answer if all else fails.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import structlog

from jetmill_operator.gateway.access.audit import note_audit
from jetmill_operator.gateway.access.origin import SAFE_METHODS
from jetmill_operator.gateway.web.exchange import Exchange, begin_exchange
from jetmill_operator.gateway.web.parts import GatewayParts
from jetmill_operator.gateway.web.problem import MEDIA_TYPE, make_problem

log = structlog.get_logger(__name__)

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""For what is no page. A page brings its own."""
SECURITY = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_QUIET = frozenset({"/livez", "/readyz", "/metrics"})


class Front:
    """The ASGI application that uvicorn serves."""

    def __init__(self, app: Application, parts: GatewayParts) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        exchange = begin_exchange(scope)

        async def answer(message: Message) -> None:
            if message["type"] == "websocket.accept":
                exchange.status = 101
            if message["type"] == "websocket.close" and exchange.refusal is not None and exchange.status != 101:
                await _refuse_socket(scope, exchange, send)
                return
            if message["type"] == "http.response.start":
                exchange.status = int(message["status"])
                message["headers"] = add_headers(list(message.get("headers", ())), exchange)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=exchange.request_id):
            try:
                await self._app(scope, receive, answer)
            except Exception as err:  # noqa: BLE001 - the edge: whatever it is becomes a 500 and a line in the log
                await self._fail(scope, exchange, err, answer)
            finally:
                self._note(scope, exchange)

    async def _fail(self, scope: Scope, exchange: Exchange, err: Exception, answer: Send) -> None:
        log.error("request_failed", path=scope["path"], exc_info=err)
        if scope["type"] != "http" or exchange.status:
            return
        problem = make_problem("internal-error", "the log has it under this request's id")
        problem = msgspec.structs.replace(problem, instance=f"urn:jetmill:request:{exchange.request_id}")
        body = msgspec.json.encode(problem)
        headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await answer({"type": "http.response.start", "status": 500, "headers": headers})
        await answer({"type": "http.response.body", "body": body})

    def _note(self, scope: Scope, exchange: Exchange) -> None:
        if scope["type"] != "http":
            return
        seconds = time.monotonic() - exchange.began
        route = scope.get("path_template") or "(none)"
        self._parts.metrics.count(
            route=route, method=_name_method(scope["method"]), status=exchange.status, seconds=seconds
        )
        if scope["path"] not in _QUIET:
            log.info(
                "request_served",
                method=scope["method"],
                path=scope["path"],
                status=exchange.status,
                seconds=round(seconds, 4),
                user=exchange.user,
            )
        if scope["method"] not in SAFE_METHODS and exchange.right is not None:
            _audit(scope, exchange)


async def _refuse_socket(scope: Scope, exchange: Exchange, send: Send) -> None:
    """Answer a handshake as any other request is answered, where the server can: with a problem."""
    assert exchange.refusal is not None
    body, extra = exchange.refusal
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 4500})
        return
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in extra.items()]
    headers = add_headers(headers, exchange)
    await send({"type": "websocket.http.response.start", "status": exchange.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


def add_headers(headers: list[tuple[bytes, bytes]], exchange: Exchange) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with those that every answer has; what a handler set stays."""
    present = {name.lower() for name, _ in headers}
    headers += [(name, value) for name, value in SECURITY if name not in present]
    headers.append((b"x-request-id", exchange.request_id.encode()))
    allowance = exchange.allowance
    if allowance is not None:
        headers += [
            (b"ratelimit-limit", str(allowance.limit).encode()),
            (b"ratelimit-remaining", str(allowance.remaining).encode()),
            (b"ratelimit-reset", str(allowance.reset_seconds).encode()),
        ]
    return headers


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _name_method(method: str) -> str:
    """A label that no client can make more of."""
    return method if method in _METHODS else "other"


def _audit(scope: Scope, exchange: Exchange) -> None:
    client = scope.get("client")
    permit = exchange.permit
    note_audit(
        user=exchange.user,
        right=str(exchange.right),
        namespace="" if permit is None else permit.namespace,
        decision=exchange.decision or ("denied" if exchange.status in (401, 403, 404, 429, 503) else "allowed"),
        status=exchange.status,
        request_id=exchange.request_id,
        job_id=exchange.job_id,
        path=scope["path"],
        client=client[0] if client else "",
    )
