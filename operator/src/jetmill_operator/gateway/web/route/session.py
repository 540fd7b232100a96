"""Who asks and what they may; logging in and out from a browser; tickets for streams."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import structlog
from litestar import Request, Response, delete, get, post
from litestar.datastructures import Cookie
from litestar.params import JSONBody

from jetmill_operator.gateway.access.authenticate import Caller
from jetmill_operator.gateway.access.authorize import Permit
from jetmill_operator.gateway.access.errors import UnauthenticatedError
from jetmill_operator.gateway.access.right import PUBLIC, RIGHTS, SELF, Right
from jetmill_operator.gateway.access.session import Session
from jetmill_operator.gateway.web.body import AccessBody, Login, RightBody, SessionBody, TicketBody
from jetmill_operator.gateway.web.credential import CSRF_COOKIE, SESSION_COOKIE
from jetmill_operator.gateway.web.guard import LOGIN, admit, caller_of, find_namespace
from jetmill_operator.gateway.web.parts import GatewayParts, parts_of
from jetmill_operator.gateway.web.problem import ProblemError
from jetmill_operator.gateway.web.route.job import NamespaceQuery

log = structlog.get_logger(__name__)

Asked = Request[Any, Any, Any]
TAGS = ["access"]
_LONGEST_COOKIE = 4_000
"""Browsers keep 4,096 bytes of one, and drop a longer one without a word."""


@get("/api/v1/access", opt={"right": SELF}, tags=TAGS, summary="Who you are, and what you may")
async def get_access(request: Asked, namespace: NamespaceQuery = None) -> AccessBody:  # noqa: ARG001
    """In one namespace, of any Job; rights that were given for single Jobs are not among them."""
    parts, caller = parts_of(request), caller_of(request)
    where = find_namespace(request, parts)
    asked = [_ask(parts, caller, right, namespace=where) for right in RIGHTS]
    return AccessBody(
        user=caller.identity.name,
        groups=list(caller.identity.groups),
        method=str(caller.method),
        namespace=where,
        rights=list(await asyncio.gather(*asked)),
    )


async def _ask(parts: GatewayParts, caller: Caller, right: Right, *, namespace: str) -> RightBody:
    verdict = await Permit(caller.identity, namespace, right, parts.authorizer).ask()
    return RightBody(verb=right.verb, resource=right.resource, allowed=verdict.allowed, description=RIGHTS[right])


@post("/api/v1/session", opt={"right": PUBLIC, LOGIN: True}, tags=TAGS, summary="Log in from a browser")
async def begin_session(request: Asked, data: JSONBody[Login]) -> Response[SessionBody]:
    """Exchanges a token for a session: two cookies, of which a page can read but one. The token is not kept."""
    parts = parts_of(request)
    if parts.settings.auth == "none":
        raise ProblemError("invalid-input", "nobody has to log in here", cure="this gateway runs with auth=none")
    address = request.client.host if request.client else ""
    try:
        identity = await parts.authenticator.review(data.token, admit=lambda: admit(parts, address))
    except UnauthenticatedError:
        parts.failures.take(address)
        raise
    session, cookie = parts.authenticator.sessions.begin(identity)
    if len(SESSION_COOKIE) + len(cookie) > _LONGEST_COOKIE:
        raise ProblemError("invalid-input", "your groups do not fit into a cookie", cure="use a bearer token")
    csrf = parts.authenticator.sessions.csrf_of(session)
    log.info("session_begun", user=identity.name)
    body = SessionBody(user=identity.name, expires=datetime.fromtimestamp(session.expires, UTC), csrf_token=csrf)
    return Response(body, status_code=201, cookies=_make_cookies(session, cookie, csrf))


@delete("/api/v1/session", opt={"right": SELF}, tags=TAGS, summary="Log out", status_code=204)
async def end_session(request: Asked) -> Response[None]:
    """Idempotent; with a bearer token there is nothing to end."""
    session = caller_of(request).session
    if session is not None:
        parts_of(request).authenticator.sessions.end(session)
        log.info("session_ended", user=session.identity.name)
    return Response(None, status_code=204, cookies=_make_cookies(None, "", ""))


@post("/api/v1/stream/tickets", opt={"right": SELF}, tags=TAGS, summary="A ticket for one stream")
async def issue_ticket(request: Asked) -> Response[TicketBody]:
    """For `?ticket=` where a client can set no header: good once, for 30 seconds. It says who you are; what you may
    watch is asked topic by topic.
    """
    ticket, text = parts_of(request).authenticator.sessions.issue_ticket(caller_of(request).identity)
    body = TicketBody(ticket=text, expires=datetime.fromtimestamp(ticket.expires, UTC))
    return Response(body, status_code=201)


def _make_cookies(session: Session | None, cookie: str, csrf: str) -> list[Cookie]:
    """The session's cookie, which no script reads, and the one that a page has to read and send back."""
    age = 0 if session is None else max(0, int(session.expires - datetime.now(UTC).timestamp()))
    return [
        Cookie(SESSION_COOKIE, value=cookie, max_age=age, path="/", secure=True, httponly=True, samesite="strict"),
        Cookie(CSRF_COOKIE, value=csrf, max_age=age, path="/", secure=True, httponly=False, samesite="strict"),
    ]


HANDLERS = [get_access, begin_session, end_session, issue_ticket]
