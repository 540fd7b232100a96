"""One connection: publish, request, subscribe, come back."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any

import pytest

from jetmill.bus.jetstream.client import FastClient
from jetmill.bus.jetstream.link import Frame, Link, LinkOptions
from jetmill.errors import BusError, DisconnectedError, NoAnswerError, PermissionDeniedError
from support.nats import NatsServer, find_free_port
from support.wait import eventually, soon

pytestmark = pytest.mark.integration


async def test_messages_arrive_in_order_with_reply_and_headers(link: Link) -> None:
    got: list[Frame] = []
    link.subscribe("t.order.*", got.append)
    link.publish("t.order.a", b"one", headers=b"Jm-Seq: 4\r\n")
    link.publish("t.order.b", b"", reply="t.answer")
    await link.flush()
    assert [(frame.subject, frame.reply, frame.payload) for frame in got] == [
        ("t.order.a", "", b"one"),
        ("t.order.b", "t.answer", b""),
    ]
    assert got[0].header("Jm-Seq") == "4"
    assert got[1].header("Jm-Seq") is None


async def test_a_long_message_arrives_whole(link: Link) -> None:
    got: list[Frame] = []
    link.subscribe("t.long", got.append)
    payloads = [bytes([number]) * 1_000_000 for number in range(20)]
    for payload in payloads:
        await link.room()
        link.publish("t.long", payload)
    await link.flush()
    assert [frame.payload for frame in got] == payloads


async def test_nothing_comes_after_unsubscribe(link: Link) -> None:
    got: list[Frame] = []
    subscription = link.subscribe("t.once", got.append)
    link.publish("t.once", b"1")
    await link.flush()
    subscription.unsubscribe()
    subscription.unsubscribe()
    link.publish("t.once", b"2")
    await link.flush()
    assert [frame.payload for frame in got] == [b"1"]


async def test_a_queue_group_shares_messages(link: Link) -> None:
    got: list[Frame] = []
    link.subscribe("t.group", got.append, queue="g")
    link.subscribe("t.group", got.append, queue="g")
    for _ in range(10):
        link.publish("t.group")
    await link.flush()
    assert len(got) == 10


async def test_requests_get_their_own_answers(link: Link) -> None:
    link.subscribe("t.echo", lambda frame: link.publish(frame.reply, frame.payload))
    answers = await soon(asyncio.gather(*(link.request("t.echo", b"%d" % number) for number in range(500))))
    assert [answer.payload for answer in answers] == [b"%d" % number for number in range(500)]


async def test_a_request_that_nobody_hears_fails_at_once_with_503(link: Link) -> None:
    with pytest.raises(BusError, match=r"t\.nobody") as caught:
        await link.request("t.nobody")
    assert caught.value.code == 503
    assert not isinstance(caught.value, NoAnswerError)


async def test_a_request_without_an_answer_ends_by_itself(link: Link) -> None:
    link.subscribe("t.mute", lambda _: None)
    with pytest.raises(NoAnswerError, match=r"t\.mute"):
        await soon(link.request("t.mute", timeout_seconds=0.1))


async def test_a_cancelled_request_is_forgotten(link: Link) -> None:
    asked: list[Frame] = []
    link.subscribe("t.late", asked.append)
    request = link.request("t.late")
    await link.flush()
    request.cancel()
    link.publish(asked[0].reply, b"too late")
    await link.flush()
    assert request.cancelled()


async def test_a_message_over_the_limit_is_refused_here(link: Link) -> None:
    with pytest.raises(BusError) as caught:
        link.publish("t.big", b"x" * (link.max_payload + 1))
    assert caught.value.code == 10054
    await link.flush()
    assert link.connected


async def test_the_server_tells_its_clock(link: Link) -> None:
    await link.sync_clock()
    before = link.now_us()
    assert abs(before - time.time_ns() // 1000) < 60_000_000
    assert link.now_us() >= before


async def test_a_stream_tells_the_clock_as_well(shared_server: NatsServer, connect: Any, stream: Any) -> None:
    link = await connect(shared_server, clock_subject=f"$JS.API.STREAM.INFO.{stream.name}")
    await link.sync_clock()


async def test_connecting_where_nobody_listens_fails_in_time() -> None:
    url = f"nats://127.0.0.1:{find_free_port()}"
    with pytest.raises(DisconnectedError, match=url):
        await soon(Link.connect(LinkOptions(url=url, connect_timeout_seconds=0.3)))


async def test_a_kill_fails_what_waits_and_a_restart_brings_it_all_back(own_server: NatsServer, connect: Any) -> None:
    link: Link = await connect(own_server)
    told: list[str] = []
    link.on_disconnect(lambda: told.append("down"))
    link.on_reconnect(lambda: told.append("up"))
    link.subscribe("t.mute", lambda _: None)
    got: list[Frame] = []
    link.subscribe("t.kept", got.append)
    waiting = link.request("t.mute", timeout_seconds=60)
    await link.flush()
    first = link.connected_since
    own_server.kill()
    with pytest.raises(NoAnswerError, match="broke"):
        await soon(waiting)
    assert not link.connected
    assert link.connected_since is None
    with pytest.raises(DisconnectedError):
        link.publish("t.kept", b"lost")
    with pytest.raises(DisconnectedError):
        await link.request("t.kept")
    with pytest.raises(DisconnectedError):
        await link.room()
    late: list[Frame] = []
    link.subscribe("t.late", late.append)
    own_server.restart()
    await eventually(lambda: link.connected)
    again: float | None = link.connected_since
    assert again is not None
    assert first is not None
    assert again > first
    link.publish("t.kept", b"kept")
    link.publish("t.late", b"late")
    await link.flush()
    assert [frame.payload for frame in got] == [b"kept"]
    assert [frame.payload for frame in late] == [b"late"]
    assert told == ["down", "up"]


async def test_what_was_buffered_for_a_dead_connection_is_not_sent_later(own_server: NatsServer, connect: Any) -> None:
    link: Link = await connect(own_server)
    other: Link = await connect(own_server)
    own_server.kill()
    link.publish("t.stale", b"x")  # the link does not know yet
    await eventually(lambda: not link.connected)
    got: list[Frame] = []
    other.subscribe("t.stale", got.append)
    own_server.restart()
    await eventually(lambda: link.connected and other.connected)
    await link.flush()
    await other.flush()
    assert got == []


async def test_a_link_survives_many_restarts(own_server: NatsServer, connect: Any) -> None:
    link: Link = await connect(own_server)
    link.subscribe("t.echo", lambda frame: link.publish(frame.reply, b"yes"))
    for _ in range(5):
        own_server.kill()
        await eventually(lambda: not link.connected)
        own_server.restart()
        await eventually(lambda: link.connected)
        assert (await soon(link.request("t.echo"))).payload == b"yes"


async def test_attempts_to_reconnect_come_slower_and_slower(own_server: NatsServer, connect: Any) -> None:
    link: Link = await connect(own_server)
    client: FastClient = link.client
    own_server.kill()
    began = time.monotonic()
    await eventually(lambda: client.attempts >= 6)
    assert time.monotonic() - began > 0.2 * 0.05 * (1 + 2 + 4 + 8 + 16)
    delays = [client.choose_server(client.server_pool, {})[1] for _ in range(200)]
    assert max(delays) <= 2.0
    assert min(delays[20:]) >= 0.4


async def test_wrong_credentials_are_an_error_not_a_wait(tmp_path: Any) -> None:
    config = 'authorization {user: "ann", password: "right"}'
    with NatsServer.start(tmp_path, config=config) as server:
        with pytest.raises(PermissionDeniedError):
            await soon(Link.connect(LinkOptions(url=server.url, user="ann", password="wrong")))
        link = await Link.connect(LinkOptions(url=server.url, user="ann", password="right"))
        assert link.connected
        await link.close()


async def test_closing_fails_what_waits_and_may_be_repeated(link: Link) -> None:
    link.subscribe("t.mute", lambda _: None)
    waiting = link.request("t.mute")
    await link.close()
    with pytest.raises(NoAnswerError):
        await waiting
    await link.close()
    assert not link.connected


async def test_nats_py_works_on_the_same_connection(link: Link) -> None:
    js = link.client.jetstream()
    kv = await js.create_key_value(bucket="link-test")
    await kv.put("key", b"value")
    assert (await kv.get("key")).value == b"value"
    watcher = await kv.watchall()
    update = await soon(watcher.updates())
    assert update is not None
    assert update.key == "key"
    await watcher.stop()
    await js.delete_key_value("link-test")


async def test_the_other_end_may_hang_and_the_connection_is_given_up(own_server: NatsServer, connect: Any) -> None:
    """SIGSTOP: no reset, no FIN; only unanswered pings tell."""
    link: Link = await connect(own_server, ping_interval_seconds=1.0)
    own_server.freeze()
    for _ in range(20):  # more than the socket takes: closing must not wait for it
        link.publish("t.full", b"x" * 1_000_000)
    await eventually(lambda: not link.connected)
    own_server.thaw()
    await eventually(lambda: link.connected)
    await link.flush()


async def test_an_attempt_to_reconnect_that_fails_half_way_leaves_no_connection_open(
    own_server: NatsServer, connect: Any
) -> None:
    """As behind a forwarded port or a load balancer: somebody accepts, and hangs up."""
    link = await connect(own_server)
    seen: list[asyncio.StreamWriter] = []

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer)
        writer.close()

    own_server.kill()
    impostor = await asyncio.start_server(hang_up, "127.0.0.1", own_server.port)
    async with impostor:
        await eventually(lambda: len(seen) >= 3)
    await asyncio.to_thread(own_server.restart)
    await eventually(lambda: link.connected)
    gc.collect()  # what nobody closed would warn here, and a warning fails the test
