"""The port `Messages` on core NATS subjects: every gateway hears each message, nothing is kept."""

from __future__ import annotations

from collections.abc import Callable

from jetmill.bus.jetstream.link import Frame, Link
from jetmill.bus.ports import Message
from jetmill.protocol.subject import Subjects


class JetStreamMessages:
    """Messages of one namespace."""

    def __init__(self, link: Link, subjects: Subjects) -> None:
        self._link = link
        self._subjects = subjects

    def broadcast(self, topic: str, data: bytes) -> None:
        """See the port."""
        self._link.publish(self._subjects.topic_message(topic), data)

    def send_to_user(self, user: str, data: bytes) -> None:
        """See the port."""
        self._link.publish(self._subjects.user_message(user), data)

    def on_message(self, callback: Callable[[Message], None]) -> Callable[[], None]:
        """See the port."""

        def hear(frame: Frame) -> None:
            found = self._subjects.parse_message(frame.subject)
            if found is not None:  # else somebody else's message on a subject of ours
                callback(Message(*found, frame.payload))

        return self._link.subscribe(self._subjects.all_messages, hear).unsubscribe
