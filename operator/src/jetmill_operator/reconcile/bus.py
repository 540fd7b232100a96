"""One connection, a Bus for each namespace; and what a namespace needs before its first Job."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import UNSET, UnsetType

from jetmill.bus.ports import Bus, Change, Trunk
from jetmill.errors import CodecError, NotFoundError
from jetmill.protocol.record import JobSettings
from jetmill_operator.reconcile.moment import SYSTEM, Clock

LOOK_SECONDS = 60.0
"""For so long a namespace whose streams were as they should be is believed to be so."""


class Buses:
    """The buses of all namespaces; each is opened when it is first asked for."""

    def __init__(
        self,
        trunk: Trunk,
        *,
        replicas: int = 1,
        require: Callable[[], object] = lambda: None,
        clock: Clock = SYSTEM,
    ) -> None:
        self.trunk = trunk
        self.require = require
        """Raises NotLeaderError if this process may not write any more; asked before each write of a reconciler."""
        self._replicas = replicas
        self._clock = clock
        self._buses: dict[str, Bus] = {}
        self._sound: dict[str, float] = {}
        """Namespace → when its streams were last seen to be as they should be."""

    def of(self, namespace: str) -> Bus:
        """The Bus of a namespace."""
        bus = self._buses.get(namespace)
        if bus is None:
            bus = self._buses[namespace] = self.trunk.open(namespace)
        return bus

    async def read(self, namespace: str, job: str) -> JobSettings | UnsetType | None:
        """The settings of a Job; None: none, UNSET: they cannot be read, so nobody decides by them. Raises BusError."""
        try:
            return await self.of(namespace).admin.settings(job)
        except NotFoundError:
            return None
        except CodecError:
            return UNSET

    async def inspect(self, namespace: str, settings: JobSettings) -> tuple[Change, ...]:
        """What `apply` would write; raises BusError, ObstacleError."""
        admin = self.of(namespace).admin
        changes: list[Change] = []
        if self._is_due(namespace):
            changes = await admin.inspect_namespace(replicas=self._replicas)
            if not changes:
                self._sound[namespace] = self._clock.monotonic()
        return (*changes, *await admin.inspect_job(settings, replicas=self._replicas))

    async def apply(
        self, namespace: str, settings: JobSettings, *, before: JobSettings | UnsetType | None = UNSET
    ) -> None:
        """Make the streams, consumers and settings as they should be; idempotent. RefusedError if by now others stand
        there than `before`.
        """
        admin = self.of(namespace).admin
        if self._is_due(namespace):
            self.require()
            await admin.apply_namespace(replicas=self._replicas)
            self._sound[namespace] = self._clock.monotonic()
        self.require()
        await admin.apply_job(settings, replicas=self._replicas, before=before)

    def doubt(self, namespace: str) -> None:
        """Look at the streams of a namespace again next time: something failed there."""
        self._sound.pop(namespace, None)

    async def close(self) -> None:
        """Close the connection."""
        await self.trunk.close()

    def _is_due(self, namespace: str) -> bool:
        """A connection made since then may lead to another server, or to one that came back from a backup."""
        seen = self._sound.get(namespace)
        return seen is None or self._clock.monotonic() - seen > min(LOOK_SECONDS, self.trunk.connected_seconds)
