"""SKELETON: signatures are firm, bodies follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jetmill.bus.jetstream.link import Link


class StoredMessage:
    """A message as a stream keeps it."""

    __slots__ = ("head", "payload", "seq", "subject", "time_us")

    subject: str
    seq: int
    time_us: int
    payload: bytes
    head: bytes | None

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        raise NotImplementedError


class Reader:
    """Reads and purges of streams. Every method raises NoAnswerError, PermissionDeniedError, NotFoundError (no such
    stream) or BusError.
    """

    def __init__(self, link: Link) -> None:
        raise NotImplementedError

    async def get_last(self, stream: str, subject: str) -> StoredMessage | None:
        """The last message on a subject (may hold wildcards), read from the leader: sees every write answered before."""
        raise NotImplementedError

    async def get_seq(self, stream: str, seq: int) -> StoredMessage | None:
        """The message at a sequence, read from the leader; None if there is none (any more)."""
        raise NotImplementedError

    async def direct_batch(self, stream: str, *, start_seq: int, subject_filter: str, batch: int) -> list[StoredMessage]:
        """Up to `batch` messages of a filter from a sequence on, in order; from any replica, so it may be a little old.

        Fewer than `batch` may come though more are there (the server bounds the bytes): go on at the last seq + 1
        until nothing comes. Needs `allow_direct`.
        """
        raise NotImplementedError

    async def multi_last(self, stream: str, subjects: Sequence[str]) -> list[StoredMessage]:
        """The last message on each subject that has one, by sequence; at most 1,024 matches, else BusError 413.
        From any replica, so it may be a little old. Needs `allow_direct`.
        """
        raise NotImplementedError

    async def subjects(self, stream: str, subject_filter: str) -> dict[str, int]:
        """Every subject that matches, with its number of messages; all pages."""
        raise NotImplementedError

    async def last_seq(self, stream: str) -> int:
        """The sequence of the newest message, 0 if there never was one."""
        raise NotImplementedError

    async def purge(self, stream: str, subject: str, *, up_to_seq: int | None = None) -> int:
        """Remove what a filter matches, only sequences BELOW `up_to_seq` if given (as JetStream counts); returns how many."""
        raise NotImplementedError
