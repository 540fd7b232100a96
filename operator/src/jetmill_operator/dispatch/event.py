"""An event as routers look at it: the few attributes that they go by, and the bytes that are passed on as they are."""

from __future__ import annotations

from typing import Any

import msgspec

from jetmill.bus.ports import EventMessage
from jetmill.errors import CodecError

EVENT_LABEL = "event"
"""The label of a delivery that says the type of its event: lists show it without a look at the event."""


class Attributes(msgspec.Struct, frozen=True):
    """What a CloudEvent says of itself; all but id and type may be missing."""

    id: str
    type: str
    source: str = ""
    subject: str | None = None
    time: str | None = None
    specversion: str = "1.0"
    datacontenttype: str | None = None


_attributes = msgspec.json.Decoder(Attributes)
_whole = msgspec.json.Decoder(dict[str, Any])


def decode_attributes(data: bytes) -> Attributes:
    """Read an event's attributes; CodecError for what is no CloudEvent."""
    try:
        return _attributes.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as err:
        raise CodecError(f"no CloudEvent: {err}") from err


class Seen:
    """One event in the hands of a router; it is decoded as far as somebody wants to know."""

    def __init__(self, message: EventMessage) -> None:
        self.message = message
        self.attributes = decode_attributes(message.data)
        self._whole: dict[str, Any] | None = None

    @property
    def whole(self) -> dict[str, Any]:
        """All of it, for filters; CodecError."""
        if self._whole is None:
            try:
                self._whole = _whole.decode(self.message.data)
            except (msgspec.MsgspecError, RecursionError, UnicodeError) as err:
                raise CodecError(f"no JSON: {err}") from err
        return self._whole
