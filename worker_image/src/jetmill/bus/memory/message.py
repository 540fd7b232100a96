"""Messages in memory: everyone who listens in this world is called on the next turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from jetmill.bus.memory.link import MemoryLink
from jetmill.bus.ports import Message
from jetmill.protocol.name import parse_event_type, parse_user

if TYPE_CHECKING:
    from jetmill.bus.memory.world import MemoryWorld

Callback = Callable[[Message], None]


class MessageStore:
    """Who listens."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world
        self._listeners: dict[int, Callback] = {}
        self._count = 0

    def send(self, message: Message) -> None:
        """Call everyone who listens, on the next turn."""
        for key in self._listeners:
            self._world.turn.later(self._call, key, message)

    def listen(self, callback: Callback) -> Callable[[], None]:
        """Listen, until what is returned is called."""
        self._count += 1
        key = self._count
        self._listeners[key] = callback
        return lambda: self._listeners.pop(key, None) and None

    def _call(self, key: int, message: Message) -> None:
        callback = self._listeners.get(key)
        if callback is not None:
            callback(message)


class MemoryMessages:
    """The port `Messages`."""

    def __init__(self, link: MemoryLink) -> None:
        self._link = link
        self._store = link.world.messages

    def broadcast(self, topic: str, data: bytes) -> None:
        """See the port."""
        self._link.check()
        self._store.send(Message("topic", parse_event_type(topic, field="topic"), data))

    def send_to_user(self, user: str, data: bytes) -> None:
        """See the port."""
        self._link.check()
        self._store.send(Message("user", parse_user(user), data))

    def on_message(self, callback: Callback) -> Callable[[], None]:
        """See the port."""
        self._link.check()
        return self._link.on_close(self._store.listen(callback))
