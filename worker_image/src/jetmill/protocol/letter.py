"""What travels in a message to people: who says it, when, and what. Gateways pass it on as it is."""

from __future__ import annotations

from typing import Any

import msgspec

from jetmill.errors import CodecError, InvalidPayloadError
from jetmill.protocol.identity import make_id
from jetmill.protocol.record import VERSION, RawOrNone, Struct

MAX_LETTER_BYTES = 65_536
"""A frame to a thousand screens should be no burden."""


class Letter(Struct, frozen=True, kw_only=True, tag_field="v", tag=VERSION):
    """A message to a topic or a user."""

    id: str
    """The same at every gateway: who hears it twice can tell."""
    time: int
    """µs, when it was sent."""
    by: str
    data: RawOrNone = None


_decoder = msgspec.json.Decoder(Letter)
_value = msgspec.json.Decoder()


def encode_letter(data: Any, *, by: str, time: int, random_bits: int) -> bytes:
    """Encode what is to be said (JSON's types); InvalidPayloadError if it is no JSON, or over MAX_LETTER_BYTES."""
    try:
        raw = msgspec.Raw(msgspec.json.encode(data))
    except (msgspec.EncodeError, TypeError, ValueError, RecursionError) as err:
        raise InvalidPayloadError(f"message: cannot be written as JSON: {err}", field="message") from err
    letter = msgspec.json.encode(Letter(id=make_id(time // 1000, random_bits), time=time, by=by, data=raw))
    if len(letter) > MAX_LETTER_BYTES:
        cure = f"at most {MAX_LETTER_BYTES}: send where it is, not what it is"
        raise InvalidPayloadError(f"message: {len(letter)} bytes", field="message", cure=cure)
    return letter


def decode_letter(data: bytes) -> Letter:
    """Decode a letter, its data checked as JSON; raise CodecError."""
    if len(data) > MAX_LETTER_BYTES:
        raise CodecError(f"message of {len(data)} bytes", cure=f"at most {MAX_LETTER_BYTES}")
    try:
        letter = _decoder.decode(data)
        if letter.data is not None:
            _value.decode(letter.data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as err:
        raise CodecError(f"cannot be decoded: {err}") from err
    return letter
