"""`Prefer: wait=N` (RFC 7240): how long an answer may take, for it to say more. Pure."""

from __future__ import annotations

LONGEST_SECONDS = 30


def parse_wait(header: str) -> int | None:
    """The seconds that were asked for, at most 30; None: not asked, or not understood (the RFC says: ignore)."""
    for part in header.replace(";", ",").split(","):
        name, parted, value = part.strip().partition("=")
        if name.strip().lower() != "wait" or not parted:
            continue
        text = value.strip().strip('"')
        if text.isascii() and text.isdigit():
            return min(int(text[:9]), LONGEST_SECONDS)
    return None
