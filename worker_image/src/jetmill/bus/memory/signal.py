"""Pushes in memory: everyone who listens in this world is called on the next turn; who does not listen never hears."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from jetmill.bus.memory.link import MemoryLink
from jetmill.protocol.name import parse_label

if TYPE_CHECKING:
    from jetmill.bus.memory.world import MemoryWorld

Callback = Callable[[str], None]


class SignalStore:
    """Who listens to what."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world
        self._listeners: dict[str, dict[int, Callback]] = {"cancel": {}, "wake": {}, "drain": {}}
        self._count = 0

    def send(self, kind: str, text: str) -> None:
        """Call everyone who listens, on the next turn."""
        for key in self._listeners[kind]:
            self._world.turn.later(self._call, kind, key, text)

    def listen(self, kind: str, callback: Callback) -> Callable[[], None]:
        """Listen, until what is returned is called."""
        self._count += 1
        key = self._count
        self._listeners[kind][key] = callback
        return lambda: self._listeners[kind].pop(key, None) and None

    def _call(self, kind: str, key: int, text: str) -> None:
        callback = self._listeners[kind].get(key)
        if callback is not None:
            callback(text)


class MemorySignals:
    """The port `Signals`."""

    def __init__(self, link: MemoryLink) -> None:
        self._link = link
        self._store = link.world.signals

    def cancel(self, job_id: str) -> None:
        """See the port."""
        if self._link.connected:
            self._store.send("cancel", job_id)

    def on_cancel(self, callback: Callback) -> Callable[[], None]:
        """See the port."""
        self._link.check()
        return self._link.on_close(self._store.listen("cancel", callback))

    def wake(self, job: str) -> None:
        """See the port."""
        if self._link.connected:
            self._store.send("wake", job)

    def on_wake(self, callback: Callback, *, job: str | None = None) -> Callable[[], None]:
        """See the port."""
        self._link.check()

        def hear(name: str) -> None:
            if job in (None, name):
                callback(name)

        return self._link.on_close(self._store.listen("wake", hear))

    def drain(self, worker: str) -> None:
        """See the port."""
        self._tell(worker, "on")

    def undrain(self, worker: str) -> None:
        """See the port."""
        self._tell(worker, "off")

    def on_drain(self, worker: str, *, drain: Callable[[], None], undrain: Callable[[], None]) -> Callable[[], None]:
        """See the port."""
        self._link.check()
        heard = {
            f"{parse_label(worker, field='worker')} {word}": call for word, call in (("on", drain), ("off", undrain))
        }

        def hear(text: str) -> None:
            call = heard.get(text)
            if call is not None:
                call()

        return self._link.on_close(self._store.listen("drain", hear))

    def _tell(self, worker: str, word: str) -> None:
        parse_label(worker, field="worker")
        if self._link.connected:
            self._store.send("drain", f"{worker} {word}")
