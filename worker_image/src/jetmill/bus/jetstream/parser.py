"""The NATS protocol, read fast: from bytes to one synchronous call per message.

nats-py's own parser matches regular expressions and awaits a coroutine for each message, which costs more than all
the rest of a small job. This one takes its place in the client (same two methods), hands messages of our own
subscriptions straight to their callback, and everything else to nats-py. A long message that comes in pieces is
joined once, when it is whole.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from nats.errors import ProtocolError

RawCallback = Callable[[bytes, bytes, bytes | None, bytes], None]
"""Subject, reply, raw headers, payload."""

_H, _M, _P, _PLUS, _MINUS, _I = b"HMP+-I"
_MAX_CONTROL_LINE = 1 << 20  # an INFO of a large cluster is the longest


class Receiver(Protocol):
    """What the parser needs of nats-py's client."""

    _process_msg: Callable[[int, bytes, bytes, bytes, bytes | None], Awaitable[None]]
    _process_ping: Callable[[], Awaitable[None]]
    _process_pong: Callable[[], Awaitable[None]]
    _process_info: Callable[[dict[str, Any]], Awaitable[None]]
    _process_err: Callable[[str], Awaitable[None]]


class FrameParser:
    """Takes the place of `nats.protocol.parser.Parser`."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.callbacks: dict[bytes, RawCallback] = {}
        self.reset()

    def reset(self) -> None:
        """Forget a half-read message: a new connection begins."""
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 0

    async def parse(self, data: bytes = b"") -> None:
        """Take what was read and call back for each whole message; raises ProtocolError for what is no NATS."""
        if self._parts:
            data = self._join(data)
        at, end = 0, len(data)
        callbacks = self.callbacks
        while at < end:
            eol = data.find(b"\r\n", at)
            if eol < 0:
                if end - at > _MAX_CONTROL_LINE:
                    raise ProtocolError
                break
            operation = data[at]
            if operation in (_M, _H):
                args = data[at:eol].split()
                if len(args) < 4 or not args[-1].isdigit():
                    raise ProtocolError
                start = eol + 2
                stop = start + int(args[-1])
                if stop + 2 > end:
                    self._need = stop + 2 - at
                    break
                callback = callbacks.get(args[2])
                if callback is None:
                    await self._pass_on(args, data[start:stop])
                else:
                    body = start + int(args[-2]) if operation == _H else start
                    reply = args[3] if len(args) == (6 if operation == _H else 5) else b""
                    try:
                        callback(args[1], reply, data[start:body] or None, data[body:stop])
                    except Exception as error:  # noqa: BLE001 (one callback's fault must not end the connection of all)
                        self._report(args[1], error)
                at = stop + 2
            else:
                line = data[at:eol]
                at = eol + 2
                await self._control(line)
        if at < end:
            self._parts = [data[at:]]
            self._have = end - at

    def _join(self, data: bytes) -> bytes:
        """What was read before and now, once there is enough of it for the message that it begins with."""
        self._parts.append(data)
        self._have += len(data)
        if self._have < self._need:
            return b""
        whole = b"".join(self._parts)
        self.reset()
        return whole

    def _report(self, subject: bytes, error: Exception) -> None:
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"callback for {subject!r} failed", "exception": error}
        )

    async def _pass_on(self, args: list[bytes], data: bytes) -> None:
        """A message of nats-py's own subscriptions."""
        head_size = int(args[-2]) if args[0] == b"HMSG" else 0
        head = data[:head_size] if head_size else None
        reply = args[3] if len(args) == (6 if head_size else 5) else b""
        await self._receiver._process_msg(int(args[2]), args[1], reply, data[head_size:], head)  # noqa: SLF001 (its parser)

    async def _control(self, line: bytes) -> None:
        receiver = self._receiver
        match line[0]:
            case 80:  # P
                await (receiver._process_ping() if line[1:2] == b"I" else receiver._process_pong())  # noqa: SLF001
            case 43:  # +OK
                return
            case 45:  # -ERR
                await receiver._process_err(line[5:].decode(errors="replace").strip().strip("'"))  # noqa: SLF001
            case 73:  # INFO
                await receiver._process_info(json.loads(line[5:]))  # noqa: SLF001
            case _:
                raise ProtocolError
