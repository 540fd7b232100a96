"""What is declared and who is there: streams and settings, presence, notes of processes that need no leader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from msgspec import UNSET, UnsetType

from jetmill.protocol.record import JobSettings, Presence


@dataclass(frozen=True, slots=True)
class Change:
    """Something that an apply would write."""

    name: str
    """`stream jm_shop_q_mail`, `consumer high of jm_shop_q_mail`, `settings of mail`."""
    fields: tuple[str, ...] = ()
    """Those that are to be changed; none: it is to be created."""


class Admin(Protocol):
    """Streams, consumers and settings; only reconcilers write. ObstacleError for a stream that is not ours."""

    async def apply_namespace(self, *, replicas: int = 1) -> None:
        """Create or update the streams and buckets of the namespace; idempotent."""
        ...

    async def apply_job(
        self, settings: JobSettings, *, replicas: int = 1, before: JobSettings | UnsetType | None = UNSET
    ) -> None:
        """Create or update a Job's queue, its three consumers (paused if suspended) and its settings; idempotent.

        `before` is what the caller saw when it decided (None: no settings). RefusedError if others stand there by now,
        before anything is changed, or if somebody else wrote meanwhile: read again, decide again.
        """
        ...

    async def inspect_namespace(self, *, replicas: int = 1) -> list[Change]:
        """What `apply_namespace` would write now; empty: nothing."""
        ...

    async def inspect_job(self, settings: JobSettings, *, replicas: int = 1) -> list[Change]:
        """What `apply_job` would write now; empty: nothing."""
        ...

    async def remove_job(self, job: str, *, uid: str | None = None) -> None:
        """Remove a Job's settings and its queue stream, hints included; the ledger stays.

        With `uid`, RefusedError if by now the settings are of another object of that name; those of nobody go.
        """
        ...

    async def settings(self, job: str) -> JobSettings | None:
        """The settings of a Job, read now."""
        ...

    async def all_settings(self) -> list[JobSettings]:
        """The settings of every Job, by name."""
        ...

    async def watch_settings(self, on_change: Callable[[str, JobSettings | None], None]) -> Callable[[], None]:
        """Call `on_change(job, settings)` for every Job before it returns, then at each change (None: removed);
        returns the way to stop.
        """
        ...


class PresenceBoard(Protocol):
    """Which workers live."""

    async def put(self, presence: Presence, *, ttl_seconds: float) -> None:
        """Say that the worker lives, for `ttl_seconds` from now."""
        ...

    async def remove(self, worker: str) -> None:
        """The worker has gone, orderly."""
        ...

    async def is_removed(self, worker: str) -> bool:
        """Tell whether it has gone orderly, within the last minute."""
        ...

    async def get(self, worker: str) -> Presence | None:
        """The presence of a worker, read from the leader; None: absent."""
        ...

    async def all(self) -> list[Presence]:
        """Every worker that lives."""
        ...


@dataclass(frozen=True, slots=True)
class Note:
    """A note where it lies."""

    seq: int
    time: int
    """µs: when it was written, by the server's clock."""
    data: bytes


class Notes(Protocol):
    """Small things that processes which need no leader leave for each other: how far one has come, what was seen last.
    Keys are one to eight labels joined by dots (InvalidNameError).
    """

    async def read(self, key: str) -> Note | None:
        """The note, read after all writes that were answered before; None: there is none."""
        ...

    async def write(self, key: str, data: bytes, *, expected: int) -> int:
        """Write if the last note has the sequence `expected` (0: there is none), and give the new one; RefusedError:
        somebody else was first. NoAnswerError: it may have been written, so read before you go on.
        """
        ...

    async def remove(self, key: str) -> None:
        """Remove, whatever it says; removing what is not there is no error."""
        ...
