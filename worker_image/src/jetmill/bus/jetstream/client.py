"""nats-py's client with the slow parts exchanged: its parser, its flushing, its ways at a broken connection.

It stays a whole `nats.aio.client.Client`, so that JetStream management, KV and object store work on the same
connection. What differs: messages of our own subscriptions go to synchronous callbacks; frames are joined and
written once per turn of the loop; a broken connection is aborted, never waited for; what was buffered for it is
dropped, not sent later; reconnecting never ends, whatever the reason for the break.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any, Protocol

from nats.aio.client import Client, Server
from nats.aio.transport import TcpTransport

from jetmill.bus.jetstream.parser import FrameParser, RawCallback

HIGH_WATER_BYTES = 1 << 20
_BACKOFF_SECONDS = 0.05
_BACKOFF_MAX_SECONDS = 2.0


class Hooks(Protocol):
    """What the client tells the link."""

    def went_up(self) -> None:
        """Connected, subscriptions in place."""

    def went_down(self) -> None:
        """The connection is lost."""

    def was_refused(self, text: str) -> None:
        """The server said `-ERR 'Permissions Violation …'`."""


class _Interest:
    """Our subscription as nats-py wants to see it when it replays and closes."""

    _max_msgs = 0
    _received = 0
    _wait_for_msgs_task = None
    _message_iterator = None
    _pending_next_msgs_calls = None

    def __init__(self, subject: str, queue: str, sid: int) -> None:
        self._subject = subject
        self._queue = queue
        self._id = sid


class FastClient(Client):
    """One connection; used through `Link`."""

    def __init__(self, hooks: Hooks) -> None:
        super().__init__()
        self._hooks = hooks
        self._parser = FrameParser(self)  # type: ignore[arg-type]  # methods there, attributes of type Callable here
        self._ps = self._parser  # type: ignore[assignment]  # the same two methods
        self._loop = asyncio.get_running_loop()
        self._flush_due = False
        self.attempts = 0
        self.up = False
        self.trouble: Exception | None = None

    # Out

    def write(self, frame: bytes) -> None:
        """Buffer a frame; it leaves at the end of this turn of the loop."""
        self._pending.append(frame)
        self._pending_data_size += len(frame)
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self.flush_now)

    def flush_now(self) -> None:
        """Hand what is buffered to the transport, at once."""
        self._flush_due = False
        if not self._pending or not self.is_connected:
            return
        transport = self._transport
        if isinstance(transport, TcpTransport):
            data = b"".join(self._pending)
            self._pending = []
            self._pending_data_size = 0
            transport.write(data)  # type: ignore[no-untyped-call]
        elif self._flush_queue is not None and self._flush_queue.empty():  # a websocket is flushed by nats-py's task
            self._flush_queue.put_nowait(self._loop.create_future())

    @property
    def buffered(self) -> int:
        """Bytes that the socket has not taken yet."""
        writer = getattr(self._transport, "_io_writer", None)
        return self._pending_data_size + (writer.transport.get_write_buffer_size() if writer is not None else 0)

    async def drain_transport(self) -> None:
        """Wait until the socket has taken most of what was written; OSError when the connection breaks."""
        self.flush_now()
        if self._transport is None:
            raise ConnectionResetError
        await self._transport.drain()  # type: ignore[no-untyped-call]

    # In

    def listen(self, subject: str, queue: str, callback: RawCallback) -> int:
        """Subscribe with a raw, synchronous callback; returns the id for `unlisten`. Replayed at each reconnect."""
        self._sid += 1
        sid = self._sid
        self._parser.callbacks[b"%d" % sid] = callback
        self._subs[sid] = _Interest(subject, queue, sid)  # type: ignore[assignment]  # quacks like a Subscription
        if self.is_connected:
            self.write(f"SUB {subject} {queue} {sid}\r\n".encode())
        return sid

    def unlisten(self, sid: int, *, late: RawCallback | None = None) -> None:
        """Unsubscribe; messages already on the wire go to `late`, until `forget`, or are dropped."""
        if late is None:
            self._parser.callbacks.pop(b"%d" % sid, None)
        else:
            self._parser.callbacks[b"%d" % sid] = late
        if self._subs.pop(sid, None) is not None and self.is_connected:
            self.write(b"UNSUB %d\r\n" % sid)

    def forget(self, sid: int) -> None:
        """Drop the `late` callback of an ended subscription."""
        self._parser.callbacks.pop(b"%d" % sid, None)

    # Up and down

    def go_up(self) -> None:
        """Note that the connection stands and subscriptions are in place."""
        self.attempts = 0
        self.up = True
        self._hooks.went_up()

    def go_down(self) -> None:
        """Note that the connection is lost: what was buffered for it is dropped."""
        self._pending = []
        self._pending_data_size = 0
        if self.up:
            self.up = False
            self._hooks.went_down()

    def abort(self) -> None:
        """Cut the connection without waiting for what a dead peer will never take."""
        writer = getattr(self._transport, "_io_writer", None)
        if writer is not None:
            writer.transport.abort()

    def choose_server(self, servers: list[Server], _info: dict[str, Any]) -> tuple[Server, float]:
        """Take the next server, with a jittered delay that grows with each attempt that failed."""
        self.abort()  # an attempt that failed after it was accepted would stay open
        self.attempts += 1
        delay = min(_BACKOFF_MAX_SECONDS, _BACKOFF_SECONDS * 2 ** min(self.attempts - 1, 10))
        return servers[self.attempts % len(servers)], delay * random.uniform(0.2, 1.0)

    async def note_error(self, error: Exception) -> None:
        """Keep the last error and say nothing: disconnects are told by hooks, and attempts to reconnect are many."""
        self.trouble = error

    async def _process_op_err(self, e: Exception) -> None:
        self.trouble = e
        self.go_down()
        await super()._process_op_err(e)

    async def _process_err(self, err_msg: str) -> None:
        if "permissions violation" in err_msg.lower():
            self._hooks.was_refused(err_msg)
        else:  # fatal ones are followed by the server's closing, from which we recover as from any other
            await self.note_error(ConnectionError(err_msg))

    async def _attempt_reconnect(self) -> None:
        while not self.is_closed:
            self.abort()
            try:
                await super()._attempt_reconnect()
            except Exception as error:  # noqa: BLE001 (nats-py expects some errors; any other must not end reconnecting)
                await self.note_error(error)
                await asyncio.sleep(_BACKOFF_MAX_SECONDS * random.random())
            else:
                return

    async def _close(self, status: int, do_cbs: bool = True) -> None:  # noqa: FBT001, FBT002 (nats-py's signature)
        self.flush_now()
        await super()._close(status, do_cbs)
