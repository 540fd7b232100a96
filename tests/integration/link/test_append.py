"""Appends get a verdict each, alone or in batches."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from jetmill.bus.jetstream.append import Appender, AppendOptions
from jetmill.bus.jetstream.link import Link
from jetmill.bus.jetstream.pace import LARGE_BATCH, NEVER, Pace
from jetmill.bus.jetstream.read import Reader
from jetmill.errors import BusError, DisconnectedError, NotFoundError, RefusedError
from support.nats import NatsServer
from support.wait import soon

pytestmark = pytest.mark.integration
EAGER = AppendOptions(batch_threshold=2, batch_size=50)
"""Batches whenever two wait."""
SINGLE = AppendOptions(atomic=False)


@pytest.fixture(params=[EAGER, SINGLE, AppendOptions()], ids=["batches", "singles", "as it comes"])
def appender(request: pytest.FixtureRequest, link: Link) -> Appender:
    return Appender(link, request.param)


async def settle(futures: list[asyncio.Future[int]]) -> list[int | BaseException]:
    return await soon(asyncio.gather(*futures, return_exceptions=True))


async def test_an_append_gives_the_sequence_that_it_got(appender: Appender, stream: Any, reader: Reader) -> None:
    seq = await soon(appender.append(f"{stream.name}.a", b"x", expected=0, headers=b"Jm-A: 1\r\n"))
    message = await reader.get_last(stream.name, f"{stream.name}.a")
    assert message is not None
    assert (message.seq, message.payload, message.header("Jm-A")) == (seq, b"x", "1")


async def test_every_append_of_many_has_its_own_sequence(appender: Appender, stream: Any, reader: Reader) -> None:
    subjects = [f"{stream.name}.{number}" for number in range(1200)]
    seqs = await settle([appender.append(subject, subject.encode(), expected=0) for subject in subjects])
    assert sorted(seqs) == list(range(1, 1201))  # type: ignore[type-var]
    assert appender.backlog == 0
    for number in (0, 1, 49, 50, 600, 1199):
        message = await reader.get_seq(stream.name, seqs[number])  # type: ignore[arg-type]
        assert message is not None
        assert (message.subject, message.payload) == (subjects[number], subjects[number].encode())


async def test_a_wrong_expectation_is_refused(appender: Appender, stream: Any) -> None:
    first = await soon(appender.append(f"{stream.name}.a", b"1", expected=0))
    with pytest.raises(RefusedError) as caught:
        await soon(appender.append(f"{stream.name}.a", b"2", expected=0))
    assert caught.value.code == 10071
    assert await soon(appender.append(f"{stream.name}.a", b"2", expected=first)) > first


async def test_one_conflict_refuses_only_its_own_append(appender: Appender, stream: Any, reader: Reader) -> None:
    taken = {7, 120, 121}
    for number in taken:
        await appender.append(f"{stream.name}.{number}", b"first", expected=0)
    verdicts = await settle([appender.append(f"{stream.name}.{n}", b"second", expected=0) for n in range(200)])
    assert {number for number, verdict in enumerate(verdicts) if isinstance(verdict, RefusedError)} == taken
    for number, verdict in enumerate(verdicts):
        message = await reader.get_last(stream.name, f"{stream.name}.{number}")
        assert message is not None
        assert message.payload == (b"first" if number in taken else b"second")
        assert number in taken or message.seq == verdict


async def test_appends_to_one_subject_keep_their_order(appender: Appender, stream: Any, reader: Reader) -> None:
    """No batch holds a subject twice, so nothing is lost or swapped by batching."""
    seqs = await settle([appender.append(f"{stream.name}.{n % 3}", b"%d" % n) for n in range(90)])
    messages = await reader.direct_batch(stream.name, start_seq=1, subject_filter=f"{stream.name}.0", batch=100)
    assert [message.payload for message in messages] == [b"%d" % n for n in range(0, 90, 3)]
    assert len(set(seqs)) == 90


async def test_a_full_stream_is_an_error_with_its_code(appender: Appender, link: Link, stream: Any) -> None:
    await stream.ask(
        f"STREAM.UPDATE.{stream.name}",
        {
            "name": stream.name,
            "subjects": [f"{stream.name}.>"],
            "allow_direct": True,
            "allow_atomic": True,
            "max_msgs": 5,
            "discard": "new",
        },
    )
    verdicts = await settle([appender.append(f"{stream.name}.{n}", b"x", expected=0) for n in range(20)])
    stored = [verdict for verdict in verdicts if isinstance(verdict, int)]
    refused = [verdict for verdict in verdicts if isinstance(verdict, BusError)]
    assert len(stored) == 5
    assert {error.code for error in refused} == {10077}
    assert not any(isinstance(error, RefusedError) for error in refused)


async def test_what_is_too_big_is_an_error_for_itself_alone(appender: Appender, link: Link, stream: Any) -> None:
    payloads = [b"x", b"x" * (link.max_payload + 1), b"x"]
    verdicts = await settle([appender.append(f"{stream.name}.{n}", body) for n, body in enumerate(payloads)])
    assert isinstance(verdicts[0], int)
    assert isinstance(verdicts[2], int)
    assert isinstance(verdicts[1], BusError)
    assert verdicts[1].code == 10054
    assert appender.backlog == 0


async def test_a_subject_that_no_stream_takes_is_an_error_for_itself_alone(appender: Appender, stream: Any) -> None:
    subjects = [f"{stream.name}.a", "t.no.stream", f"{stream.name}.b"]
    verdicts = await settle([appender.append(subject, b"x") for subject in subjects])
    assert isinstance(verdicts[0], int)
    assert isinstance(verdicts[2], int)
    assert isinstance(verdicts[1], BusError)
    assert verdicts[1].code == 503


async def test_a_stream_without_batches_gets_singles(link: Link, stream: Any) -> None:
    await stream.ask(f"STREAM.DELETE.{stream.name}", {})
    await stream.add(allow_atomic=False)
    appender = Appender(link, EAGER)
    verdicts = await settle([appender.append(f"{stream.name}.{n}", b"x", expected=0) for n in range(300)])
    assert sorted(verdicts) == list(range(1, 301))  # type: ignore[type-var]


async def test_large_batches_beside_each_other_keep_within_the_servers_limits(link: Link, stream: Any) -> None:
    appenders = [Appender(link, AppendOptions(batch_threshold=2)) for _ in range(3)]
    verdicts = await settle(
        [
            appender.append(f"{stream.name}.{name}.{number}", b"x" * 100, expected=0)
            for number in range(2000)
            for name, appender in enumerate(appenders)
        ]
    )
    assert sorted(verdicts) == list(range(1, 6001))  # type: ignore[type-var]


async def test_what_fills_a_batch_leaves_before_the_caller_goes_on(
    link: Link, stream: Any, shared_server: NatsServer
) -> None:
    """The server begins with it while the loop is still busy making more."""
    appender = Appender(link)
    futures = [appender.append(f"{stream.name}.{number}", b"x") for number in range(LARGE_BATCH)]
    end = time.monotonic() + 30
    while shared_server.ask(f"$JS.API.STREAM.INFO.{stream.name}").get("state", {}).get("messages", 0) < LARGE_BATCH:
        assert time.monotonic() < end, "nothing has left, and the loop had no turn"
    assert len(set(await settle(futures))) == LARGE_BATCH


async def test_room_waits_for_the_backlog_to_shrink(appender: Appender, stream: Any) -> None:
    futures = [appender.append(f"{stream.name}.{number}", b"x") for number in range(500)]
    assert appender.backlog == 500
    await soon(appender.room(100))
    assert appender.backlog < 100
    await settle(futures)


async def test_a_cancelled_future_harms_nothing(appender: Appender, stream: Any) -> None:
    futures = [appender.append(f"{stream.name}.{number}", b"x", expected=0) for number in range(100)]
    for future in futures[::2]:
        future.cancel()
    verdicts = await settle(futures)
    assert all(isinstance(verdict, int) for verdict in verdicts[1::2])
    assert await soon(appender.append(f"{stream.name}.0", b"x", expected=None)) > 0


async def test_appending_after_the_close_is_an_error(appender: Appender, link: Link, stream: Any) -> None:
    await link.close()
    with pytest.raises(DisconnectedError):
        await appender.append(f"{stream.name}.a", b"x")


async def test_reading_a_stream_that_is_not_there_is_an_error(reader: Reader) -> None:
    with pytest.raises(NotFoundError):
        await reader.last_seq("nosuch")


def feed(pace: Pace, *, single_us: float, until: float, since: float = 1.0, in_flight: int = 64) -> None:
    """Singles at this price, one after the other, eight answers at a look."""
    now = since
    while now < until:
        pace.observe(now, singles=8, members=0, singles_in_flight=in_flight, batches_in_flight=0)
        now += single_us * 8 / 1e6


def feed_batches(pace: Pace, *, member_us: float, since: float, batches: int = 8) -> None:
    """Large batches at this price, three under way at each look."""
    for number in range(batches):
        pace.observe(
            since + number * LARGE_BATCH * member_us / 1e6,
            singles=0,
            members=LARGE_BATCH,
            singles_in_flight=0,
            batches_in_flight=3,
        )


def test_nothing_is_batched_before_singles_are_known_to_be_dear() -> None:
    pace = Pace()
    assert pace.threshold == NEVER
    feed(pace, single_us=200, until=2.0)
    assert pace.threshold <= 20


def test_batches_do_not_pay_where_singles_are_cheap() -> None:
    pace = Pace()
    window = pace.window
    feed(pace, single_us=20, until=1.1)
    assert pace.threshold == NEVER
    assert pace.window > window


def test_batches_that_cost_as_much_as_singles_are_given_up() -> None:
    """A slow machine: singles look dear, because everything is."""
    pace = Pace()
    window = pace.window
    feed(pace, single_us=90, until=2.0)
    assert pace.threshold == LARGE_BATCH  # tried with such as can be measured
    feed_batches(pace, member_us=80, since=2.0)
    assert pace.threshold == NEVER
    assert pace.window == window  # for a dear single waits for all that are before it
    feed(pace, single_us=90, since=10.0, until=11.0)
    assert pace.threshold == NEVER


def test_batches_that_pay_go_on() -> None:
    pace = Pace()
    feed(pace, single_us=90, until=2.0)
    feed_batches(pace, member_us=25, since=2.0)
    assert pace.threshold <= 40


def test_the_time_of_small_batches_is_not_that_of_large_ones() -> None:
    pace = Pace()
    feed(pace, single_us=200, until=2.0)
    now = 3.0
    for _ in range(20):
        for _ in range(20):
            pace.skip_batches()
            pace.observe(now, singles=0, members=0, singles_in_flight=0, batches_in_flight=3)
            now += 0.003
        pace.observe(now, singles=0, members=LARGE_BATCH, singles_in_flight=0, batches_in_flight=3)
    assert pace.threshold <= 20


def test_the_price_of_a_single_is_measured_anew_after_a_while_of_batches() -> None:
    pace = Pace()
    feed(pace, single_us=200, until=2.0)
    feed_batches(pace, member_us=20, since=3.0)
    assert pace.threshold <= 20
    feed_batches(pace, member_us=20, since=40.0, batches=1)
    assert pace.threshold == NEVER
    feed(pace, single_us=20, since=41.0, until=42.0)
    assert pace.threshold == NEVER


def test_a_hiccup_of_the_machine_does_not_make_batches_pay() -> None:
    pace = Pace()
    feed(pace, single_us=20, until=1.05)
    feed(pace, single_us=20, since=1.5, until=1.55)
    assert pace.threshold == NEVER


def test_a_single_that_comes_in_bursts_is_measured_over_many_of_them() -> None:
    """Answers come together: each look finds all of them or none."""
    pace = Pace()
    for burst in range(40):
        now = 1.0 + burst
        pace.begin(now, singles_in_flight=32, batches_in_flight=0)
        pace.observe(now + 0.0064, singles=32, members=0, singles_in_flight=0, batches_in_flight=0)
    assert pace.single_us == pytest.approx(200)


def test_a_broken_connection_is_nobodys_price() -> None:
    pace = Pace()
    for round_ in range(4):
        now = 1.0 + round_ * 100
        pace.begin(now, singles_in_flight=256, batches_in_flight=0)
        pace.interrupt()
        pace.observe(now + 60, singles=256, members=0, singles_in_flight=0, batches_in_flight=0)
    assert pace.single_us is None


def test_an_idle_server_teaches_nothing_about_its_pace() -> None:
    pace = Pace()
    for turn in range(2000):  # slow, but because little is asked
        pace.observe(1.0 + turn * 0.1, singles=1, members=0, singles_in_flight=1, batches_in_flight=0)
    assert pace.single_us is None
