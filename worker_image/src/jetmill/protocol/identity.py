"""Ids of jobs, leases and worker processes.

A job's id is a UUIDv7 (RFC 9562), so ids sort by the time of their making; where the caller has a key of his own
(an order number, a schedule's slot) it is a UUIDv5 of that key, so that the same key is always the same job. Time
and randomness come in as arguments: this package has no clock.
"""

from __future__ import annotations

import uuid

from jetmill.protocol.name import JobId

_KEYS = uuid.UUID("8f6c2f0e-6f7f-5d0c-9c5e-6a65746d696c")


def make_id(time_ms: int, random_bits: int) -> JobId:
    """Make a UUIDv7 of `time_ms` (since the Unix epoch) and at least 74 random bits."""
    high = (time_ms & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | (random_bits >> 62 & 0xFFF)
    low = 0x8000_0000_0000_0000 | (random_bits & 0x3FFF_FFFF_FFFF_FFFF)
    text = (high << 64 | low).to_bytes(16, "big").hex()
    return JobId(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")


def id_from_key(*parts: str) -> JobId:
    """Make the one id that belongs to a key, given as one or more texts: ("a", "bc") is not ("ab", "c")."""
    return JobId(str(uuid.uuid5(_KEYS, "".join(f"{len(part)}:{part}" for part in parts))))
