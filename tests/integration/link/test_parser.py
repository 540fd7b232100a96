"""Messages come out whole, however the bytes were cut."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from nats.errors import ProtocolError

from jetmill.bus.jetstream.parser import FrameParser

WIRE = (
    b"MSG a.b 1 5\r\nhello\r\n"
    b"PING\r\n"
    b"MSG a.c 1 in.box 0\r\n\r\n"
    b"+OK\r\n"
    b"HMSG a.d 1 in.box 18 23\r\nNATS/1.0\r\nA: b\r\n\r\nbo\r\ny\r\n"
    b'INFO {"server_name":"n"}\r\n'
    b"HMSG a.e 1 18 18\r\nNATS/1.0\r\nA: b\r\n\r\n\r\n"
    b"-ERR 'Permissions Violation for Publish to \"X.y\"'\r\n"
    b"MSG a.f 2 2\r\nno\r\n"
    b"PONG\r\n"
)
MESSAGES = [
    (b"a.b", b"", None, b"hello"),
    (b"a.c", b"in.box", None, b""),
    (b"a.d", b"in.box", b"NATS/1.0\r\nA: b\r\n\r\n", b"bo\r\ny"),
    (b"a.e", b"", b"NATS/1.0\r\nA: b\r\n\r\n", b""),
]


class Recorder:
    """Stands where nats-py's client stands."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    async def _process_msg(self, *args: Any) -> None:
        self.told.append(args)

    async def _process_ping(self) -> None:
        self.told.append("ping")

    async def _process_pong(self) -> None:
        self.told.append("pong")

    async def _process_info(self, info: dict[str, Any]) -> None:
        self.told.append(info)

    async def _process_err(self, text: str) -> None:
        self.told.append(text)


TOLD = [
    "ping",
    {"server_name": "n"},
    'Permissions Violation for Publish to "X.y"',
    (2, b"a.f", b"", b"no", None),
    "pong",
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, len(WIRE)])
async def test_a_message_comes_out_whole_however_it_was_cut(size: int) -> None:
    recorder, got = Recorder(), []
    parser = FrameParser(recorder)  # type: ignore[arg-type]
    parser.callbacks[b"1"] = lambda *message: got.append(message)
    for at in range(0, len(WIRE), size):
        await parser.parse(WIRE[at : at + size])
    assert got == MESSAGES
    assert recorder.told == TOLD


async def test_what_is_no_nats_is_an_error() -> None:
    with pytest.raises(ProtocolError):
        await FrameParser(Recorder()).parse(b"HTTP/1.1 400 Bad Request\r\n\r\n")  # type: ignore[arg-type]


async def test_a_callback_that_raises_takes_nothing_from_the_next_message() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    parser, got = FrameParser(Recorder()), []  # type: ignore[arg-type]

    def fail_first(subject: bytes, *_: Any) -> None:
        got.append(subject)
        if subject == b"a":
            raise RuntimeError("no")

    parser.callbacks[b"1"] = fail_first
    await parser.parse(b"MSG a 1 0\r\n\r\nMSG b 1 0\r\n\r\n")
    assert got == [b"a", b"b"]
    assert isinstance(reported[0]["exception"], RuntimeError)
