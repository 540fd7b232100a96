"""What is looked at in a body before anything decodes it: its type, its depth, keys given twice, numbers too big.

msgspec takes the last of two equal keys and recurses as deep as a body says; here both are refused.
"""

from __future__ import annotations

import json
from typing import Any

from litestar import Request
from litestar.handlers import HTTPRouteHandler

from jetmill.protocol.codec import MAX_DEPTH, MAX_MESSAGE_BYTES
from jetmill_operator.gateway.web.problem import Fault, ProblemError

MAX_BODY_BYTES = MAX_MESSAGE_BYTES
_LARGEST = 2**63
"""What a program in most languages reads as a whole number."""


async def check_body(request: Request[Any, Any, Any]) -> None:
    """Refuse a body that a handler would read and that is no plain JSON; ProblemError."""
    handler = request.route_handler
    if not isinstance(handler, HTTPRouteHandler) or "data" not in handler.parsed_fn_signature.parameters:
        return
    body = await request.body()
    optional = handler.parsed_fn_signature.parameters["data"].is_optional
    if not body and optional:
        return
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise ProblemError(
            "unsupported-media-type", f"{kind[:80] or 'no content type'} is not JSON", cure="send application/json"
        )
    check_json(body)


def check_json(data: bytes) -> None:
    """Refuse what is no JSON, is nested deeper than 100, holds a key twice or a number over 64 bits; ProblemError."""
    if _is_deep(data):
        raise _refuse(f"the body is nested deeper than {MAX_DEPTH}")
    try:
        json.loads(data, object_pairs_hook=_check_pairs, parse_int=_check_int, parse_constant=_refuse_constant)
    except ProblemError:
        raise
    except (ValueError, RecursionError) as err:
        raise _refuse(f"the body is no JSON: {err}") from err


def _is_deep(data: bytes) -> bool:
    """Count brackets outside of texts; linear, and nothing recurses."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    in_text = escaped = False
    for byte in data:
        if in_text:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_text = False
        elif byte == 0x22:
            in_text = True
        elif byte in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif byte in b"]}":
            depth -= 1
    return False


def _check_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _refuse(f"{twice[:80]!r} was given twice in one object")
    return found


def _check_int(text: str) -> int:
    if len(text) > 20 or not -_LARGEST <= int(text) < _LARGEST:
        raise _refuse(f"{text[:24]} is too big for a whole number: send it as a text")
    return int(text)


def _refuse_constant(name: str) -> Any:
    raise _refuse(f"{name} is no JSON")


def _refuse(detail: str) -> ProblemError:
    return ProblemError("invalid-request", detail, faults=(Fault(detail=detail, pointer="#"),))
