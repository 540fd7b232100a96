"""Frames: the texts that go over a socket, both ways.

Ours are put together from parts that are encoded once: an event's JSON when it comes, a frame's text once for all who
get it. What comes from a client is decoded strictly: one error, FrameError, for whatever is wrong with it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec

from jetmill.errors import JetmillError

VERSION = 1
_TEXT = 0x81
"""The first byte of a whole frame of text."""
_SHORT = 126
"""Longer ones say their length in two or eight bytes more."""
MAX_CLIENT_BYTES = 16_384
MAX_ITEMS = 500
"""Events in one frame; more of them are several frames."""

Short = Annotated[str, msgspec.Meta(max_length=512)]
Seq = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
OpId = Annotated[str, msgspec.Meta(max_length=64)] | Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)] | None
"""Whatever a client names its operation by; said again in the answer."""


class FrameError(JetmillError):
    """A client's text that is no frame of ours."""


class _Op(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="op"):
    id: OpId = None


class Subscribe(_Op, frozen=True, kw_only=True, tag="subscribe"):
    """Begin to get a topic; again with `after`: begin anew there."""

    topic: Short
    namespace: Short | None = None
    after: Seq | None = None
    """Give what came after this sequence first; without: from now on."""
    snapshot: bool = False
    """Give how things stand first."""


class Unsubscribe(_Op, frozen=True, kw_only=True, tag="unsubscribe"):
    """Get a topic no more."""

    topic: Short
    namespace: Short | None = None


class Ping(_Op, frozen=True, kw_only=True, tag="ping"):
    """Ask for a `pong`."""


ClientFrame = Subscribe | Unsubscribe | Ping
_decoder = msgspec.json.Decoder(ClientFrame)
_encoder = msgspec.json.Encoder()


def decode_client_frame(text: str | bytes) -> ClientFrame:
    """Decode what a client sent; raise FrameError."""
    if len(text) > MAX_CLIENT_BYTES:
        raise FrameError(f"a frame of {len(text)} characters", cure=f"at most {MAX_CLIENT_BYTES}")
    try:
        frame: ClientFrame = _decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as err:
        raise FrameError(f"no frame: {err}", cure='for example {"op":"subscribe","topic":"namespace"}') from err
    return frame


class Frame:
    """One of our texts, shared by all who get it."""

    __slots__ = ("_wire", "after", "count", "kept", "key", "replaces", "seq", "text")

    def __init__(
        self,
        text: str,
        *,
        key: Key | None = None,
        after: int | None = None,
        seq: int | None = None,
        count: int = 0,
        kept: bool = False,
        replaces: bool = False,
    ) -> None:
        self.text = text
        self.key = key
        """Whose it is, where it is a topic's."""
        self.after = after
        """Everything of the topic up to this sequence was in frames before; None where there are no sequences."""
        self.seq = seq
        """Everything up to this sequence is given with this frame."""
        self.count = count
        """Events in it."""
        self.kept = kept
        """Never dropped: an answer, or what the client was waited for with."""
        self.replaces = replaces
        """A newer one makes it worthless, so that it takes its place."""
        self._wire: bytes | None = None

    @property
    def wire(self) -> bytes:
        """As it goes over a websocket: what a server sends is not masked, so it is the same for all, and made once."""
        if self._wire is None:
            self._wire = build_wire(self.text)
        return self._wire


def build_wire(text: str) -> bytes:
    """A text as one whole frame of a websocket (RFC 6455, 5.2), not compressed. Pure."""
    data = text.encode()
    size = len(data)
    if size < _SHORT:
        head = struct.pack("!BB", _TEXT, size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", _TEXT, _SHORT, size)
    else:
        head = struct.pack("!BBQ", _TEXT, _SHORT + 1, size)
    return head + data


class Key(msgspec.Struct, frozen=True):
    """A topic of a namespace."""

    namespace: str
    topic: str

    @property
    def head(self) -> str:
        """Its members of a frame's JSON."""
        return f'"namespace":{_text(self.namespace)},"topic":{_text(self.topic)}'


def build_events(key: Key, items: Iterable[bytes], *, after: int, seq: int, count: int) -> Frame:
    """A frame of events, each encoded already."""
    text = f'{{"type":"events",{key.head},"after":{after},"seq":{seq},"items":[{_join(items)}]}}'
    return Frame(text, key=key, after=after, seq=seq, count=count)


def build_messages(key: Key, items: Iterable[bytes], *, count: int) -> Frame:
    """A frame of messages, each encoded already."""
    return Frame(f'{{"type":"messages",{key.head},"items":[{_join(items)}]}}', key=key, count=count)


def build_table(key: Key, items: Iterable[bytes]) -> Frame:
    """How things stand, whole."""
    text = f'{{"type":"snapshot",{key.head},"items":[{_join(items)}]}}'
    return Frame(text, key=key, count=1, replaces=True)


def build_snapshot(key: Key, items: Iterable[bytes], *, seq: int | None, total: int) -> Frame:
    """How things stood at a sequence; without one, a part of it that others follow. Of `total` the items may be few."""
    end = ',"more":true' if seq is None else f',"seq":{seq}'
    text = f'{{"type":"snapshot",{key.head},"items":[{_join(items)}],"total":{total}{end}}}'
    return Frame(text, key=key, seq=seq, kept=True)


def build_gap(key: Key, *, after: int | None, seq: int | None, missed: int | None, reason: str) -> str:
    """Something was left out: all, or part, of what came after `after` up to `seq`."""
    return encode(
        {"type": "gap", "namespace": key.namespace, "topic": key.topic, "reason": reason}
        | {name: value for name, value in (("after", after), ("seq", seq), ("missed", missed)) if value is not None}
    )


def build_answer(
    kind: str, op_id: OpId = None, *, key: Key | None = None, seq: int | None = None, **members: Any
) -> Frame:
    """An answer to a client's frame, or a word about the connection."""
    told: dict[str, Any] = {"type": kind}
    if op_id is not None:
        told["id"] = op_id
    if key is not None:
        told |= {"namespace": key.namespace, "topic": key.topic}
    if seq is not None:
        told["seq"] = seq
    return Frame(encode(told | members), key=key, seq=seq, kept=True)


def encode(value: Any) -> str:
    """JSON text."""
    return _encoder.encode(value).decode()


def _join(items: Iterable[bytes]) -> str:
    return b",".join(items).decode()


def _text(value: str) -> str:
    return _encoder.encode(value).decode()
