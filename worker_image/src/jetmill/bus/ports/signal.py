"""What may be lost: pushes that spare a wait, and messages to those who listen now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol


class Signals(Protocol):
    """What may be lost: pushes that spare a wait."""

    def cancel(self, job_id: str) -> None:
        """Tell whoever runs the job to stop."""
        ...

    def on_cancel(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call back with each id that is told to stop; returns the way to stop listening."""
        ...

    def wake(self, job: str) -> None:
        """Say that there is work for a Job."""
        ...

    def on_wake(self, callback: Callable[[str], None], *, job: str | None = None) -> Callable[[], None]:
        """Call back with the name of each Job that is woken, or of this one alone: each enqueue wakes, and what nobody
        listens to costs nobody anything.
        """
        ...

    def drain(self, worker: str) -> None:
        """Ask a worker to take nothing more for a while. Its presence says when it does so (`draining`) and when it has
        nothing in hand (`busy` 0). InvalidNameError if the id can be no worker's.
        """
        ...

    def undrain(self, worker: str) -> None:
        """Let it take jobs again."""
        ...

    def on_drain(self, worker: str, *, drain: Callable[[], None], undrain: Callable[[], None]) -> Callable[[], None]:
        """Call back when this worker is asked to drain, or to go on; returns the way to stop listening."""
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """What was sent to those who listen now: to a topic of the application, or to one user."""

    kind: Literal["topic", "user"]
    name: str
    """Of the topic, or of the user."""
    data: bytes


class Messages(Protocol):
    """Messages to people's screens, through every gateway; nothing is kept for who does not listen."""

    def broadcast(self, topic: str, data: bytes) -> None:
        """Send to all who listen to a topic (one to eight labels joined by dots). DisconnectedError: it was not sent;
        BusError: too large; InvalidNameError.
        """
        ...

    def send_to_user(self, user: str, data: bytes) -> None:
        """Send to one user, wherever he is connected; errors as of `broadcast`."""
        ...

    def on_message(self, callback: Callable[[Message], None]) -> Callable[[], None]:
        """Call back with each message of the namespace; returns the way to stop listening."""
        ...
