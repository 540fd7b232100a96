"""What a worker and its child processes say to each other: msgpack structs behind a length.

Nothing is pickled. Payloads and results are JSON bytes, a failure is its description, so no result and no exception
can break the channel.
"""

from __future__ import annotations

import struct

import msgspec

from jetmill.worker.context import JobFacts
from jetmill.worker.outcome import Failure

LENGTH = struct.Struct("!I")


class Setup(msgspec.Struct, frozen=True, tag=True):
    """First of all: where the child finds code."""

    sys_path: list[str]
    main_path: str | None
    result_max_bytes: int


class Work(msgspec.Struct, frozen=True, tag=True):
    """One attempt for the child."""

    origin: str
    """`module:function`."""
    facts: JobFacts
    payload: bytes


class Reply(msgspec.Struct, frozen=True, tag=True):
    """The answer to an Ask."""

    value: str
    error: str | None = None


class Done(msgspec.Struct, frozen=True, tag=True):
    """The handler returned; the result is JSON."""

    result: bytes | None


class Raised(msgspec.Struct, frozen=True, tag=True):
    """The handler did not end well."""

    failure: Failure


class Noted(msgspec.Struct, frozen=True, tag=True):
    """A progress report or a log line."""

    kind: str
    data: bytes


class Ask(msgspec.Struct, frozen=True, tag=True):
    """The handler enqueues or publishes, and waits for the Reply."""

    verb: str
    """`enqueue` or `publish`."""
    name: str
    data: bytes
    """JSON: {"payload", "options"} or the event's data."""


ToChild = Setup | Work | Reply
FromChild = Done | Raised | Noted | Ask

encode = msgspec.msgpack.Encoder().encode
decode_to_child = msgspec.msgpack.Decoder(ToChild).decode
decode_from_child = msgspec.msgpack.Decoder(FromChild).decode


def pack(message: ToChild | FromChild) -> bytes:
    """A message with its length before it."""
    data = encode(message)
    return LENGTH.pack(len(data)) + data
