"""What a subscription writes down of an event that it gives up: whole, so that it can be handed out once more."""

from __future__ import annotations

import msgspec

from jetmill.errors import CodecError
from jetmill.protocol.record import VERSION, ErrorInfo, Struct


class DeadLetter(Struct, frozen=True, kw_only=True, tag_field="v", tag=VERSION):
    """An event that its handler did not manage. Written as base64, for what is no JSON may be given up too."""

    subscription: str
    seq: int
    """Of the event."""
    attempts: int
    error: ErrorInfo
    event: bytes
    """As it lay on the bus."""


_decoder = msgspec.json.Decoder(DeadLetter)


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """Encode."""
    return msgspec.json.encode(letter)


def decode_dead_letter(data: bytes) -> DeadLetter:
    """Decode; CodecError."""
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as err:
        raise CodecError(f"a dead letter cannot be decoded: {err}") from err
