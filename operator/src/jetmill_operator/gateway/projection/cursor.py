"""Cursors: where a list goes on. Opaque to the caller, and good at every gateway: they name a sequence of the ledger.

A cursor belongs to the filter and the order that it came from. Whatever else is handed in raises BadCursorError.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from jetmill.errors import InputError
from jetmill_operator.gateway.projection.filter import JobFilter, Sort, hash_filter

_MAX_CHARACTERS = 128
_MAX_SEQ = 1 << 63


class BadCursorError(InputError):
    """A cursor that was not given out for this list."""

    def __init__(self, message: str) -> None:
        super().__init__(message, field="cursor", cure="begin the list anew, without a cursor")


class _Mark(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    sort: str
    filter: bytes
    seq: int


_decoder = msgspec.msgpack.Decoder(_Mark)


def build_cursor(wanted: JobFilter, sort: Sort, seq: int) -> str:
    """A cursor behind the job whose first (sorts by creation) or last record has this sequence."""
    data = msgspec.msgpack.encode(_Mark(1, sort, hash_filter(wanted), seq))
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def parse_cursor(text: str, *, wanted: JobFilter, sort: Sort) -> int:
    """The sequence in a cursor; raises BadCursorError."""
    if len(text) > _MAX_CHARACTERS:
        raise BadCursorError("the cursor is too long to be one of ours")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        mark = _decoder.decode(data)
    except (ValueError, binascii.Error, msgspec.MsgspecError, RecursionError) as err:
        raise BadCursorError("the cursor cannot be read") from err
    if mark.version != 1 or not 0 < mark.seq < _MAX_SEQ:
        raise BadCursorError("the cursor is of another version, or damaged")
    if mark.sort != sort:
        raise BadCursorError("the cursor belongs to another order")
    if mark.filter != hash_filter(wanted):
        raise BadCursorError("the cursor belongs to other filters")
    return mark.seq
