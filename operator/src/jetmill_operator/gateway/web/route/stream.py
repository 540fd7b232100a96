"""Live streams: a websocket, the same as server-sent events, and messages to those who listen.

Whoever is somebody may open one; what he gets is asked topic by topic. `docs/streams.md` says what goes over the wire.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Annotated, Any, cast

import msgspec
import structlog
from litestar import MediaType, Request, Response, WebSocket, get, post, websocket
from litestar.params import HeaderParameter, JSONBody, QueryParameter
from litestar.response import Stream

from jetmill.errors import InputError
from jetmill.protocol.letter import encode_letter
from jetmill.protocol.name import is_label
from jetmill_operator.gateway.access.right import SELF, SPEAK
from jetmill_operator.gateway.stream.backplane import Backplane, FullError
from jetmill_operator.gateway.stream.frame import Frame, Subscribe
from jetmill_operator.gateway.stream.outbox import Gap
from jetmill_operator.gateway.stream.pump import run_socket
from jetmill_operator.gateway.stream.session import Session
from jetmill_operator.gateway.stream.sse import MAX_TOPICS, EventStream, parse_cursors
from jetmill_operator.gateway.web.body import In
from jetmill_operator.gateway.web.credential import read_credentials
from jetmill_operator.gateway.web.exchange import exchange_of
from jetmill_operator.gateway.web.guard import STREAM, caller_of
from jetmill_operator.gateway.web.parts import parts_of
from jetmill_operator.gateway.web.problem import Fault, ProblemError
from jetmill_operator.gateway.web.route.job import NamespaceQuery
from jetmill_operator.gateway.web.served import served_for
from jetmill_operator.gateway.web.socket import EVENTS_PATH, WIRE, StreamProtocol
from jetmill_operator.gateway.web.watcher import Watcher

PATH = "/api/v1/stream"
PROTOCOL = "jetmill.v1"
OPT = {"right": SELF, STREAM: True}
TAGS = ["streams"]
_FULL = 1013
Asked = Request[Any, Any, Any]
_PROBLEMS = {
    "forbidden": "forbidden",
    "bad-topic": "invalid-parameter",
    "too-many-subscriptions": "invalid-parameter",
    "unknown-namespace": "namespace-not-served",
    "unavailable": "bus-unavailable",
}
log = structlog.get_logger(__name__)


class LitestarSocket:
    """The port `Socket`: what comes in comes through Litestar, what goes out goes to the wire."""

    def __init__(self, socket: WebSocket[Any, Any, Any]) -> None:
        self._socket = socket
        self._protocol: StreamProtocol = cast("Any", socket.scope)["extensions"][WIRE]

    async def send(self, frame: Frame | Gap) -> None:
        """See the port."""
        await self._protocol.send_wire(frame.wire)

    def push(self, frame: Frame) -> bool:
        """See the port."""
        return self._protocol.push(frame.wire)

    async def receive(self) -> str | bytes | None:
        """See the port."""
        message = await self._socket.receive()
        if message["type"] != "websocket.receive":
            return None
        text: str | bytes | None = message.get("text")
        return text if text is not None else message.get("bytes") or b""

    async def close(self, code: int, reason: str) -> None:
        """See the port."""
        await self._socket.close(code=code, reason=reason)


@websocket(PATH, opt=OPT)
async def stream_socket(socket: WebSocket[Any, Any, Any]) -> None:
    """Serve one client until either side ends it."""
    backplane = backplane_of(socket)
    offered = socket.headers.get("sec-websocket-protocol", "")
    chosen = PROTOCOL if PROTOCOL in [part.strip() for part in offered.split(",")] else None
    await socket.accept(subprotocols=chosen)
    try:
        session = open_session(socket, socket.query_params.get("namespace"))
    except (FullError, ProblemError) as err:
        await socket.close(code=_FULL if isinstance(err, FullError) else 4400, reason=str(err))
        return
    try:
        await run_socket(session, LitestarSocket(socket))
    finally:
        backplane.end_session(session)
        note_end(socket, session)


@get(EVENTS_PATH, opt=OPT, tags=TAGS, summary="Topics as server-sent events", media_type="text/event-stream")
async def stream_sse(
    request: Asked,
    topic: Annotated[list[str], QueryParameter(description="What to watch; several times", min_items=1)],
    namespace: NamespaceQuery = None,
    after: Annotated[int | None, QueryParameter(description="Begin after this sequence", ge=0, le=2**53)] = None,
    snapshot: Annotated[bool, QueryParameter(description="Give how things stand first")] = False,  # noqa: FBT002
    last_event_id: Annotated[str, HeaderParameter(name="Last-Event-ID", description="Where to go on")] = "",
) -> Stream:
    """`Last-Event-ID` goes on where a stream of the same topics stopped, at any gateway; an event `end` says why."""
    if len(topic) > MAX_TOPICS:
        raise _fault("topic", f"topic: at most {MAX_TOPICS}")
    try:
        cursors = parse_cursors(last_event_id, count=len(topic))
    except InputError as err:
        raise _fault("Last-Event-ID", err.message, cure=err.cure) from err
    wanted = [
        Subscribe(topic=one, after=after if cursor is None else cursor, snapshot=snapshot and cursor is None)
        for one, cursor in zip(topic, cursors, strict=True)
    ]
    try:
        session = open_session(request, namespace)
    except FullError as err:
        raise ProblemError("bus-unavailable", err.message, cure=err.cure, headers={"Retry-After": "2"}) from err
    events = EventStream(session, wanted)
    try:
        refusal = await events.begin()
    except BaseException:
        backplane_of(request).end_session(session)
        raise
    if refusal is not None:
        backplane_of(request).end_session(session)
        raise _explain(refusal)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(_serve(request, session, events), media_type="text/event-stream", headers=headers)


async def _serve(request: Asked, session: Session, events: EventStream) -> AsyncIterator[bytes]:
    try:
        async for message in events.messages():
            yield message
    finally:
        backplane_of(request).end_session(session)
        note_end(request, session)


class Message(In, frozen=True, kw_only=True):
    """What to say, and to whom: a topic, or one user."""

    message: Any
    topic: str | None = None
    user: str | None = None


@post(
    f"{PATH}/messages", opt={"right": SPEAK}, tags=TAGS, summary="Send a message to those who listen", status_code=202
)
async def send_message(request: Asked, data: JSONBody[Message], namespace: NamespaceQuery = None) -> Response[None]:  # noqa: ARG001
    """To everyone who listens to a topic, or to every screen of one user, at any gateway. Nothing is kept."""
    if (data.topic is None) == (data.user is None):
        raise InputError("a message wants a topic or a user", field="topic", cure="give one of them")
    bus = served_for(request).bus
    by = caller_of(request).identity.name
    letter = encode_letter(data.message, by=by, time=bus.link.now(), random_bits=random.getrandbits(80))
    if data.topic is not None:
        bus.messages.broadcast(data.topic, letter)
    elif data.user is not None:
        bus.messages.send_to_user(data.user, letter)
    return Response(None, status_code=202, media_type=MediaType.JSON)


def backplane_of(connection: Any) -> Backplane:
    """The streams of the gateway that a connection came to."""
    return parts_of(connection).backplane


def open_session(connection: Any, namespace: str | None) -> Session:
    """Begin a session for whoever asks; FullError, ProblemError."""
    parts, caller = parts_of(connection), caller_of(connection)
    watcher = Watcher(caller, read_credentials(connection, is_stream=True), parts)
    named = namespace or parts.namespaces.default
    if not is_label(named):
        raise _fault("namespace", f"{named!r:.80} is no namespace")
    return parts.backplane.open_session(watcher, namespace=named)


def note_end(connection: Any, session: Session) -> None:
    """Log what became of a stream."""
    outbox = session.outbox
    log.info(
        "stream_ended",
        user=exchange_of(connection.scope).user,
        code=outbox.code,
        reason=outbox.reason,
        delivered=outbox.delivered,
        dropped=outbox.dropped,
    )


class _Refusal(msgspec.Struct):
    code: str
    detail: str


def _explain(refusal: str) -> ProblemError:
    said = msgspec.json.decode(refusal, type=_Refusal)
    slug = _PROBLEMS.get(said.code, "bus-unavailable")
    faults = (Fault(detail=said.detail, parameter="topic"),) if slug == "invalid-parameter" else ()
    return ProblemError(slug, said.detail, faults=faults)


def _fault(parameter: str, detail: str, *, cure: str = "") -> ProblemError:
    return ProblemError("invalid-parameter", detail, cure=cure, faults=(Fault(detail=detail, parameter=parameter),))


HANDLERS = [stream_socket, stream_sse, send_message]
