"""The server is killed while appends run: each gets a verdict, and what was acknowledged is there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jetmill.bus.jetstream.append import Appender, AppendOptions
from jetmill.bus.jetstream.link import Link
from jetmill.bus.jetstream.read import Reader
from jetmill.errors import BusError, NoAnswerError, RefusedError
from support.nats import NatsServer
from support.wait import eventually

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "options", [AppendOptions(batch_threshold=2), AppendOptions(atomic=False)], ids=["batches", "singles"]
)
async def test_every_append_gets_a_verdict_and_what_was_acknowledged_is_found(
    tmp_path: Any, connect: Any, options: AppendOptions
) -> None:
    with NatsServer.start(tmp_path, sync_interval="always") as server:
        link: Link = await connect(server)
        await link.client.jetstream().add_stream(name="s", subjects=["s.>"], allow_atomic=True, allow_direct=True)
        appender = Appender(link, options)
        acked: dict[str, int] = {}
        unknown: set[str] = set()
        refused: list[str] = []
        stopping = asyncio.Event()

        async def produce(producer: int) -> None:
            number = 0
            while not stopping.is_set():
                subject = f"s.{producer}.{number}"
                number += 1
                try:
                    acked[subject] = await asyncio.wait_for(appender.append(subject, b"x", expected=0), 60)
                except NoAnswerError:
                    unknown.add(subject)
                    await eventually(lambda: link.connected or stopping.is_set())
                except RefusedError:
                    refused.append(subject)
                except BusError:  # JetStream was not there yet: nothing happened
                    await eventually(lambda: link.connected or stopping.is_set())

        producers = [asyncio.create_task(produce(number)) for number in range(100)]
        for _ in range(3):
            await more_than(acked, len(acked) + 500)
            server.kill()
            await eventually(lambda: not link.connected)
            await asyncio.to_thread(server.restart)
        await more_than(acked, len(acked) + 100)
        stopping.set()
        await asyncio.gather(*producers)
        assert appender.backlog == 0
        assert unknown
        assert not refused
        await prove(link, acked)


async def more_than(acked: dict[str, int], goal: int) -> None:
    await eventually(lambda: len(acked) > goal, seconds=180)


async def prove(link: Link, acked: dict[str, int]) -> None:
    """Everything acknowledged is there, once, where its ack said."""
    reader = Reader(link)
    stored: dict[str, int] = {}
    start = 1
    while page := await reader.direct_batch("s", start_seq=start, subject_filter="s.>", batch=1000):
        for message in page:
            assert message.subject not in stored
            stored[message.subject] = message.seq
        start = page[-1].seq + 1
    assert {subject: stored.get(subject) for subject in acked} == acked


async def test_appends_to_a_hung_server_end_by_themselves(own_stream: Any, own_server: NatsServer) -> None:
    link: Link = own_stream.link
    for options in (
        AppendOptions(batch_threshold=2, timeout_seconds=0.3),
        AppendOptions(atomic=False, timeout_seconds=0.3),
    ):
        appender = Appender(link, options)
        own_server.freeze()
        verdicts = await asyncio.wait_for(
            asyncio.gather(*(appender.append(f"s.{n}", b"x") for n in range(50)), return_exceptions=True), 60
        )
        assert {type(verdict) for verdict in verdicts} == {NoAnswerError}
        own_server.thaw()
        await link.flush()
        assert appender.backlog == 0
