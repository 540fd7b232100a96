"""Events as CloudEvents 1.0 in JSON, and the patterns by which one asks for them.

What an application publishes is checked whole before it goes on the bus: the required attributes, those of its own
(`extensions`), its size. What is read may come from anywhere, so it is checked again. The type is also the event's
subject on the bus; it decides who gets it.

A pattern is a type, `doc.*` for everything below `doc` at any depth, or `*` for all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from jetmill.errors import CodecError, InvalidNameError, InvalidPayloadError, PayloadTooLargeError
from jetmill.protocol.codec import decode_value, encode_value
from jetmill.protocol.name import parse_event_type

MAX_EVENT_BYTES = 262_144
"""A whole event, encoded; what is larger belongs into a store, and its address into the event."""
MAX_ATTRIBUTE_CHARACTERS = 1_024
MAX_ID_CHARACTERS = 256
ALL = "*"

_ATTRIBUTES = frozenset(
    {"specversion", "id", "type", "source", "subject", "time", "datacontenttype", "dataschema", "data", "data_base64"}
)
_EXTENSION = re.compile(r"[a-z0-9]{1,20}")
_JSON_TYPE = "application/json"
ExtensionValue = str | int | bool


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `seq` is where it lies on the bus, 0 for one that does not lie there (yet)."""

    id: str
    """Unique together with `source`; who gets the same twice can tell by them."""
    type: str
    source: str
    subject: str | None = None
    """What it is about, within the source: an order's number, a job's id."""
    time: datetime | None = None
    user: str | None = None
    """Who caused it: the extension `user`."""
    data: Any = None
    """JSON's types."""
    dataschema: str | None = None
    extensions: Mapping[str, ExtensionValue] = {}
    """Further attributes, such as `traceparent`."""
    seq: int = 0

    @property
    def document(self) -> dict[str, Any]:
        """The CloudEvent as it is written, and as filters see it."""
        attributes = {
            "specversion": "1.0",
            "id": self.id,
            "type": self.type,
            "source": self.source,
            "subject": self.subject,
            "time": None if self.time is None else write_time(self.time),
            "dataschema": self.dataschema,
            "user": self.user,
        }
        found: dict[str, Any] = {name: value for name, value in attributes.items() if value is not None}
        found |= self.extensions
        if self.data is not None:
            found |= {"datacontenttype": _JSON_TYPE, "data": self.data}
        return found


def encode_event(event: Event) -> bytes:
    """Encode an event that is to be published; InvalidNameError for its type, InvalidPayloadError for another part,
    PayloadTooLargeError.
    """
    _check(event)
    try:
        data = encode_value(event.document)
    except CodecError as err:
        raise InvalidPayloadError(f"event: {err.message}", field="data") from err
    if len(data) > MAX_EVENT_BYTES:
        raise PayloadTooLargeError(
            f"event: {len(data)} bytes",
            field="data",
            cure=f"at most {MAX_EVENT_BYTES}: put the large part elsewhere and its address into the event",
        )
    return data


def decode_event(data: bytes, *, seq: int = 0) -> Event:
    """Decode a CloudEvent of version 1.0 in JSON; CodecError says what is wrong with it."""
    if len(data) > MAX_EVENT_BYTES:
        raise CodecError(f"event of {len(data)} bytes", cure=f"at most {MAX_EVENT_BYTES}")
    return build_event(decode_value(data, max_bytes=MAX_EVENT_BYTES), seq=seq)


def build_event(document: Any, *, seq: int = 0) -> Event:
    """Make an event of a CloudEvent's document; CodecError says what is wrong with it."""
    if not isinstance(document, Mapping):
        raise CodecError("an event is a JSON object")
    if document.get("specversion") != "1.0":
        raise CodecError(
            f"specversion: {document.get('specversion')!r:.80}", cure='CloudEvents of version "1.0" are read'
        )
    if "data_base64" in document:
        raise CodecError("data_base64: binary data is not taken", cure="send JSON in `data`")
    for name in ("id", "type", "source"):
        if not isinstance(document.get(name), str):
            raise CodecError(f"{name}: {'not a text' if name in document else 'is missing'}")
    extensions = {name: value for name, value in document.items() if name not in _ATTRIBUTES and name != "user"}
    try:
        event = Event(
            id=document["id"],
            type=document["type"],
            source=document["source"],
            subject=_text(document, "subject"),
            time=None if document.get("time") is None else parse_event_time(document["time"]),
            user=_text(document, "user"),
            data=document.get("data"),
            dataschema=_text(document, "dataschema"),
            extensions={name: value for name, value in extensions.items() if value is not None},
            seq=seq,
        )
        _check(event)
    except (InvalidNameError, InvalidPayloadError) as err:
        raise CodecError(err.message, cure=err.cure) from err
    return event


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidPayloadError(f"{name}: not a text", field=name)
    return value


def _check(event: Event) -> None:
    parse_event_type(event.type)
    _check_text("id", event.id, most=MAX_ID_CHARACTERS)
    _check_text("source", event.source)
    if any(character.isspace() for character in event.source):
        raise InvalidPayloadError(f"source: {event.source!r:.80} is no URI reference", field="source")
    for name, text in (("subject", event.subject), ("user", event.user), ("dataschema", event.dataschema)):
        if text is not None:
            _check_text(name, text)
    if event.time is not None and event.time.utcoffset() is None:
        raise InvalidPayloadError("time: has no time zone", field="time", cure="give an aware datetime")
    for name, value in event.extensions.items():
        _check_extension(name, value)


def _check_text(name: str, value: str, *, most: int = MAX_ATTRIBUTE_CHARACTERS) -> None:
    if not 1 <= len(value) <= most or not value.isprintable():
        raise InvalidPayloadError(
            f"{name}: {value!r:.80} cannot be an event's {name}",
            field=name,
            cure=f"use 1 to {most} printable characters",
        )


def _check_extension(name: str, value: Any) -> None:
    if _EXTENSION.fullmatch(name) is None or name in _ATTRIBUTES or name == "user":
        cure = "use 1 to 20 of a-z and 0-9, and no name that CloudEvents has"
        raise InvalidPayloadError(f"{name!r:.80} cannot be the name of an attribute", field=name, cure=cure)
    if isinstance(value, str):
        _check_text(name, value)
    elif not isinstance(value, int):
        raise InvalidPayloadError(
            f"{name}: an attribute is a text, a whole number or a boolean", field=name, cure="put the rest into data"
        )


def write_time(time: datetime) -> str:
    """A time as RFC 3339 has it, in UTC."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_event_time(text: Any) -> datetime:
    """A time as RFC 3339 has it, with its zone; InvalidPayloadError."""
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError) as err:
        raise InvalidPayloadError(f"time: {text!r:.80} is no RFC 3339 time", field="time") from err
    if time.utcoffset() is None:
        raise InvalidPayloadError(f"time: {text!r:.80} has no time zone", field="time", cure=f"write {text}Z for UTC")
    return time


class EventPattern:
    """Which events are wanted: `doc.created`, `doc.*` (all below, at any depth) or `*`."""

    __slots__ = ("_below", "text")

    def __init__(self, text: str, *, field: str = "event") -> None:
        if text != ALL:
            if not isinstance(text, str):
                raise InvalidNameError(f"{field}: {text!r:.80} is no pattern", field=field)
            parse_event_type(text.removesuffix(".*"), field=field)
        self.text = text
        self._below = text[:-1] if text.endswith(".*") else None

    def matches(self, event_type: str) -> bool:
        """Tell whether an event of this type is wanted."""
        if self._below is not None:
            return event_type.startswith(self._below)
        return self.text in (ALL, event_type)

    def covers(self, other: EventPattern) -> bool:
        """Tell whether everything that `other` wants is wanted."""
        if self.text == ALL or self == other:
            return True
        return self._below is not None and other.text != ALL and other.text.startswith(self._below)

    @property
    def subject(self) -> str:
        """Its NATS form, to be put behind the subject of all events."""
        if self.text == ALL:
            return ">"
        return self.text if self._below is None else self._below + ">"

    def __repr__(self) -> str:
        return f"EventPattern({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EventPattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


def parse_pattern(text: str, *, field: str = "event") -> EventPattern:
    """A pattern, or InvalidNameError that names `field`."""
    return EventPattern(text, field=field)
