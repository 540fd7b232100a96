"""One message of a consumer, in hand.

Made once per message in the hot path: a few references, everything else is read from the bytes when it is asked for.
"""

from __future__ import annotations

import asyncio

from jetmill.bus.jetstream import wire
from jetmill.bus.jetstream.link import Call, Frame, Link
from jetmill.errors import BusError


class _AckCall(Call):
    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[None]) -> None:
        self.future = future

    def answer(self, head: bytes | None, payload: bytes) -> bool:  # noqa: ARG002 (any answer is yes)
        if not self.future.done():
            self.future.set_result(None)
        return True

    def fail(self, error: BusError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Delivery(Frame):
    """A Frame that can be acked.

    `ack`, `nak`, `term`, `working` are buffered writes that nobody waits for; lost while disconnected, when the
    message is delivered again after `ack_wait`. `reply`, the `$JS.ACK.…` subject, extends the delivery from
    another connection too: `publish(reply, b"+WPI")`.
    """

    __slots__ = ("_link",)

    def __init__(self, link: Link, subject_raw: bytes, reply_raw: bytes, head: bytes | None, payload: bytes) -> None:
        self.subject_raw = subject_raw
        self.reply_raw = reply_raw
        self.head = head
        self.payload = payload
        self._link = link

    @property
    def ack_token(self) -> wire.AckToken:
        """All that the ack subject tells."""
        return wire.parse_ack_token(self.reply_raw)

    @property
    def stream_seq(self) -> int:
        """The sequence in the stream."""
        return self.ack_token.stream_seq

    @property
    def consumer_seq(self) -> int:
        """The sequence of this delivery in the consumer."""
        return self.ack_token.consumer_seq

    @property
    def num_pending(self) -> int:
        """How many messages wait behind this one."""
        return self.ack_token.num_pending

    @property
    def num_delivered(self) -> int:
        """How often the message was delivered, this time included."""
        return self.ack_token.num_delivered

    @property
    def timestamp_us(self) -> int:
        """When the stream stored the message, µs since the epoch by the server's clock."""
        return self.ack_token.timestamp_us

    def ack(self) -> None:
        """Done with."""
        client = self._link.client
        if client.up:
            client.write(b"PUB %b 4\r\n+ACK\r\n" % self.reply_raw)

    def ack_sync(self) -> asyncio.Future[None]:
        """Ack and learn that the server took it; NoAnswerError, PermissionDeniedError."""
        future: asyncio.Future[None] = self._link.loop.create_future()
        self._link.call(_AckCall(future), self.reply, b"+ACK")
        return future

    def nak(self, delay_seconds: float | None = None) -> None:
        """Give back, to be delivered again at once or after a delay."""
        self._write(b'-NAK {"delay":%d}' % (delay_seconds * 1e9) if delay_seconds else b"-NAK")

    def term(self, reason: str = "") -> None:
        """Never deliver again; the reason, one line of it, is in the server's advisory."""
        self._write(f"+TERM {' '.join(reason.split())}".encode().rstrip())

    def working(self) -> None:
        """Extend by `ack_wait`."""
        self._write(b"+WPI")

    def _write(self, payload: bytes) -> None:
        if self._link.client.up:
            self._link.client.write(b"PUB %b %d\r\n%b\r\n" % (self.reply_raw, len(payload), payload))
