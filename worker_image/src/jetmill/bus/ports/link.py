"""The connection, and all the ports over it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from jetmill.bus.ports.admin import Admin, Notes, PresenceBoard
from jetmill.bus.ports.event import Events, Subscriptions
from jetmill.bus.ports.ledger import Ledger, Payloads
from jetmill.bus.ports.queue import Queue
from jetmill.bus.ports.signal import Messages, Signals
from jetmill.protocol.subject import Subjects


@dataclass(slots=True)
class Bus:
    """All the ports over one connection to one namespace; made by `jetmill.bus.connect`."""

    subjects: Subjects
    ledger: Ledger
    queue: Queue
    admin: Admin
    presence: PresenceBoard
    payloads: Payloads
    signals: Signals
    events: Events
    subscriptions: Subscriptions
    messages: Messages
    notes: Notes
    link: Link


class Link(Protocol):
    """The connection beneath a Bus."""

    threaded: bool
    """Heartbeats need a connection of their own in another thread (false in memory, where all share one loop)."""

    @property
    def connected(self) -> bool:
        """There is a connection now."""
        ...

    @property
    def connected_seconds(self) -> float:
        """For how long, 0.0 without; absence of a worker counts only after one presence TTL."""
        ...

    def now(self) -> int:
        """The server's clock, µs."""
        ...

    async def room(self) -> None:
        """Wait until the write buffer has room; a bulk producer asks now and then."""
        ...

    async def flush(self) -> None:
        """Wait until the server has taken what was sent, subscriptions included; DisconnectedError, NoAnswerError. In a
        cluster the other servers may hear of a subscription a moment later.
        """
        ...

    async def close(self) -> None:
        """Flush what is buffered, then leave; idempotent."""
        ...


class Trunk(Protocol):
    """One connection for many namespaces; made by `jetmill.bus.connect`."""

    @property
    def connected(self) -> bool:
        """There is a connection now."""
        ...

    @property
    def connected_seconds(self) -> float:
        """For how long, 0.0 without."""
        ...

    def open(self, namespace: str) -> Bus:
        """A Bus of one namespace over this connection; to close it leaves the connection to the others. What was begun
        over it (a watch, a subscription, a pull) is stopped by who began it.
        """
        ...

    async def close(self) -> None:
        """Flush what is buffered, then leave: every Bus of this trunk is closed too; idempotent."""
        ...


Connect = Callable[[], Awaitable[Bus]]
"""Opens a Bus of its own."""
