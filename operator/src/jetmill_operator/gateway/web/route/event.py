"""The bus: publish, read again and search, and look after the events that subscriptions gave up."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from jetmill.client.desk import EventKeywords, make_event
from jetmill.errors import InputError, InvalidNameError, NotFoundError
from jetmill.protocol.event import EventPattern, encode_event, parse_pattern
from jetmill.protocol.name import parse_subscription
from jetmill_operator.dispatch.expression import MAX_CHARACTERS, Expression, ExpressionError, compile_expression
from jetmill_operator.gateway.access.right import PUBLISH, READ_EVENTS, RESOLVE, SUBSCRIPTIONS, UNSUBSCRIBE
from jetmill_operator.gateway.web.event import (
    DeadEventBody,
    DeadEventsBody,
    EventBody,
    EventsBody,
    PublishedBody,
    PublishEvent,
    Search,
    SubscriptionBody,
    SubscriptionsBody,
    build_event_body,
    search_events,
)
from jetmill_operator.gateway.web.filter import micros_of, refuse
from jetmill_operator.gateway.web.guard import caller_of
from jetmill_operator.gateway.web.problem import ProblemError
from jetmill_operator.gateway.web.route.job import NamespaceQuery
from jetmill_operator.gateway.web.route.listing import MAX_LIMIT, MAX_SEQ
from jetmill_operator.gateway.web.served import Served, served_for

PATH = "/api/v1/events"
SUBSCRIPTION_PATH = "/api/v1/subscriptions"
TAGS = ["events"]
RESERVED_TYPES = ("job.", "worker.", "schedule.", "webhook.")
"""What Jetmill itself tells: nobody else says that a job has succeeded."""
RESERVED_SOURCE = "/jetmill/"
MAX_PATTERNS = 20
Asked = Request[Any, Any, Any]


@post(PATH, opt={"right": PUBLISH}, tags=TAGS, summary="Publish an event")
async def publish_event(
    request: Asked,
    data: JSONBody[PublishEvent],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> PublishedBody:
    """Stored once this returns. The event says who published it (`user`), whatever the body says."""
    _check_own(data)
    served = served_for(request)
    bus = served.bus
    given = EventKeywords(
        id=data.id,
        source=data.source,
        subject=data.subject,
        time=data.time,
        user=caller_of(request).identity.name,
        extensions=data.extensions,
    )
    event = make_event(data.type, data.data, given, namespace=served.namespace, now=bus.link.now())
    seq = await bus.events.publish(event.type, encode_event(event), event_id=event.id)
    return PublishedBody(id=event.id, type=event.type, seq=seq)


def _check_own(data: PublishEvent) -> None:
    if f"{data.type}.".startswith(RESERVED_TYPES):
        raise InputError(f"type: {data.type!r:.80} is what Jetmill tells", field="type", cure="choose another type")
    if data.source is not None and data.source.startswith(RESERVED_SOURCE):
        raise InputError(f"source: {RESERVED_SOURCE}… is Jetmill's own", field="source", cure="choose another source")


@get(PATH, opt={"right": READ_EVENTS}, tags=TAGS, summary="Events that are kept")
async def list_events(  # noqa: PLR0913, PLR0917 - a search has as many filters as it has
    request: Asked,
    namespace: NamespaceQuery = None,  # noqa: ARG001
    types: Annotated[
        list[str] | None,
        QueryParameter(name="type", description="A type, `doc.*` for all below, or `*`; several are alternatives"),
    ] = None,
    subject: Annotated[str | None, QueryParameter(description="What it is about", max_length=1_024)] = None,
    source: Annotated[str | None, QueryParameter(description="Where it is from", max_length=1_024)] = None,
    user: Annotated[str | None, QueryParameter(description="Who caused it", max_length=1_024)] = None,
    text: Annotated[
        str | None,
        QueryParameter(description="Text somewhere in it, whatever the case", min_length=1, max_length=256),
    ] = None,
    expression: Annotated[
        str | None,
        QueryParameter(name="filter", description="A CEL expression over `event`", max_length=MAX_CHARACTERS),
    ] = None,
    since: Annotated[datetime | None, QueryParameter(description="Stored then or later (RFC 3339)")] = None,
    until: Annotated[datetime | None, QueryParameter(description="Stored before that")] = None,
    sort: Annotated[Literal["time", "-time"], QueryParameter(description="`-`: the newest first")] = "-time",
    limit: Annotated[int, QueryParameter(description="At most so many", ge=1, le=MAX_LIMIT)] = 50,
    cursor: Annotated[
        int | None, QueryParameter(description="`nextCursor` of the page before, or a sequence", ge=1, le=MAX_SEQ)
    ] = None,
) -> EventsBody:
    """All filters hold at once. One request looks at 10,000 events at most: follow `nextCursor` until there is none."""
    bus = served_for(request).bus
    wanted = Search(
        patterns=_read_patterns(types),
        subject=subject,
        source=source,
        user=user,
        text=text,
        expression=_read_expression(expression),
    )
    first, last = 1, await bus.events.last_seq()
    since_us, until_us = micros_of(since, "since"), micros_of(until, "until")
    if since_us is not None:
        first = await bus.events.seq_at(since_us)
    if until_us is not None:
        last = min(last, await bus.events.seq_at(until_us) - 1)
    newest = sort == "-time"
    if cursor is not None:
        first, last = (first, min(last, cursor)) if newest else (max(first, cursor), last)
    found = await search_events(bus, wanted, first=first, last=last, limit=limit, newest=newest)
    return EventsBody(items=found.items, next_cursor=None if found.next_seq is None else str(found.next_seq))


@get(f"{PATH}/{{seq:str}}", opt={"right": READ_EVENTS}, tags=TAGS, summary="One event")
async def get_event(request: Asked, seq: FromPath[str], namespace: NamespaceQuery = None) -> EventBody:  # noqa: ARG001
    """By its sequence on the bus."""
    number = int(seq) if seq.isdecimal() and len(seq) <= len(str(MAX_SEQ)) else 0
    found = await served_for(request).bus.events.read(start=number, limit=1) if number else []
    if not found or found[0].seq != number:
        raise ProblemError("not-found", f"there is no event {seq[:40]}", cure="it may be older than events are kept")
    return build_event_body(found[0])


def _read_patterns(types: list[str] | None) -> tuple[EventPattern, ...]:
    named = types or []
    if len(named) > MAX_PATTERNS:
        raise refuse("type", f"{len(named)} types are more than {MAX_PATTERNS}")
    try:
        return tuple(parse_pattern(text, field="type") for text in named)
    except InvalidNameError as err:
        raise refuse("type", err.message) from err


def _read_expression(text: str | None) -> Expression | None:
    try:
        return None if text is None else compile_expression(text)
    except ExpressionError as err:
        raise refuse("filter", f"{err.position}: {err.reason}") from err


# --- subscriptions


@get(SUBSCRIPTION_PATH, opt={"right": SUBSCRIPTIONS}, tags=TAGS, summary="The durable subscriptions")
async def list_subscriptions(request: Asked, namespace: NamespaceQuery = None) -> SubscriptionsBody:  # noqa: ARG001
    """And how far each is."""
    found = await served_for(request).bus.subscriptions.all()
    return SubscriptionsBody(
        items=[
            SubscriptionBody(name=one.name, patterns=list(one.patterns), waiting=one.waiting, in_hand=one.in_hand)
            for one in found
        ]
    )


@delete(f"{SUBSCRIPTION_PATH}/{{name:str}}", opt={"right": UNSUBSCRIBE}, tags=TAGS, summary="Remove a subscription")
async def remove_subscription(request: Asked, name: FromPath[str], namespace: NamespaceQuery = None) -> None:  # noqa: ARG001
    """With the events that it gave up. A program that still subscribes makes it again."""
    await served_for(request).bus.subscriptions.remove(_read_name(name))


@get(f"{PATH}/dead", opt={"right": SUBSCRIPTIONS}, tags=TAGS, summary="Events that subscriptions gave up")
async def list_dead_events(
    request: Asked,
    namespace: NamespaceQuery = None,  # noqa: ARG001
    subscription: Annotated[str | None, QueryParameter(description="Of this one alone", max_length=63)] = None,
    limit: Annotated[int, QueryParameter(description="At most so many", ge=1, le=MAX_LIMIT)] = 50,
) -> DeadEventsBody:
    """Oldest first, each with its last error."""
    name = None if subscription is None else _read_name(subscription)
    found = await served_for(request).reader.events.dead(name, limit=limit)
    return DeadEventsBody(
        items=[
            DeadEventBody(
                subscription=one.subscription,
                seq=one.seq,
                time=one.time,
                attempts=one.attempts,
                error={"type": one.error.type, "message": one.error.message},
                event=one.event,
            )
            for one in found
        ]
    )


class Resolve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which event, and what is to become of it."""

    subscription: str
    seq: int
    action: Literal["retry", "discard"]


@post(f"{PATH}/dead", opt={"right": RESOLVE}, tags=TAGS, summary="Try a dead event again, or give it up")
async def resolve_dead_event(
    request: Asked,
    data: JSONBody[Resolve],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> Response[None]:
    """`retry`: its subscription gets it once more, from attempt 1. `discard`: it is gone."""
    served = served_for(request)
    name = parse_subscription(data.subscription)
    try:
        await _resolve(served, name, data)
    except NotFoundError as err:
        raise ProblemError("not-found", err.message, cure="somebody else may have been first") from err
    return Response(None, status_code=204)


async def _resolve(served: Served, name: str, data: Resolve) -> None:
    if data.action == "retry":
        await served.reader.events.retry(name, data.seq)
    else:
        await served.reader.events.discard(name, data.seq)


def _read_name(text: str) -> str:
    try:
        return parse_subscription(text)
    except InvalidNameError as err:
        raise refuse("subscription", err.message) from err


HANDLERS = [
    publish_event,
    list_events,
    get_event,
    list_subscriptions,
    remove_subscription,
    list_dead_events,
    resolve_dead_event,
]
