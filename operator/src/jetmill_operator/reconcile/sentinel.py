"""Finds what a watch has lost.

A watch that was away while something was deleted never tells of it, and one that has died silently tells of nothing.
So now and then a LIST of metadata is held against what the watch told. What differs twice, unchanged, was not just on
its way: gone objects are told as deleted; anything else means that the watch is dead, and the process has to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from jetmill.errors import JetmillError
from jetmill_operator.cluster.errors import ClusterError
from jetmill_operator.cluster.ports import Kind, is_older

INTERVAL_SECONDS = 60.0
Place = tuple[str, str]
"""Namespace and name."""
Versions = Mapping[Place, str]
"""resourceVersions."""

log = structlog.get_logger("jetmill.operator")


class DeadWatchError(JetmillError):
    """The watch does not tell what has happened: nothing that it says can be relied on any more."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a comparison showed."""

    lost: tuple[Place, ...] = ()
    """Objects that are gone, of which the watch did not tell."""
    missed: tuple[Place, ...] = ()
    """Objects of which the watch does not know what they are now."""
    suspects: Mapping[Place, str | None] = field(default_factory=dict)
    """What differs for the first time, with the version that the server has."""


def compare(real: Versions, known: Versions, suspects: Mapping[Place, str | None]) -> Finding:
    """Compare what the server has with what the watch told; `suspects` are those of the comparison before."""
    differing = {
        place: real.get(place)
        for place in real.keys() | known.keys()
        if real.get(place) != known.get(place) and not is_older(real.get(place), known.get(place))
    }  # an older one came from a server's cache that lags behind the watch
    proven = {place for place, version in differing.items() if place in suspects and suspects[place] == version}
    return Finding(
        lost=tuple(sorted(place for place in proven if differing[place] is None)),
        missed=tuple(sorted(place for place in proven if differing[place] is not None)),
        suspects={place: version for place, version in differing.items() if place not in proven},
    )


class Sentinel:
    """Compares every `interval_seconds`, kind by kind.

    `read` lists the server's versions, `known` gives those that the watch told, `on_lost` is told of what is gone.
    """

    def __init__(
        self,
        kinds: Iterable[Kind],
        *,
        read: Callable[[Kind], Awaitable[Versions]],
        known: Callable[[Kind], Versions],
        on_lost: Callable[[Kind, Place], None],
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._kinds = tuple(kinds)
        self._read = read
        self._known = known
        self._on_lost = on_lost
        self._interval_seconds = interval_seconds
        self._suspects: dict[Kind, Mapping[Place, str | None]] = {}

    async def run(self) -> None:
        """Compare for ever; DeadWatchError when the watch is dead."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            for kind in self._kinds:
                await self.look(kind)

    async def look(self, kind: Kind) -> Finding:
        """Compare one kind now."""
        try:
            real = await self._read(kind)
        except ClusterError as err:  # what cannot be read tells nothing
            log.warning("sentinel_failed", kind=kind.name, error=str(err))
            return Finding()
        finding = compare(real, self._known(kind), self._suspects.get(kind, {}))
        self._suspects[kind] = finding.suspects
        for place in finding.lost:
            log.warning("deletion_missed", kind=kind.name, namespace=place[0], name=place[1])
            self._on_lost(kind, place)
        if finding.missed:
            namespace, name = finding.missed[0]
            raise DeadWatchError(
                f"the watch on {kind.plural} did not tell of {len(finding.missed)} changes, "
                f"the first one of {namespace}/{name}"
            )
        return finding
