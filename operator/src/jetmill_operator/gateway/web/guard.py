"""The one door: every handler declares its right, and this guard asks for it before anything of the request is used.

```
who asks? ─ 401, 503 ─ from a page of ours? ─ 403 ─ how often? ─ 429 ─ may they here? ─ 403, 404 ─ known query? ─ 400
```

A right of one Job is enough where a job is meant: its record says which Job. Whoever may not even see the job is told
what they would be told if there were none.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.typing import FieldDefinition

from jetmill.errors import ConfigError, NotFoundError
from jetmill.protocol.name import is_label
from jetmill_operator.gateway.access.authenticate import Caller, Method
from jetmill_operator.gateway.access.authorize import Permit
from jetmill_operator.gateway.access.errors import DeniedError, HiddenError, UnauthenticatedError
from jetmill_operator.gateway.access.origin import SAFE_METHODS, find_foreign, find_rebound
from jetmill_operator.gateway.access.ports import Question, Verdict
from jetmill_operator.gateway.access.right import READ, Right, Scope
from jetmill_operator.gateway.web.credential import CSRF_COOKIE, CSRF_HEADER, read_credentials, read_source
from jetmill_operator.gateway.web.exchange import Exchange, exchange_of
from jetmill_operator.gateway.web.parts import GatewayParts, parts_of
from jetmill_operator.gateway.web.problem import Fault, ProblemError

STREAM = "stream"
"""`opt` of a handler that takes a token or a ticket in its query."""
LOGIN = "login"
"""`opt` of the handler that begins a session: whoever asks is not known yet, and comes from a page of ours."""

ANY_QUERY = "any-query"
"""`opt` of a handler whose query is read by somebody else: the page's own script."""


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let a request in, or raise."""
    right = right_of(handler)
    if right is None:  # what Litestar adds: OPTIONS, which tells the methods
        return
    exchange = exchange_of(connection.scope)
    exchange.right = right
    parts = parts_of(connection)
    if right.scope is not Scope.NOBODY:
        await _find_caller(connection, handler, parts, exchange)
    if right.scope is not Scope.NOBODY or handler.opt.get(LOGIN):
        _check_source(connection, parts, exchange.caller)
    if exchange.caller is not None:
        _check_rate(parts, exchange)
        if right.scope is not Scope.ANYBODY:
            await _check_right(connection, parts, exchange, right)
    _check_query(connection, handler)


def right_of(handler: BaseRouteHandler) -> Right | None:
    """The right that a handler declares; None: it declares none."""
    right = handler.opt.get("right")
    return right if isinstance(right, Right) else None


def check_handlers(handlers: list[BaseRouteHandler]) -> None:
    """Refuse to start with a handler that declares no right; ConfigError names them."""
    bare = [f"{handler}" for handler in handlers if right_of(handler) is None]
    if bare:
        raise ConfigError(f"handlers without a declared right: {', '.join(bare)}", cure='opt={"right": …}')


def permit_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Permit:
    """What the guard granted."""
    permit = exchange_of(connection.scope).permit
    if permit is None:
        raise AssertionError("the handler asks for a namespace, and its right has none")
    return permit


def caller_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    """Who asks."""
    caller = exchange_of(connection.scope).caller
    if caller is None:
        raise UnauthenticatedError("nobody is logged in", cure="log in")
    return caller


def admit(parts: GatewayParts, address: str) -> None:
    """Refuse to ask the API server for one more token from an address whose tokens were not accepted; those that are
    known, and sessions, still are: many people may come from one address.
    """
    if parts.failures.take(address, cost=0).remaining < 1:
        raise ProblemError(
            "too-many-requests",
            "too many tokens from this address were not accepted",
            headers={"Retry-After": "30"},
        )


async def _find_caller(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler, parts: GatewayParts, exchange: Exchange
) -> None:
    address = connection.client.host if connection.client else ""
    given = read_credentials(connection, is_stream=bool(handler.opt.get(STREAM)))
    try:
        exchange.caller = await parts.authenticator.authenticate(given, admit=lambda: admit(parts, address))
    except UnauthenticatedError:
        if given.bearer:
            parts.failures.take(address)
        raise


def _check_source(connection: ASGIConnection[Any, Any, Any, Any], parts: GatewayParts, caller: Caller | None) -> None:
    """A request by cookie, or to a gateway that asks nobody, has to come from a page of ours."""
    source = read_source(connection)
    is_http = connection.scope["type"] == ScopeType.HTTP
    if parts.settings.auth == "none":
        rebound = find_rebound(source.host)
        if rebound is not None:
            raise ProblemError("foreign-origin", rebound, cure="use localhost or 127.0.0.1")
    if caller is not None and caller.method in (Method.BEARER, Method.TICKET):
        return
    if is_http and connection.scope.get("method") in SAFE_METHODS:
        return
    foreign = find_foreign(source, allowed=parts.settings.origins)
    if foreign is not None:
        raise ProblemError("foreign-origin", foreign, cure="an origin may be added by JETMILL_GATEWAY_ORIGINS")
    if caller is None or caller.session is None or not is_http:
        return
    shown = connection.headers.get(CSRF_HEADER, "")
    if not parts.authenticator.sessions.check_csrf(caller.session, connection.cookies.get(CSRF_COOKIE, ""), shown):
        raise ProblemError(
            "foreign-origin", f"{CSRF_HEADER} does not belong to this session", cure="send what the cookie says"
        )


def _check_rate(parts: GatewayParts, exchange: Exchange) -> None:
    allowance = exchange.allowance = parts.limiter.take(exchange.user)
    if not allowance.allowed:
        raise ProblemError(
            "too-many-requests",
            f"at most {parts.settings.rate_per_second:g} requests a second, {allowance.limit} at once",
            headers={"Retry-After": str(allowance.retry_seconds)},
        )


async def _check_right(
    connection: ASGIConnection[Any, Any, Any, Any], parts: GatewayParts, exchange: Exchange, right: Right
) -> None:
    namespace = find_namespace(connection, parts)

    def note(question: Question, verdict: Verdict) -> None:
        if question.right == right:
            exchange.decision = "allowed" if verdict.allowed else "denied"

    permit = exchange.permit = Permit(exchange.caller.identity, namespace, right, parts.authorizer, note)  # type: ignore[union-attr]
    granted = await permit.open()
    if right.scope is Scope.JOB:
        await _check_job(connection, parts, exchange, granted=granted)
    elif not granted and right.scope is Scope.NAMESPACE:
        raise permit.denial()
    elif not granted and right.scope is Scope.NAME:
        await permit.require(job=str(connection.path_params["name"]))
    if granted:
        parts.namespaces.find(namespace)  # only who may look there hears whether it is served


def find_namespace(connection: ASGIConnection[Any, Any, Any, Any], parts: GatewayParts) -> str:
    """The namespace that a request means; ProblemError if that can be none."""
    namespace = connection.query_params.get("namespace", "") or parts.namespaces.default
    if not is_label(namespace):
        fault = Fault(detail="namespace: no RFC 1123 label", parameter="namespace")
        raise ProblemError("invalid-parameter", f"{namespace!r:.80} is no namespace", faults=(fault,))
    return str(namespace)


async def _check_job(
    connection: ASGIConnection[Any, Any, Any, Any], parts: GatewayParts, exchange: Exchange, *, granted: bool
) -> None:
    """Ask for the right on the Job of the job that is meant, where it does not hold for all."""
    job_id = exchange.job_id = str(connection.path_params["job_id"])
    permit = permit_of(connection)
    if not is_label(job_id):
        raise _hide(job_id)
    if granted:
        return
    served = parts.namespaces.get(permit.namespace)
    job = "" if served is None else await _find_job(served.bus, job_id)
    denied: DeniedError = permit.denial(job=job)
    if job:
        verdict = await permit.ask(job=job)
        if verdict.allowed:
            return
        denied = permit.denial(verdict, job=job)
    sees = permit.right != READ and (
        (await permit.ask(right=READ)).allowed or (bool(job) and (await permit.ask(job=job, right=READ)).allowed)
    )
    raise denied if sees else _hide(job_id)


async def _find_job(bus: Any, job_id: str) -> str:
    try:
        entry = await bus.ledger.read(job_id)
    except NotFoundError:  # the namespace has no ledger yet
        return ""
    return "" if entry is None else str(entry.record.job)


def _hide(job_id: str) -> HiddenError:
    """The very words that a job that is not there is answered with."""
    return HiddenError(f"no job {job_id:.80}", cure="look at its namespace, and whether its retention is over")


def _check_query(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Refuse a parameter that nobody reads: a filter that was mistyped would give a wrong answer, without a word."""
    if not isinstance(handler, HTTPRouteHandler) or handler.opt.get(ANY_QUERY):
        return
    known = known_parameters(handler)
    unknown = sorted(set(connection.query_params.keys()) - known)
    if unknown:
        faults = tuple(Fault(detail="there is no such parameter", parameter=name[:80]) for name in unknown)
        raise ProblemError(
            "invalid-parameter",
            f"no such parameter: {', '.join(name[:80] for name in unknown[:10])}",
            cure=f"known: {', '.join(sorted(known)) or 'none'}",
            faults=faults[:10],
        )
    moments = _moments(handler)
    for name in known:
        values = connection.query_params.getall(name, [])
        if name in moments and not all(":" in value for value in values):  # else a number would pass, as Unix time
            fault = Fault(detail="no time in RFC 3339", parameter=name)
            raise ProblemError("invalid-parameter", f"{name}: no time in RFC 3339", faults=(fault,))
        if len(values) > 1 and name not in _repeatable(handler):
            raise ProblemError(
                "invalid-parameter", f"{name} was given twice", faults=(Fault(detail="given twice", parameter=name),)
            )


def _is_several(field: FieldDefinition) -> bool:
    return any(one.is_non_string_collection for one in (field, *field.inner_types))


def _fields_of(handler: HTTPRouteHandler) -> dict[str, FieldDefinition]:
    """What a handler takes, and what its dependencies take."""
    found = dict(handler.parsed_fn_signature.parameters)
    for provide in handler.resolve_dependencies().values():
        found |= provide.parsed_fn_signature.parameters
    return found


def known_parameters(handler: HTTPRouteHandler) -> frozenset[str]:
    """The names of the query parameters that a handler takes."""
    names = set()
    for name, field in _fields_of(handler).items():
        marker = field.kwarg_definition
        if isinstance(marker, QueryParameter):
            names.add(marker.name or name)
    if handler.opt.get(STREAM):
        names |= {"token", "ticket"}
    return frozenset(names)


def _moments(handler: HTTPRouteHandler) -> frozenset[str]:
    """The names of the query parameters that are times."""
    found = _fields_of(handler).items()
    return frozenset(
        getattr(field.kwarg_definition, "name", None) or name
        for name, field in found
        if any(datetime in (one.annotation, *one.args) for one in (field, *field.inner_types))
    )


def _repeatable(handler: HTTPRouteHandler) -> frozenset[str]:
    found = _fields_of(handler).items()
    return frozenset(
        getattr(field.kwarg_definition, "name", None) or name for name, field in found if _is_several(field)
    )
