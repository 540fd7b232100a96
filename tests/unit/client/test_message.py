"""Messages to people: what a client sends, and what it refuses to."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from jetmill.bus.memory import MemoryWorld
from jetmill.bus.ports import Message
from jetmill.client.client import Client
from jetmill.client.settings import ClientSettings
from jetmill.client.sync import SyncClient
from jetmill.errors import CodecError, InvalidNameError, InvalidPayloadError
from jetmill.protocol.letter import MAX_LETTER_BYTES, decode_letter
from support.wait import eventually


async def test_a_broadcast_says_who_sent_it_when_and_what() -> None:
    world = MemoryWorld()
    heard: list[Message] = []
    world.connect().messages.on_message(heard.append)
    client = Client(bus=world.connect(), by="ada")
    await client.broadcast("news.sport", {"goal": [1, 2.5, None, "ü"]})
    await client.send_to_user("bob@example.com", "hello")
    await eventually(lambda: len(heard) == 2)
    letters = [decode_letter(message.data) for message in heard]
    assert [(message.kind, message.name) for message in heard] == [("topic", "news.sport"), ("user", "bob@example.com")]
    assert [bytes(letter.data or b"") for letter in letters] == ['{"goal":[1,2.5,null,"ü"]}'.encode(), b'"hello"']
    assert {letter.by for letter in letters} == {"ada"}
    assert len({letter.id for letter in letters}) == 2
    assert all(0 <= world.clock.now() - letter.time < 60_000_000 for letter in letters)


@pytest.mark.parametrize("message", [object(), "x" * MAX_LETTER_BYTES, {1j: 1}])
async def test_what_is_no_json_or_too_large_is_refused(message: Any) -> None:
    client = Client(bus=MemoryWorld().connect())
    with pytest.raises(InvalidPayloadError):
        await client.broadcast("news", message)


async def test_names_that_cannot_be_are_refused() -> None:
    client = Client(bus=MemoryWorld().connect())
    with pytest.raises(InvalidNameError):
        await client.broadcast("News", 1)
    with pytest.raises(InvalidNameError):
        await client.send_to_user("", 1)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"\xff", b"[" * 5000, b'{"v":1,"id":"a","time":1,"by":"x","data":nope}', b" " * 70_000]
)
def test_what_is_no_letter_is_one_error(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_letter(data)


def test_threads_can_send_too() -> None:
    with SyncClient(ClientSettings(url=f"memory://{uuid.uuid4()}", run_jobs=False)) as client:
        client.broadcast("news", {"n": 1})
        client.send_to_user("ada", {"n": 1})
