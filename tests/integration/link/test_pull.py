"""Deliveries come as wanted, never more, and come again after every break."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from jetmill.bus.jetstream.append import Appender
from jetmill.bus.jetstream.link import Frame, Link
from jetmill.bus.jetstream.pull import Delivery, Pull, PullOptions
from jetmill.errors import BusError, NoAnswerError, NotFoundError
from support.nats import NatsServer
from support.wait import eventually, soon

pytestmark = pytest.mark.integration
SHORT = PullOptions(expires_seconds=1.0, heartbeat_seconds=0.3, backoff_seconds=0.02, backoff_max_seconds=0.2)


@pytest.fixture
async def queue(stream: Any) -> Any:
    """A work queue with the consumer `c`."""
    await stream.ask(f"STREAM.DELETE.{stream.name}", {})
    await stream.add(retention="workqueue")
    await stream.add_consumer(ack_wait=600 * 10**9)
    return stream


async def fill(link: Link, name: str, count: int, start: int = 0) -> None:
    appender = Appender(link)
    await soon(asyncio.gather(*(appender.append(f"{name}.{n}", b"%d" % n) for n in range(start, start + count))))


async def test_no_more_is_delivered_than_was_wanted(link: Link, queue: Any) -> None:
    await fill(link, queue.name, 20)
    got: list[Delivery] = []
    pull = Pull(link, queue.name, "c", got.append)
    pull.want(3)
    pull.want(4)
    assert pull.outstanding == 7
    await eventually(lambda: len(got) == 7)
    await link.flush()
    assert (len(got), pull.outstanding) == (7, 0)
    assert (await queue.consumer_info())["num_ack_pending"] == 7
    pull.stop()


async def test_everything_is_delivered_once_when_each_ack_asks_for_one_more(link: Link, queue: Any) -> None:
    await fill(link, queue.name, 3000)
    got: list[int] = []

    def take(delivery: Delivery) -> None:
        got.append(int(delivery.payload))
        delivery.ack()
        pull.want(1)

    pull = Pull(link, queue.name, "c", take)
    pull.want(50)
    await eventually(lambda: len(got) >= 3000, seconds=180)
    await link.flush()
    assert sorted(got) == list(range(3000))
    assert pull.outstanding == 50
    pull.stop()
    await eventually(lambda: is_empty(queue))


async def is_empty(queue: Any) -> bool:
    """The server deals with acks when it comes to it."""
    return bool((await queue.ask(f"STREAM.INFO.{queue.name}", {}))["state"]["messages"] == 0)


async def test_a_delivery_tells_where_it_stands(link: Link, queue: Any) -> None:
    before = link.now_us()
    link.publish(f"{queue.name}.x", b"body", headers=b"Jm-Seq: 9\r\n")
    await fill(link, queue.name, 1)

    async def both_are_ready() -> bool:
        return bool((await queue.consumer_info())["num_pending"] == 2)

    await eventually(both_are_ready)
    got: list[Delivery] = []
    pull = Pull(link, queue.name, "c", got.append)
    pull.want(1)
    await eventually(lambda: got)
    [delivery] = got
    assert (delivery.subject, delivery.payload, delivery.header("Jm-Seq")) == (f"{queue.name}.x", b"body", "9")
    assert (delivery.stream_seq, delivery.consumer_seq, delivery.num_delivered, delivery.num_pending) == (1, 1, 1, 1)
    assert before - 1_000_000 < delivery.timestamp_us < link.now_us() + 1_000_000
    pull.stop()


async def test_what_is_naked_comes_again_and_counts(link: Link, queue: Any) -> None:
    await fill(link, queue.name, 1)
    got: list[Delivery] = []
    pull = Pull(link, queue.name, "c", got.append)
    pull.want(3)
    await eventually(lambda: len(got) == 1)
    got[0].nak()
    await eventually(lambda: len(got) == 2)
    began = time.monotonic()
    got[1].nak(delay_seconds=0.3)
    await eventually(lambda: len(got) == 3)
    assert time.monotonic() - began > 0.25
    assert [delivery.num_delivered for delivery in got] == [1, 2, 3]
    pull.stop()


async def test_a_renewed_pull_is_served_at_once_by_a_consumer_that_was_resumed(link: Link, queue: Any) -> None:
    """With a heartbeat that is further away than the patience of a test: the server alone would not wake up."""
    pause = f"CONSUMER.PAUSE.{queue.name}.c"
    await queue.ask(pause, {"pause_until": "2999-01-01T00:00:00Z"})
    await fill(link, queue.name, 5)
    got: list[Delivery] = []
    pull = Pull(link, queue.name, "c", got.append, options=PullOptions(expires_seconds=900.0, heartbeat_seconds=400.0))
    pull.want(3)
    await link.flush()
    await queue.ask(pause, {})
    pull.renew()
    await eventually(lambda: len(got) == 3)
    await link.flush()
    assert (len(got), pull.outstanding) == (3, 0)
    pull.stop()


async def test_what_is_termed_is_gone_and_the_server_tells_the_reason(link: Link, queue: Any) -> None:
    advisories: list[Frame] = []
    link.subscribe(f"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.{queue.name}.c", advisories.append)
    await fill(link, queue.name, 1)
    got: list[Delivery] = []
    pull = Pull(link, queue.name, "c", got.append)
    pull.want(1)
    await eventually(lambda: got)
    got[0].term("poison\r\npill")
    await eventually(lambda: advisories)
    assert msgspec.json.decode(advisories[0].payload)["reason"] == "poison pill"
    pull.stop()


async def test_working_holds_a_delivery_beyond_ack_wait_from_another_connection_too(
    shared_server: NatsServer, connect: Any, link: Link, stream: Any
) -> None:
    await stream.add_consumer(ack_wait=2_000_000_000)
    other: Link = await connect(shared_server)
    await fill(link, stream.name, 2)
    got: list[Delivery] = []
    pull = Pull(link, stream.name, "c", got.append)
    pull.want(2)
    await eventually(lambda: len(got) == 2)
    pull.want(1)
    end = time.monotonic() + 5.0

    def keep_first() -> bool:
        other.publish(got[0].reply, b"+WPI")
        return time.monotonic() > end

    await eventually(keep_first)
    assert {delivery.stream_seq for delivery in got[2:]} == {2}
    got[0].working()
    await soon(got[0].ack_sync())
    pull.stop()


async def test_ack_sync_says_when_the_server_has_it(link: Link, queue: Any) -> None:
    await fill(link, queue.name, 1)
    got: list[Delivery] = []
    pull = Pull(link, queue.name, "c", got.append)
    pull.want(1)
    await eventually(lambda: got)
    await soon(got[0].ack_sync())
    await eventually(lambda: is_empty(queue))
    pull.stop()


async def test_a_pull_that_stops_leaves_the_rest_to_another(
    shared_server: NatsServer, connect: Any, link: Link, queue: Any
) -> None:
    first: list[Delivery] = []
    second: list[Delivery] = []
    pull = Pull(link, queue.name, "c", first.append)
    pull.want(1000)
    await fill(link, queue.name, 1)
    await eventually(lambda: first)
    pull.stop()
    pull.stop()
    assert pull.outstanding == 0
    other = Pull(await connect(shared_server), queue.name, "c", second.append)
    other.want(1000)
    await fill(link, queue.name, 500, start=1)
    await eventually(lambda: len(second) == 500)
    assert len(first) == 1
    other.stop()


async def test_what_is_on_the_wire_at_the_stop_goes_back(
    shared_server: NatsServer, connect: Any, link: Link, queue: Any
) -> None:
    """`ack_wait` is ten minutes: only a nak brings them to the other in time."""
    await fill(link, queue.name, 2000)
    first: list[Delivery] = []

    def take(delivery: Delivery) -> None:
        first.append(delivery)
        pull.stop()

    pull = Pull(link, queue.name, "c", take)
    pull.want(2000)
    await eventually(lambda: first)
    second: list[Delivery] = []
    other = Pull(await connect(shared_server), queue.name, "c", second.append)
    other.want(2000)
    await eventually(lambda: len(second) == 1999)
    assert len(first) == 1
    other.stop()


async def test_a_request_that_expires_is_made_again(link: Link, queue: Any) -> None:
    got: list[Delivery] = []
    requests: list[Frame] = []
    link.subscribe(f"$JS.API.CONSUMER.MSG.NEXT.{queue.name}.c", requests.append)
    pull = Pull(link, queue.name, "c", got.append, options=SHORT)
    pull.want(5)
    await eventually(lambda: len(requests) >= 3)
    assert pull.outstanding == 5
    await fill(link, queue.name, 8)
    await eventually(lambda: len(got) == 5)
    await link.flush()
    assert len(got) == 5
    pull.stop()


async def test_a_consumer_that_is_missing_is_told_and_waited_for_without_haste(link: Link, queue: Any) -> None:
    errors: list[BusError] = []
    got: list[Delivery] = []
    pull = Pull(link, queue.name, "later", got.append, on_error=errors.append, options=SHORT)
    began = time.monotonic()
    pull.want(2)
    await eventually(lambda: len(errors) >= 4)
    assert time.monotonic() - began > 0.5 * 0.02 * (1 + 2 + 4)
    assert all(isinstance(error, NotFoundError) for error in errors)
    await queue.ask(f"CONSUMER.DELETE.{queue.name}.c", {})
    await queue.add_consumer("later")
    await fill(link, queue.name, 3)
    await eventually(lambda: len(got) == 2)
    pull.stop()


async def test_a_consumer_that_is_deleted_and_made_anew_goes_on(link: Link, queue: Any) -> None:
    got: list[Delivery] = []
    errors: list[BusError] = []
    pull = Pull(link, queue.name, "c", got.append, on_error=errors.append, options=SHORT)
    pull.want(3)
    await fill(link, queue.name, 1)
    await eventually(lambda: len(got) == 1)
    got[0].ack()
    await queue.ask(f"CONSUMER.DELETE.{queue.name}.c", {})
    await eventually(lambda: errors)
    await queue.add_consumer()
    await fill(link, queue.name, 5, start=1)
    await eventually(lambda: len(got) == 3)
    pull.stop()


async def test_a_server_that_refuses_every_pull_is_asked_slower_and_slower(link: Link, stream: Any) -> None:
    """Somebody answers 409 to each request, as a consumer with too many waiters does."""
    asked: list[float] = []

    def refuse(frame: Frame) -> None:
        asked.append(time.monotonic())
        link.client.write(_status_frame(frame.reply_raw, b"409 Exceeded MaxWaiting"))

    link.subscribe("$JS.API.CONSUMER.MSG.NEXT.other.c", refuse)
    pull = Pull(link, "other", "c", lambda _: None, options=SHORT)
    pull.want(10)
    await eventually(lambda: len(asked) >= 5)
    gaps = [after - before for before, after in pairwise(asked)]
    assert all(gap >= 0.5 * 0.02 * 2**number for number, gap in enumerate(gaps[:4]))
    assert pull.outstanding == 10
    pull.stop()


def _status_frame(subject: bytes, status: bytes) -> bytes:
    head = b"NATS/1.0 " + status + b"\r\n\r\n"
    return b"HPUB %b %d %d\r\n%b\r\n" % (subject, len(head), len(head), head)


async def test_a_consumer_that_falls_silent_is_asked_anew(link: Link, stream: Any) -> None:
    """Somebody takes the request and never says a word: no heartbeat."""
    asked: list[Frame] = []
    errors: list[BusError] = []
    link.subscribe("$JS.API.CONSUMER.MSG.NEXT.silent.c", asked.append)
    pull = Pull(link, "silent", "c", lambda _: None, on_error=errors.append, options=SHORT)
    pull.want(1)
    await eventually(lambda: len(asked) >= 2)
    assert asked[0].reply != asked[1].reply
    assert isinstance(errors[0], NoAnswerError)
    pull.stop()


def has(deliveries: list[Delivery], payload: bytes) -> bool:
    return any(delivery.payload == payload for delivery in deliveries)


async def test_pulls_go_on_after_the_server_was_killed(own_stream: Any, own_server: NatsServer) -> None:
    link: Link = own_stream.link
    await own_stream.add_consumer()
    got: list[Delivery] = []
    pull = Pull(link, "s", "c", got.append)
    pull.want(10)
    await fill(link, "s", 1)
    await eventually(lambda: len(got) == 1)
    got[0].ack()
    await link.flush()
    for round_ in range(1, 4):
        own_server.kill()
        await eventually(lambda: not link.connected)
        got[0].nak()  # lost, and no error
        own_server.restart()
        await eventually(lambda: link.connected)
        await fill(link, "s", 1, start=round_)
        payload = str(round_).encode()
        await eventually(partial(has, got, payload))
    assert len(got) + pull.outstanding == 10
    pull.stop()


async def test_a_graceful_shutdown_is_no_error(own_stream: Any, own_server: NatsServer) -> None:
    link: Link = own_stream.link
    await own_stream.add_consumer()
    got: list[Delivery] = []
    pull = Pull(link, "s", "c", got.append)
    pull.want(5)
    await link.flush()
    own_server.stop()
    await eventually(lambda: not link.connected)
    own_server.restart()
    await eventually(lambda: link.connected)
    await fill(link, "s", 9)
    await eventually(lambda: len(got) == 5)
    pull.stop()
