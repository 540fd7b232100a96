"""From an answer of the API server to an error of ours. Pure.

The server says what went wrong in a `Status` object; a proxy in front of it in plain text. What the code alone would
get wrong stands here: a 500 may be for ever (an apply that does not fit its type), a 403 may mean that the namespace
is going away, and a 404 that names no object tells that the kind is not served, not that the object is gone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from jetmill_operator.cluster.errors import (
    AbsentError,
    ClusterError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    UnavailableError,
)

_TYPED = "typed patch object"
_TERMINATING = "NamespaceTerminating"
_FIELD = re.compile(r"\s\.([A-Za-z_][^\s:]*):\s")
_TEXT_LIMIT = 500


def error_of(code: int, content: bytes, headers: Mapping[str, str]) -> ClusterError:
    """Build the error for an answer that is none of 2xx."""
    status = read_status(content)
    message = str(status.get("message") or content[:_TEXT_LIMIT].decode(errors="replace").strip() or f"HTTP {code}")
    details = status.get("details") or {}
    causes = [cause for cause in details.get("causes") or () if isinstance(cause, dict)]
    match code:
        case 401:
            return ForbiddenError(message, code=code, cure="the credentials are not accepted: log in again")
        case 403:
            terminating = any(cause.get("reason") == _TERMINATING for cause in causes)
            return ForbiddenError(message, code=code, terminating=terminating)
        case 404 | 405:
            return AbsentError(message, code=code, unserved=not details.get("name"))
        case 409:
            return ConflictError(message, code=code)
        case 400 | 413 | 415 | 422:
            named = tuple((str(one["field"]), str(one.get("message", ""))) for one in causes if one.get("field"))
            return InvalidError(message, code=code, field=_field(causes, message), causes=named)
        case 500 if _TYPED in message:
            return InvalidError(message, code=code, field=_field(causes, message))
        case 410 | 429:
            return UnavailableError(message, code=code, retry_after_seconds=_retry_after(headers, details))
        case _ if code >= 500:
            return UnavailableError(message, code=code, retry_after_seconds=_retry_after(headers, details))
        case _:
            return ClusterError(message, code=code)


def read_status(content: bytes) -> dict[str, Any]:
    """Decode a `Status`; empty for anything else."""
    try:
        decoded = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return decoded if isinstance(decoded, dict) and decoded.get("kind") == "Status" else {}


def _field(causes: list[dict[str, Any]], message: str) -> str:
    """Give the first field that is named: by a cause, or, where an apply does not fit its type, in the message."""
    named = next((str(cause["field"]) for cause in causes if cause.get("field")), "")
    found = _FIELD.search(message) if not named and _TYPED in message else None
    return found[1] if found else named


def _retry_after(headers: Mapping[str, str], details: Mapping[str, Any]) -> float | None:
    given = headers.get("retry-after") or details.get("retryAfterSeconds")
    try:
        return max(0.0, float(given)) if given else None
    except ValueError:  # an HTTP date, which the API server never sends
        return None
