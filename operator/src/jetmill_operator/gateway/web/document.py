"""Bodies, before anything is made of them: JSON, not too deep, no name twice, no number that gets lost on the way.

msgspec takes the last of two equal names and any integer; who sent them meant something, and nobody knows what.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from litestar.connection import Request

from jetmill.protocol.codec import MAX_DEPTH
from jetmill_operator.gateway.web.problem import Fault, ProblemError

MERGE = "application/merge-patch+json"
MAX_BYTES = 1_048_576
"""As much as NATS takes in one message."""
_LOWEST, _HIGHEST = -(2**63), 2**64 - 1


async def check_body(request: Request[Any, Any, Any]) -> None:
    """Raise ProblemError for a body that is not to be read; Litestar's hook before each handler."""
    if "data" not in request.route_handler.parsed_fn_signature.parameters:
        return
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (request.method == "PATCH" and kind == MERGE):
        raise ProblemError("unsupported-media-type", f"{kind or 'nothing'!r:.80} is not application/json")
    data = await request.body()
    check_document(data)
    check_shape(data, request.route_handler.parsed_fn_signature.parameters["data"].annotation)


def check_shape(data: bytes, kind: Any) -> None:
    """Raise ProblemError for JSON of another shape. Litestar takes a number for a time, and a text for a number; who
    sent one of them was mistaken.
    """
    try:
        msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as err:
        detail, _, path = str(err).partition(" - at `$")
        steps = [step for step in re.split(r"[.\[\]]", path.rstrip("`")) if step]
        fault = Fault(detail=detail, pointer="#/" + "/".join(steps))
        where = f" (at {path.rstrip('`').lstrip('.')})" if steps else ""
        raise ProblemError("invalid-request", f"{detail}{where}"[:500], faults=(fault,)) from err
    except (msgspec.DecodeError, UnicodeDecodeError) as err:  # a lone surrogate
        raise _refusal(f"no JSON: {err}") from err


def check_document(data: bytes) -> None:
    """Raise ProblemError for JSON that is none, or that means two things."""
    try:
        value = json.loads(data, object_pairs_hook=_make_object, parse_int=_make_int, parse_constant=_refuse)
    except RecursionError as err:
        raise _refusal(f"nested more than {MAX_DEPTH} deep") from err
    except (ValueError, MemoryError) as err:
        raise _refusal(f"no JSON: {err}") from err
    if _is_deeper(value, MAX_DEPTH):
        raise _refusal(f"nested more than {MAX_DEPTH} deep")


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        name = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"{name!r:.80} stands twice in one object")
    return made


def _make_int(text: str) -> int:
    number = int(text) if len(text) <= 20 else _HIGHEST + 1
    if not _LOWEST <= number <= _HIGHEST:
        raise ValueError("an integer of more than 64 bits")
    return number


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _is_deeper(value: Any, limit: int) -> bool:
    """Walk level by level: no recursion, whatever the depth."""
    level = [value]
    for _ in range(limit + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def _refusal(detail: str) -> ProblemError:
    return ProblemError("invalid-request", f"the body is {detail[:300]}")
