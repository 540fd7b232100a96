"""Bytes to messages and back; the one place where either may fail.

Whatever is wrong with bytes from outside (too many, not JSON, nested too deep, the wrong shape, an unknown version,
lone surrogates, numbers that no float holds) becomes one error, CodecError. The size is checked before anything is
decoded.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import msgspec

from jetmill.errors import CodecError
from jetmill.protocol.plan import Plan
from jetmill.protocol.record import VERSION, Holder, JobSettings, Presence, Record

MAX_MESSAGE_BYTES = 1_048_576
MAX_DEPTH = 100
INLINE_BYTES = 524_288
"""Payloads and results above this go to the object store."""

_encoder = msgspec.json.Encoder()
_T = TypeVar("_T", Record, Holder, JobSettings, Presence, Plan)


class _Version(msgspec.Struct):
    v: int = VERSION


_version = msgspec.json.Decoder(_Version)
_record = msgspec.json.Decoder(Record)
_holder = msgspec.json.Decoder(Holder)
_settings = msgspec.json.Decoder(JobSettings)
_presence = msgspec.json.Decoder(Presence)
_plan = msgspec.json.Decoder(Plan)
_value = msgspec.json.Decoder()


def encode(message: Record | Holder | JobSettings | Presence | Plan) -> bytes:
    """Encode a message as JSON; raise CodecError if it is over MAX_MESSAGE_BYTES or holds what JSON cannot."""
    try:
        data = _encoder.encode(message)
    except (msgspec.EncodeError, TypeError, ValueError, RecursionError) as err:
        raise CodecError(f"cannot be encoded: {err}") from err
    if len(data) > MAX_MESSAGE_BYTES:
        raise CodecError(f"message of {len(data)} bytes", cure=f"at most {MAX_MESSAGE_BYTES}")
    return data


def _decode(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T:
    if len(data) > MAX_MESSAGE_BYTES:
        raise CodecError(f"message of {len(data)} bytes", cure=f"at most {MAX_MESSAGE_BYTES}")
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, MemoryError) as err:
        raise _explain(data, err) from err


def _explain(data: bytes, err: BaseException) -> CodecError:
    """Say that the version is unknown, where that is why the shape did not fit."""
    try:
        version = _version.decode(data).v
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        version = VERSION
    if version != VERSION:
        return CodecError(f"message of version {version}", cure=f"this Jetmill reads version {VERSION}: upgrade it")
    return CodecError(f"cannot be decoded: {err}")


def decode_record(data: bytes) -> Record:
    """Decode a ledger record or a hint's body; raise CodecError."""
    return _decode(_record, data)


def decode_holder(data: bytes) -> Holder:
    """Decode a gate's holder; raise CodecError."""
    return _decode(_holder, data)


def decode_settings(data: bytes) -> JobSettings:
    """Decode a Job's settings; raise CodecError."""
    return _decode(_settings, data)


def decode_presence(data: bytes) -> Presence:
    """Decode a worker's presence; raise CodecError."""
    return _decode(_presence, data)


def decode_plan(data: bytes) -> Plan:
    """Decode a schedule's plan; raise CodecError."""
    return _decode(_plan, data)


def encode_value(value: Any) -> bytes:
    """Encode a payload or a result as JSON; raise CodecError for what JSON has no word for (NaN and ∞ too), or nested
    deeper than MAX_DEPTH.
    """
    try:
        data = _encoder.encode(value)
    except (msgspec.EncodeError, TypeError, ValueError, RecursionError, UnicodeError) as err:
        raise CodecError(f"not JSON: {err}") from err
    # msgspec writes null for NaN and ∞; and what is nested too deep could not be read back
    if b"null" in data or data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check(msgspec.to_builtins(value, builtin_types=(bytes, bytearray), str_keys=True))
    return data


def decode_value(data: bytes | msgspec.Raw, *, max_bytes: int) -> Any:
    """Decode a payload or a result; raise CodecError, also for nesting deeper than MAX_DEPTH."""
    if len(bytes(data)) > max_bytes:
        raise CodecError(f"{len(bytes(data))} bytes", cure=f"at most {max_bytes}")
    try:
        value = _value.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError, MemoryError, ValueError) as err:
        raise CodecError(f"not JSON: {err}") from err
    _check(value)
    return value


def _check(value: Any) -> None:
    """Refuse what decodes but cannot be passed on: deep nesting, infinities, lone surrogates."""
    level = [value]
    for _ in range(MAX_DEPTH):
        if not level:
            return
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                level_keys = item.keys()
                if not all(map(_is_text, level_keys)):
                    raise CodecError("a key with a lone surrogate")
                below.extend(item.values())
            elif isinstance(item, list | tuple):
                below.extend(item)
            elif isinstance(item, float) and not math.isfinite(item):
                raise CodecError("a number that no float holds")
            elif isinstance(item, str) and not _is_text(item):
                raise CodecError("a text with a lone surrogate")
        level = below
    if level:
        raise CodecError(f"nested deeper than {MAX_DEPTH}")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
