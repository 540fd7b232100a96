"""Server-sent events: the same frames over plain HTTP, one way, for curl, proxies and `EventSource`.

A client says its topics in the address and cannot change them. The `id` of each message holds the cursor of every
topic, in the order of the address (`117,-,40`; `-` where there is none), and comes back as `Last-Event-ID`, so that a
reconnect goes on where it stopped, at any gateway.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from jetmill.errors import InputError
from jetmill_operator.gateway.stream.frame import Frame, Key, Subscribe, build_answer
from jetmill_operator.gateway.stream.outbox import Gap
from jetmill_operator.gateway.stream.session import Session
from jetmill_operator.gateway.stream.topic import LEDGER, Kind, parse_topic

MAX_TOPICS = 20
_RETRY_MILLISECONDS = 1_000
_NONE = "-"


class _Heartbeat(msgspec.Struct):
    cursors: dict[str, dict[str, int]]


_heartbeat = msgspec.json.Decoder(_Heartbeat)


def parse_cursors(text: str, *, count: int) -> list[int | None]:
    """Read an `id`; InputError if it belongs to other topics, or is nothing of ours."""
    parts = text.split(",") if text else [_NONE] * count
    if len(parts) != count:
        cure = "resume with the topics of the first request, in their order"
        raise InputError(f"Last-Event-ID: {len(parts)} cursors for {count} topics", field="Last-Event-ID", cure=cure)
    return [None if part == _NONE else _parse_seq(part) for part in parts]


def _parse_seq(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise InputError(
            f"Last-Event-ID: {text!r:.40} is no sequence", field="Last-Event-ID", cure="send it as it came"
        )
    return int(text)


class EventStream:
    """A session as server-sent events."""

    def __init__(self, session: Session, subscriptions: Sequence[Subscribe]) -> None:
        self._session = session
        self._subscriptions = subscriptions
        self._places: dict[Key, int] = {}
        self._cursors = [one.after for one in subscriptions]

    async def begin(self) -> str | None:
        """Subscribe; the first refusal, a frame of type `error`, if there is one."""
        for place, one in enumerate(self._subscriptions):
            key = await self._session.subscribe(one)
            if key is None:
                return await self._find_error()
            if key in self._places:
                return build_answer("error", key=key, code="bad-topic", detail=f"{key.topic} was given twice").text
            self._places[key] = place
        return None

    async def _find_error(self) -> str:
        while (frame := await self._session.outbox.take()) is not None:
            if _kind_of(frame.text) == "error":
                return frame.text
        return build_answer("error", code="unavailable", detail=self._session.outbox.reason).text

    async def messages(self) -> AsyncIterator[bytes]:
        """What goes over the wire, until either side ends it; the last message says why, if we do."""
        yield f"retry: {_RETRY_MILLISECONDS}\n\n".encode()
        outbox = self._session.outbox
        while (frame := await outbox.take()) is not None:
            kind = _kind_of(frame.text)
            self._move(frame, kind)
            yield f"id: {self._id}\nevent: {kind}\ndata: {frame.text}\n\n".encode()
        end = build_answer("end", code=outbox.code, detail=outbox.reason)
        yield f"event: end\ndata: {end.text}\n\n".encode()

    @property
    def _id(self) -> str:
        return ",".join(_NONE if one is None else str(one) for one in self._cursors)

    def _move(self, frame: Frame | Gap, kind: str) -> None:
        """Move the cursors to what is told with this frame."""
        if kind == "heartbeat":
            told = _heartbeat.decode(frame.text).cursors
            for key, place in self._places.items():
                feed = _feed_of(key)
                self._cursors[place] = told.get(key.namespace, {}).get(feed, self._cursors[place])
        elif frame.key in self._places and frame.seq is not None:
            self._cursors[self._places[frame.key]] = frame.seq


def _feed_of(key: Key) -> str:
    kind = parse_topic(key.topic).kind
    if kind in LEDGER:
        return "ledger"
    return "events" if kind is Kind.EVENT else ""


def _kind_of(text: str) -> str:
    """The type of a frame: its first member, always."""
    return text[9 : text.index('"', 9)]
