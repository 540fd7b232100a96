"""Streams and settings in memory: as on a server, a namespace and a Job are there only after they were applied."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from jetmill.bus.memory.band import JobQueue
from jetmill.bus.memory.link import MemoryLink
from jetmill.bus.ports import Change
from jetmill.errors import RefusedError
from jetmill.protocol.codec import decode_settings, encode
from jetmill.protocol.name import parse_job_name
from jetmill.protocol.record import JobSettings

if TYPE_CHECKING:
    from jetmill.bus.memory.world import MemoryWorld

OnChange = Callable[[str, JobSettings | None], None]


class SettingsStore:
    """The settings of each Job, as encoded, and who watches them."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world
        self._jobs: dict[str, bytes] = {}
        self._watchers: dict[int, OnChange] = {}
        self._count = 0

    def put(self, job: str, data: bytes) -> None:
        """Write; nobody hears of what was there already."""
        if self._jobs.get(job) != data:
            self._jobs[job] = data
            self._tell(job, decode_settings(data))

    def remove(self, job: str) -> None:
        """Remove."""
        if self._jobs.pop(job, None) is not None:
            self._tell(job, None)

    def get(self, job: str) -> JobSettings | None:
        """Read."""
        data = self._jobs.get(job)
        return None if data is None else decode_settings(data)

    def all(self) -> list[JobSettings]:
        """Read all, by name."""
        return [decode_settings(self._jobs[job]) for job in sorted(self._jobs)]

    def watch(self, on_change: OnChange) -> Callable[[], None]:
        """Tell of every change from now on, until what is returned is called."""
        self._count += 1
        key = self._count
        self._watchers[key] = on_change
        return lambda: self._watchers.pop(key, None) and None

    def _tell(self, job: str, settings: JobSettings | None) -> None:
        for key in self._watchers:
            self._world.turn.later(self._call, key, job, settings)

    def _call(self, key: int, job: str, settings: JobSettings | None) -> None:
        watcher = self._watchers.get(key)
        if watcher is not None:
            watcher(job, settings)


class MemoryAdmin:
    """The port `Admin`."""

    def __init__(self, link: MemoryLink) -> None:
        self._link = link
        self._world = link.world

    async def apply_namespace(self, *, replicas: int = 1) -> None:  # noqa: ARG002 - one process has one copy
        """See the port."""
        self._link.check()
        self._world.applied = True
        await self._link.turn()

    async def apply_job(
        self,
        settings: JobSettings,
        *,
        replicas: int = 1,  # noqa: ARG002 - as above
        before: JobSettings | UnsetType | None = UNSET,
    ) -> None:
        """See the port."""
        self._ask()
        job = parse_job_name(settings.job)
        data = encode(settings)
        there = self._world.settings.get(job)
        if before is not UNSET and there not in (before, settings):
            raise RefusedError(f"settings of {job} have changed", cure="read them again, then decide again")
        queue = self._world.queues.get(job)
        if queue is None:
            queue = self._world.queues[job] = JobQueue(self._world, job)
        for band in queue.bands.values():
            band.set_ack_wait(round(settings.lease_seconds * 1_000_000))
            band.paused = settings.suspend
            band.pump_later()
        self._world.settings.put(job, data)
        await self._link.turn()

    async def inspect_namespace(self, *, replicas: int = 1) -> list[Change]:  # noqa: ARG002 - as above
        """See the port."""
        self._link.check()
        await self._link.turn()
        return [] if self._world.applied else [Change(f"stream {self._world.subjects.ledger_stream}")]

    async def inspect_job(self, settings: JobSettings, *, replicas: int = 1) -> list[Change]:  # noqa: ARG002 - as above
        """See the port."""
        self._link.check()
        await self._link.turn()
        job, stream = parse_job_name(settings.job), self._world.subjects.queue_stream(settings.job)
        queue = self._world.queues.get(job)
        there = self._world.settings.get(job)
        if queue is None:
            return [Change(f"stream {stream}"), Change(f"settings of {job}")]
        wanted = {"ack_wait": round(settings.lease_seconds * 1_000_000), "paused": settings.suspend}
        found = []
        for name, band in queue.bands.items():
            fields = tuple(field for field, value in wanted.items() if getattr(band, field) != value)
            if fields:
                found.append(Change(f"consumer {name} of {stream}", fields))
        if there != settings:
            names = settings.__struct_fields__
            fields = tuple(name for name in names if there and getattr(there, name) != getattr(settings, name))
            found.append(Change(f"settings of {job}", fields))
        return found

    async def remove_job(self, job: str, *, uid: str | None = None) -> None:
        """See the port."""
        self._ask()
        there = self._world.settings.get(job)
        if uid is not None and there is not None and there.uid not in ("", uid):
            raise RefusedError(f"settings of {job} are of another object ({there.uid})", cure="leave them")
        self._world.settings.remove(job)
        queue = self._world.queues.pop(job, None)
        if queue is not None:
            queue.close()
        await self._link.turn()

    async def settings(self, job: str) -> JobSettings | None:
        """See the port."""
        self._ask()
        settings = self._world.settings.get(job)
        await self._link.turn()
        return settings

    async def all_settings(self) -> list[JobSettings]:
        """See the port."""
        self._ask()
        settings = self._world.settings.all()
        await self._link.turn()
        return settings

    async def watch_settings(self, on_change: OnChange) -> Callable[[], None]:
        """See the port."""
        self._ask()
        await self._link.turn()
        stop = self._link.on_close(self._world.settings.watch(on_change))
        for settings in self._world.settings.all():
            on_change(settings.job, settings)
        return stop

    def _ask(self) -> None:
        self._link.check()
        self._world.need_namespace()
