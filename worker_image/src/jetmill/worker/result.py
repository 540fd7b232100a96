"""A handler's return value as JSON: what msgspec knows, and pydantic's models, wherever they stand."""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from jetmill.errors import CodecError
from jetmill.worker.outcome import FailureError, invalid_result

RESULT_MAX_BYTES = 64 * 1024 * 1024
_SCALARS = frozenset({str, int, bool})


def encode_result(value: Any, *, max_bytes: int = RESULT_MAX_BYTES) -> bytes | None:
    """Encode; None is no result. FailureError (invalid_result) for what is no JSON, or too much."""
    if value is None:
        return None
    try:
        data = _encode(value)
    except (msgspec.EncodeError, CodecError, TypeError, ValueError, RecursionError, OverflowError) as err:
        raise FailureError(invalid_result(f"the result of type {type(value).__name__} is no JSON: {err}")) from err
    if len(data) > max_bytes:
        raise FailureError(invalid_result(f"the result is {len(data)} bytes long, at most {max_bytes} can be stored"))
    return data


def parse_output(data: bytes) -> bytes | None:
    """A program's output as a result: JSON if it is JSON, else a text; nothing is no result."""
    text = data.strip()
    if not text:
        return None
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return _encoder.encode(text.decode(errors="replace"))
    return text


def _encode(value: Any) -> bytes:
    data = _encoder.encode(value)
    if type(value) not in _SCALARS and b"null" in data and _has_infinity(value):
        raise CodecError("JSON has no NaN and no infinity")
    return data


def _convert(value: Any) -> Any:
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_encoder = msgspec.json.Encoder(enc_hook=_convert)


def _has_infinity(value: Any) -> bool:
    """Look for what msgspec writes as null: floats that are no number."""
    stack = [msgspec.to_builtins(value, enc_hook=_convert)]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, (list, tuple)):
            stack.extend(item)
        elif isinstance(item, float) and (item != item or item in (float("inf"), float("-inf"))):  # noqa: PLR0124 - NaN
            return True
    return False
