"""Reads and purges."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetmill.bus.jetstream.append import Appender
from jetmill.bus.jetstream.link import Link
from jetmill.bus.jetstream.read import Reader
from jetmill.errors import BusError, DisconnectedError, NotFoundError
from support.wait import soon

pytestmark = pytest.mark.integration


async def fill(link: Link, subjects: list[str], size: int = 0) -> None:
    appender = Appender(link)
    bodies = [subject.encode().ljust(size, b".") for subject in subjects]
    await soon(asyncio.gather(*(appender.append(*pair) for pair in zip(subjects, bodies, strict=True))))


async def test_the_last_message_is_read_after_its_write(link: Link, reader: Reader, stream: Any) -> None:
    appender = Appender(link)
    subject = f"{stream.name}.a"
    for number in range(50):
        seq = await appender.append(subject, b"%d" % number, headers=b"N: %d\r\n" % number)
        message = await reader.get_last(stream.name, subject)
        assert message is not None
        assert (message.seq, message.payload, message.header("N")) == (seq, b"%d" % number, str(number))
        assert abs(message.time_us - link.now_us()) < 60_000_000


async def test_what_is_not_there_is_none(reader: Reader, stream: Any) -> None:
    assert await reader.get_last(stream.name, f"{stream.name}.none") is None
    assert await reader.get_seq(stream.name, 5) is None
    assert await reader.get_seq(stream.name, 0) is None
    assert await reader.direct_batch(stream.name, start_seq=1, subject_filter=f"{stream.name}.>", batch=5) == []
    assert await reader.multi_last(stream.name, [f"{stream.name}.none"]) == []
    assert await reader.multi_last(stream.name, []) == []
    assert await reader.subjects(stream.name, f"{stream.name}.>") == {}
    assert await reader.last_seq(stream.name) == 0


async def test_a_stream_that_is_not_there_is_an_error(reader: Reader) -> None:
    with pytest.raises(NotFoundError):
        await reader.get_last("nosuch", "a")
    with pytest.raises(NotFoundError):
        await reader.purge("nosuch", "a")
    with pytest.raises(BusError) as caught:
        await reader.direct_batch("nosuch", start_seq=1, subject_filter=">", batch=1)
    assert caught.value.code == 503


async def test_pages_of_a_filter_come_in_order_and_end(link: Link, reader: Reader, stream: Any) -> None:
    await fill(link, [f"{stream.name}.{n % 2}.{n}" for n in range(100)])
    page = await reader.direct_batch(stream.name, start_seq=1, subject_filter=f"{stream.name}.1.*", batch=30)
    rest = await reader.direct_batch(
        stream.name, start_seq=page[-1].seq + 1, subject_filter=f"{stream.name}.1.*", batch=30
    )
    messages = page + rest
    assert [message.subject for message in messages] == [f"{stream.name}.1.{n}" for n in range(1, 100, 2)]
    assert [message.seq for message in messages] == sorted(message.seq for message in messages)
    assert all(message.payload == message.subject.encode() for message in messages)


async def test_the_last_of_many_subjects_come_in_one_answer(link: Link, reader: Reader, stream: Any) -> None:
    await fill(link, [f"{stream.name}.{n % 500}" for n in range(1000)])
    found = await reader.multi_last(stream.name, [f"{stream.name}.{n}" for n in range(0, 600, 3)])
    assert {message.subject for message in found} == {f"{stream.name}.{n}" for n in range(0, 500, 3)}
    assert all(message.seq > 500 for message in found)


async def test_the_last_of_many_large_messages_come_all_the_same(link: Link, reader: Reader, stream: Any) -> None:
    """The server ends an answer at a byte limit; we go on where it stopped."""
    subjects = [f"{stream.name}.{n}" for n in range(60)]
    await fill(link, subjects, size=500_000)
    found = await soon(reader.multi_last(stream.name, subjects))
    assert [message.subject for message in found] == subjects
    assert {len(message.payload) for message in found} == {500_000}


async def test_more_matches_than_the_server_takes_are_an_error(link: Link, reader: Reader, stream: Any) -> None:
    await fill(link, [f"{stream.name}.{n}" for n in range(1100)])
    with pytest.raises(BusError) as caught:
        await reader.multi_last(stream.name, [f"{stream.name}.>"])
    assert caught.value.code == 413


async def test_subjects_are_listed_with_their_counts(link: Link, reader: Reader, stream: Any) -> None:
    await fill(link, [f"{stream.name}.{n % 7}.x" for n in range(21)] + [f"{stream.name}.y"])
    assert await reader.subjects(stream.name, f"{stream.name}.*.x") == {f"{stream.name}.{n}.x": 3 for n in range(7)}
    assert await reader.last_seq(stream.name) == 22


async def test_a_purge_takes_what_is_below_a_sequence(link: Link, reader: Reader, stream: Any) -> None:
    await fill(link, [f"{stream.name}.{n % 2}" for n in range(10)])
    assert await reader.purge(stream.name, f"{stream.name}.0", up_to_seq=5) == 2
    assert await reader.subjects(stream.name, ">") == {f"{stream.name}.0": 3, f"{stream.name}.1": 5}
    assert await reader.purge(stream.name, f"{stream.name}.0", up_to_seq=0) == 0
    assert await reader.purge(stream.name, f"{stream.name}.*") == 8
    assert await reader.purge(stream.name, f"{stream.name}.*") == 0


async def test_reading_without_a_connection_is_an_error_at_once(link: Link, reader: Reader, stream: Any) -> None:
    await link.close()
    with pytest.raises(DisconnectedError):
        await reader.get_last(stream.name, "a")
    with pytest.raises(DisconnectedError):
        await reader.direct_batch(stream.name, start_seq=1, subject_filter=">", batch=1)
