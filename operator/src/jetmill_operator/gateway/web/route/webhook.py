"""Webhooks: how their receivers fare, what was sent to them and answered, and what a person does about it.

What is declared is under `/declarations/webhooks`; this is what became of it. A delivery is shown as it was sent, its
signature with it, for a receiver's developer has to see what to verify; the secret is nowhere to be shown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from jetmill.client.client import Client
from jetmill.client.status import time_of
from jetmill.errors import NotFoundError
from jetmill.protocol.delivery import AttemptLog, EndpointState
from jetmill.protocol.name import DELIVERIES as PREFIX
from jetmill.protocol.name import name_deliveries
from jetmill.protocol.record import JobSettings, WebhookSettings
from jetmill.protocol.state import State
from jetmill_operator.dispatch.event import EVENT_LABEL
from jetmill_operator.dispatch.history import (
    Delivery,
    enable_webhook,
    list_webhooks,
    read_delivery,
    read_state,
    read_webhook,
    recover,
    redeliver,
    send_test,
)
from jetmill_operator.gateway.access.right import DELIVERIES, ENABLE, HOOKS, RECOVER, REDELIVER, TEST
from jetmill_operator.gateway.projection import JobFilter
from jetmill_operator.gateway.web.body import In, Out
from jetmill_operator.gateway.web.filter import refusing_parameters
from jetmill_operator.gateway.web.guard import caller_of
from jetmill_operator.gateway.web.problem import ProblemError
from jetmill_operator.gateway.web.projecting import lag_headers, projection_of
from jetmill_operator.gateway.web.route.job import NamespaceQuery
from jetmill_operator.gateway.web.served import Served, served_for
from jetmill_operator.policy.endpoint import Phase, find_phase

PATH = "/api/v1/webhooks"
TAGS = ["webhooks"]
MAX_LIMIT = 200
Asked = Request[Any, Any, Any]


class LastBody(Out, frozen=True, kw_only=True):
    """The attempt that ended last."""

    id: str
    time: datetime
    delivered: bool
    status: int | None = None
    error: str | None = None


class WebhookBody(Out, frozen=True, kw_only=True):
    """A Webhook and how its receiver fares."""

    name: str
    events: list[str]
    url: str
    method: str
    signed: bool = False
    """With a secret, which is shown nowhere."""
    signature: str = "standard"
    suspended: bool = False
    circuit: Phase = Phase.CLOSED
    """closed: all is sent; open: nothing for now; half-open: one request at a time; disabled: nothing."""
    disabled: Literal["gone", "failing"] | None = None
    """Why nothing is sent any more."""
    failing_since: datetime | None = None
    delivered: int = 0
    """Attempts of the last 24 hours that its receiver took."""
    failed: int = 0
    """And those that it did not."""
    filter_errors: int = 0
    """Events that its filter could not judge."""
    last: LastBody | None = None


class WebhooksBody(msgspec.Struct, frozen=True, kw_only=True):
    """All of a namespace, by name."""

    items: list[WebhookBody]


class AttemptBody(Out, frozen=True, kw_only=True):
    """One request and its answer."""

    time: datetime
    method: str
    url: str
    request_headers: dict[str, str]
    status: int | None = None
    latency_seconds: float
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: str = ""
    """The first 4 KiB."""
    truncated: bool = False
    error: str | None = None


class DeliveryBody(Out, frozen=True, kw_only=True):
    """One delivery with its attempts, oldest first."""

    id: str
    webhook: str
    state: State
    reason: str | None = None
    attempt: int
    time: datetime
    due: datetime | None = None
    """When the next attempt is."""
    event_id: str | None = None
    event_type: str | None = None
    event_source: str | None = None
    event_subject: str | None = None
    body: str | None = None
    """The event, byte for byte as it is sent and signed."""
    attempts: list[AttemptBody] = msgspec.field(default_factory=list)


class DeliveryRow(Out, frozen=True, kw_only=True):
    """A delivery in a list."""

    id: str
    state: State
    reason: str | None = None
    event_type: str | None = None
    attempt: int
    created: datetime
    updated: datetime
    due: datetime | None = None
    error: str | None = None


class DeliveriesBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A page, the newest first."""

    items: list[DeliveryRow]
    next_cursor: str | None = None


class Recover(In, frozen=True, kw_only=True):
    """A stretch of time."""

    since: Annotated[datetime, msgspec.Meta(tz=True)]
    until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """Now, if not given."""


class RecoveredBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a recovery found and did."""

    events: int
    created: int
    reopened: int
    left: int


class SentBody(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that is on its way."""

    id: str


class EnabledBody(msgspec.Struct, frozen=True, kw_only=True):
    """Whether something was changed."""

    changed: bool


@get(PATH, opt={"right": HOOKS}, tags=TAGS, summary="Webhooks, and how their receivers fare")
async def list_hooks(request: Asked, namespace: NamespaceQuery = None) -> WebhooksBody:  # noqa: ARG001
    """By name, as the dispatchers saw them a few seconds ago."""
    served = served_for(request)
    try:
        found = await list_webhooks(served.bus)
    except NotFoundError:
        found = []
    now = served.bus.link.now()
    items = [build_webhook(one, one.webhook, state, now) for one, state in found if one.webhook is not None]
    return WebhooksBody(items=items)


@get(f"{PATH}/{{name:str}}", opt={"right": DELIVERIES}, tags=TAGS, summary="How the receiver of a Webhook fares")
async def get_hook(request: Asked, name: FromPath[str], namespace: NamespaceQuery = None) -> WebhookBody:  # noqa: ARG001
    """As the dispatchers saw it a few seconds ago."""
    served = served_for(request)
    with _translating():
        settings, webhook = await read_webhook(served.bus, name)
        state = await read_state(served.bus, settings)
    return build_webhook(settings, webhook, state, served.bus.link.now())


@get(f"{PATH}/{{name:str}}/deliveries", opt={"right": DELIVERIES}, tags=TAGS, summary="The deliveries of a Webhook")
async def list_deliveries(
    request: Asked,
    name: FromPath[str],
    namespace: NamespaceQuery = None,  # noqa: ARG001
    in_state: Annotated[
        State | None, QueryParameter(name="state", description="Only those in a state; failed: dead letters")
    ] = None,
    limit: Annotated[int, QueryParameter(description="At most so many", ge=1, le=MAX_LIMIT)] = 50,
    cursor: Annotated[str | None, QueryParameter(description="`nextCursor` of the page before")] = None,
) -> Response[DeliveriesBody]:
    """The newest first."""
    served, projection = served_for(request), projection_of(request)
    states = frozenset() if in_state is None else frozenset({in_state})
    wanted = JobFilter(namespace=served.namespace, job=(name_deliveries(name),), state=states)
    with refusing_parameters():
        page = await projection.list(wanted, limit=limit, cursor=cursor)
    rows = [
        DeliveryRow(
            id=row.id,
            state=State(row.state),
            reason=row.reason,
            event_type=row.labels.get(EVENT_LABEL),
            attempt=row.attempt,
            created=time_of(row.created),
            updated=time_of(row.updated),
            due=None if row.due is None else time_of(row.due),
            error=row.error_message,
        )
        for row in page.items
    ]
    body = DeliveriesBody(items=rows, next_cursor=page.next_cursor)
    return Response(body, headers=lag_headers(projection, served.namespace))


@get(f"{PATH}/{{name:str}}/deliveries/{{delivery:str}}", opt={"right": DELIVERIES}, tags=TAGS, summary="One delivery")
async def get_delivery(
    request: Asked,
    name: FromPath[str],
    delivery: FromPath[str],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> DeliveryBody:
    """With its event and every attempt: the signed request, and what was answered."""
    with _translating():
        return build_delivery(await read_delivery(served_for(request).bus, delivery, webhook=name))


@post(
    f"{PATH}/{{name:str}}/deliveries/{{delivery:str}}/redeliver",
    opt={"right": REDELIVER},
    tags=TAGS,
    summary="Send a delivery once more",
    status_code=202,
)
async def redeliver_one(
    request: Asked,
    name: FromPath[str],
    delivery: FromPath[str],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> SentBody:
    """Under the same id; 409 while it is under way."""
    with _translating():
        await redeliver(_client_of(request, served_for(request)), delivery, webhook=name)
    return SentBody(id=delivery)


@post(f"{PATH}/{{name:str}}/test", opt={"right": TEST}, tags=TAGS, summary="Send a test event", status_code=202)
async def send_test_event(request: Asked, name: FromPath[str], namespace: NamespaceQuery = None) -> SentBody:  # noqa: ARG001
    """Of type `webhook.test`, to this Webhook alone, whatever it subscribes to."""
    with _translating():
        return SentBody(id=await send_test(_client_of(request, served_for(request)), name))


@post(
    f"{PATH}/{{name:str}}/recover",
    opt={"right": RECOVER},
    tags=TAGS,
    summary="Send a stretch of time again",
    status_code=200,
)
async def recover_events(
    request: Asked,
    name: FromPath[str],
    data: JSONBody[Recover],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> Response[RecoveredBody]:
    """Events that have no delivery get one, deliveries that failed are sent again, the others are left: nothing that
    was delivered is sent twice.
    """
    client = _client_of(request, served_for(request))
    with _translating():
        found = await recover(client, name, since=data.since, until=data.until)
    body = RecoveredBody(events=found.events, created=found.created, reopened=found.reopened, left=found.left)
    return Response(body, status_code=200)


@post(
    f"{PATH}/{{name:str}}/enable", opt={"right": ENABLE}, tags=TAGS, summary="Send again to a Webhook", status_code=200
)
async def enable_hook(
    request: Asked,
    name: FromPath[str],
    namespace: NamespaceQuery = None,  # noqa: ARG001
) -> Response[EnabledBody]:
    """That was disabled, or whose circuit is open; idempotent."""
    with _translating():
        changed = await enable_webhook(served_for(request).bus, name)
    return Response(EnabledBody(changed=changed), status_code=200)


def build_webhook(
    settings: JobSettings, webhook: WebhookSettings, state: EndpointState | None, now: int
) -> WebhookBody:
    """A Webhook as it goes over the wire. Pure."""
    shown = WebhookBody(
        name=settings.job.removeprefix(PREFIX),
        events=webhook.events,
        url=webhook.url,
        method=webhook.method,
        signed=webhook.secret is not None,
        signature=webhook.signature,
        suspended=settings.suspend,
    )
    if state is None:
        return shown
    last = state.last
    return msgspec.structs.replace(
        shown,
        circuit=find_phase(state, now),
        disabled=state.disabled,
        failing_since=None if state.failing_since is None else time_of(state.failing_since),
        delivered=sum(one.delivered for one in state.hours),
        failed=sum(one.failed for one in state.hours),
        filter_errors=state.filter_errors,
        last=None
        if last is None
        else LastBody(
            id=last.id, time=time_of(last.time), delivered=last.delivered, status=last.status, error=last.error
        ),
    )


def build_delivery(delivery: Delivery) -> DeliveryBody:
    """A delivery as it goes over the wire. Pure."""
    event = delivery.event
    return DeliveryBody(
        id=delivery.id,
        webhook=delivery.webhook,
        state=delivery.state,
        reason=delivery.reason,
        attempt=delivery.attempt,
        time=time_of(delivery.time),
        due=None if delivery.due is None else time_of(delivery.due),
        event_id=event.id if event else None,
        event_type=event.type if event else None,
        event_source=event.source if event else None,
        event_subject=event.subject if event else None,
        body=delivery.body,
        attempts=[_build_attempt(log) for log in delivery.attempts],
    )


def _build_attempt(log: AttemptLog) -> AttemptBody:
    return AttemptBody(
        time=time_of(log.time),
        method=log.method,
        url=log.url,
        request_headers=log.request_headers,
        status=log.status,
        latency_seconds=log.latency_seconds,
        headers=log.headers,
        body=log.body,
        truncated=log.truncated,
        error=log.error,
    )


@contextlib.contextmanager
def _translating() -> Iterator[None]:
    """What is not there is not found; where a namespace has no streams yet, nothing is there."""
    try:
        yield
    except NotFoundError as err:
        raise ProblemError("not-found", err.message, cure=err.cure) from err


def _client_of(request: Asked, served: Served) -> Client:
    """One that acts as whoever asks."""
    return Client(bus=served.bus, by=caller_of(request).identity.name)


HANDLERS = [
    list_hooks,
    get_hook,
    list_deliveries,
    get_delivery,
    redeliver_one,
    send_test_event,
    recover_events,
    enable_hook,
]
