"""`If-Match` (RFC 9110): which version of an object somebody has seen, for two may edit it at once. Pure."""

from __future__ import annotations

import re

from jetmill_operator.gateway.web.problem import Fault, ProblemError

ANY = "*"
_TAG = re.compile(r'"([^"]*)"')


def tag_of(version: str) -> str:
    """An object's resourceVersion as an ETag."""
    return f'"{version}"'


def parse_match(header: str) -> frozenset[str]:
    """The versions that are named, `*` for any; ProblemError for what names none."""
    text = header.strip()
    if text == ANY:
        return frozenset({ANY})
    parts = [part.strip() for part in text.split(",")]
    found = [_TAG.fullmatch(part) for part in parts]
    if not all(found):
        fault = Fault(detail="wants an ETag as it came, in quotes, or *", parameter="If-Match")
        raise ProblemError("invalid-parameter", f"If-Match: {text[:80]!r} is no ETag", faults=(fault,))
    return frozenset(one[1] for one in found if one is not None)


def require_match(header: str) -> frozenset[str]:
    """The versions that an edit is for; ProblemError if it does not say."""
    if not header.strip():
        raise ProblemError(
            "precondition-required",
            "an edit has to say which version it is of",
            cure="send the ETag that GET gave as If-Match; * edits whatever is there",
        )
    return parse_match(header)


def check_match(wanted: frozenset[str], version: str) -> None:
    """Raise ProblemError if another version is there than the one that was seen."""
    if ANY not in wanted and version not in wanted:
        raise ProblemError(
            "precondition-failed",
            f"it is version {version} by now",
            cure="get it again, and make your change on what is there",
            headers={"ETag": tag_of(version)},
        )
