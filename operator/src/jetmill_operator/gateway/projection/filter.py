"""What may be asked for: filters, which all hold at once, and the orders of a list."""

from __future__ import annotations

import hashlib
from typing import Literal, get_args

import msgspec

from jetmill.errors import InputError
from jetmill.protocol.state import State

Sort = Literal["-created", "created", "-updated", "updated"]
GroupBy = Literal["state", "job", "reason", "user", "error"]
SORTS: tuple[Sort, ...] = get_args(Sort)
MAX_LIMIT = 1_000
TEXT_CHARACTERS = 3
"""The shortest text that can be looked for: errors are indexed by three characters."""


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs; what is not set does not narrow. Several values of one field are alternatives."""

    namespace: str
    job: tuple[str, ...] = ()
    state: frozenset[State] = frozenset()
    reason: tuple[str, ...] = ()
    label: dict[str, str] = {}
    """Every one of them, equal."""
    user: str | None = None
    schedule: str | None = None
    created_after: int | None = None
    """µs, inclusive; `before` is exclusive."""
    created_before: int | None = None
    updated_after: int | None = None
    updated_before: int | None = None
    error: str | None = None
    """Text that occurs in the type or the message of the job's last error, whatever the case; three characters at
    least.
    """
    error_group: str | None = None
    """The key of a group of errors, as grouping by `error` gives it: exactly those."""


def check_filter(wanted: JobFilter) -> None:
    """Raise InputError for what can be answered by no index."""
    if wanted.error is not None and len(wanted.error) < TEXT_CHARACTERS:
        raise InputError(f"a text of at least {TEXT_CHARACTERS} characters is needed", field="error")


def hash_filter(wanted: JobFilter) -> bytes:
    """Eight bytes that tell one filter from another, the same in every gateway."""
    canonical = msgspec.structs.replace(wanted, job=tuple(sorted(wanted.job)), reason=tuple(sorted(wanted.reason)))
    return hashlib.blake2b(msgspec.json.encode(canonical, order="deterministic"), digest_size=8).digest()
