"""The bus in this process: a twin of the JetStream adapter that passes the same conformance suite.

`memory://` (or `memory://name`) runs an application's jobs without a server, and tests drive worlds of their own:
`MemoryWorld` has a clock to move and faults to raise. Nothing outlives the process.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jetmill.bus.memory.clock import MemoryClock
from jetmill.bus.memory.fault import Faults
from jetmill.bus.memory.world import MemoryWorld
from jetmill.bus.ports import Bus
from jetmill.protocol.subject import DEFAULT_PREFIX

if TYPE_CHECKING:
    from jetmill.bus.connect import BusOptions

__all__ = ["Faults", "MemoryClock", "MemoryTrunk", "MemoryWorld", "connect_memory", "find_world", "forget_worlds"]

_worlds: dict[tuple[str, str, str], MemoryWorld] = {}


def find_world(name: str = "", *, namespace: str = "default", prefix: str = DEFAULT_PREFIX) -> MemoryWorld:
    """The world of `memory://name` in a namespace; made when first asked for, kept as long as the process lives."""
    key = (name.strip("/"), namespace, prefix)
    world = _worlds.get(key)
    if world is None:
        world = _worlds[key] = MemoryWorld(namespace, prefix=prefix)
    return world


def forget_worlds() -> None:
    """Let every shared world go, with all that is in it; who is connected keeps what he has."""
    _worlds.clear()


class MemoryTrunk:
    """The port `Trunk`: a world for each namespace."""

    def __init__(self, name: str, *, prefix: str = DEFAULT_PREFIX) -> None:
        self._name = name
        self._prefix = prefix
        self._buses: list[Bus] = []
        self._closed = False
        self._since = time.monotonic()

    @property
    def connected(self) -> bool:
        """True until it is closed."""
        return not self._closed

    @property
    def connected_seconds(self) -> float:
        """See the port."""
        return 0.0 if self._closed else time.monotonic() - self._since

    def open(self, namespace: str) -> Bus:
        """See the port."""
        bus = find_world(self._name, namespace=namespace, prefix=self._prefix).connect()
        self._buses.append(bus)
        return bus

    async def close(self) -> None:
        """See the port."""
        self._closed = True
        for bus in self._buses:
            await bus.link.close()
        self._buses.clear()


def connect_memory(name: str, options: BusOptions) -> Bus:
    """Connect to the world of `memory://name`; ConfigError while another event loop runs it."""
    return find_world(name, namespace=options.namespace, prefix=options.prefix).connect()
