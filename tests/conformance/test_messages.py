"""The port `Messages`: what every adapter promises of messages to whoever listens."""

from __future__ import annotations

import pytest

from conformance.place import Place
from jetmill.bus.ports import Bus, Message
from jetmill.errors import DisconnectedError, InvalidNameError
from support.wait import eventually

pytestmark = pytest.mark.conformance


async def test_everyone_who_listens_gets_a_broadcast_in_order(bus: Bus, place: Place) -> None:
    here: list[Message] = []
    there: list[Message] = []
    other = await place.connect()
    bus.messages.on_message(here.append)
    other.messages.on_message(there.append)
    await place.settle(other)
    await place.settle(bus)
    bus.messages.broadcast("news", b"1")
    bus.messages.broadcast("news.sport", b"2")
    expected = [Message("topic", "news", b"1"), Message("topic", "news.sport", b"2")]
    await eventually(lambda: here == there == expected)


@pytest.mark.parametrize(
    "user", ["ada", "system:serviceaccount:shop:viewer", "ada.b@example.com", "Ünï Cödé", "*", ">", "a b", "x" * 253]
)
async def test_a_user_may_have_any_name(bus: Bus, place: Place, user: str) -> None:
    heard: list[Message] = []
    bus.messages.on_message(heard.append)
    await place.settle(bus)
    bus.messages.send_to_user(user, b'{"n":1}')
    await eventually(lambda: heard == [Message("user", user, b'{"n":1}')])


async def test_a_user_and_a_topic_of_one_name_are_apart(bus: Bus, place: Place) -> None:
    heard: list[Message] = []
    bus.messages.on_message(heard.append)
    await place.settle(bus)
    bus.messages.send_to_user("ada", b"1")
    bus.messages.broadcast("ada", b"2")
    await eventually(lambda: heard == [Message("user", "ada", b"1"), Message("topic", "ada", b"2")])


async def test_who_stops_listening_gets_no_more_messages(bus: Bus, place: Place) -> None:
    stopped: list[Message] = []
    heard: list[Message] = []
    stop = bus.messages.on_message(stopped.append)
    bus.messages.on_message(heard.append)
    await place.settle(bus)
    stop()
    stop()
    bus.messages.broadcast("news", b"1")
    await eventually(lambda: len(heard) == 1)
    assert stopped == []


async def test_messages_stay_in_their_namespace(bus: Bus, place: Place) -> None:
    heard: list[Message] = []
    other = await place.connect(namespace=f"{place.namespace}-2")
    other.messages.on_message(heard.append)
    bus.messages.on_message(heard.append)
    await place.settle(bus)
    bus.messages.broadcast("news", b"1")
    other.messages.broadcast("news", b"2")
    bus.messages.broadcast("news", b"3")
    await eventually(lambda: len(heard) == 3)
    assert sorted(message.data for message in heard) == [b"1", b"2", b"3"]


@pytest.mark.parametrize("topic", ["", "*", "a b", "News", "a..b", "a.>", "a\r\nPUB x 0", ".".join("a" * 9)])
async def test_what_can_be_no_topic_is_refused(bus: Bus, topic: str) -> None:
    with pytest.raises(InvalidNameError):
        bus.messages.broadcast(topic, b"")


@pytest.mark.parametrize("user", ["", "a\nb", "x" * 254, "\ud800"])
async def test_what_can_be_no_user_is_refused(bus: Bus, user: str) -> None:
    with pytest.raises(InvalidNameError):
        bus.messages.send_to_user(user, b"")


async def test_a_message_that_nobody_hears_is_no_error(bus: Bus) -> None:
    bus.messages.broadcast("news", b"1")
    bus.messages.send_to_user("ada", b"1")
    assert await bus.ledger.last_seq() == 0


async def test_who_is_not_connected_is_told_that_nothing_was_sent(bus: Bus) -> None:
    await bus.link.close()
    with pytest.raises(DisconnectedError):
        bus.messages.broadcast("news", b"1")
    with pytest.raises(DisconnectedError):
        bus.messages.send_to_user("ada", b"1")
