"""Streams over real sockets: every event comes once, or a gap says so, whatever becomes of clients, gateways and NATS.

Each test compares sets: what was published, what came, what was said to be missing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from factories import make_call
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.client.client import Client
from support.listener import Balancer, GateProcess, Listener
from support.nats import NatsServer
from support.rawsocket import RawSocket, open_events
from support.stream import Tally, append
from support.wait import eventually, soon

pytestmark = pytest.mark.integration
StartGate = Callable[..., GateProcess]
CALL = make_call(labels={"filler": "x" * 400})
"""Makes events large, so that few of them fill a buffer."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path_factory.mktemp("stream")) as server:
        yield server


@pytest.fixture
async def bus(server: NatsServer) -> AsyncIterator[Bus]:
    bus = await connect(BusOptions(url=server.url, namespace=f"s-{secrets.token_hex(6)}"))
    await bus.admin.apply_namespace()
    yield bus
    await bus.link.close()


@pytest.fixture
def start_gate(server: NatsServer, bus: Bus) -> Iterator[StartGate]:
    """Start gateways of the test's namespace, which die with it."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(
            GateProcess.start(server.url, bus.subjects.namespace, **{"window_seconds": 0.02, **options})
        )


async def publish(bus: Bus, count: int, *, at_once: int = 25) -> list[int]:
    """Events in small batches, each of them acknowledged; their sequences."""
    seqs: list[int] = []
    for _ in range(0, count, at_once):
        seqs += await append(bus, at_once, call=CALL)
    return seqs


async def stop_all(listeners: list[Listener]) -> None:
    await asyncio.gather(*(listener.stop() for listener in listeners))


async def test_two_gateways_give_every_client_everything_once(bus: Bus, start_gate: StartGate) -> None:
    gates = [start_gate(), start_gate()]
    listeners = [Listener(gate.url, topic) for gate in gates for topic in ("namespace", "jobs:send-email") * 3]
    assert {await listener.ready() for listener in listeners} == {0}
    seqs = await publish(bus, 1000)
    for listener in listeners:
        await listener.reached(seqs[-1])
        listener.check(listener.topic, seqs)
        assert not listener.gaps
    await stop_all(listeners)


async def test_messages_reach_clients_of_every_gateway(bus: Bus, start_gate: StartGate) -> None:
    gates = [start_gate(), start_gate()]
    listeners = [Listener(gate.url, topic) for gate in gates for topic in ("topic:news", "user")]
    for listener in listeners:
        await eventually(lambda listener=listener: listener.of_type("subscribed"))  # type: ignore[misc]
    client = Client(bus=bus, by="test")
    for number in range(50):
        await client.broadcast("news", number)
        await client.send_to_user("ada", -number)
        await client.send_to_user("bob", "not for ada")

    def heard(listener: Listener) -> list[Any]:
        return [item["data"] for frame in listener.of_type("messages") for item in frame["items"]]

    for listener in listeners:
        sign = 1 if listener.topic == "topic:news" else -1
        await eventually(lambda listener=listener: len(heard(listener)) >= 50)  # type: ignore[misc]
        assert heard(listener) == [sign * number for number in range(50)]
    await stop_all(listeners)


async def test_a_gateway_that_is_told_to_end_closes_with_1012_and_clients_resume_without_loss(
    bus: Bus, start_gate: StartGate
) -> None:
    first = start_gate()
    async with Balancer() as balancer:
        balancer.ports = [first.port]
        listeners = [Listener(balancer.url) for _ in range(8)]
        for listener in listeners:
            await listener.ready()
        publishing = asyncio.create_task(publish(bus, 1000))
        await listeners[0].reached(200)
        balancer.ports = [start_gate().port]
        await soon(first.end())
        seqs = await publishing
        for listener in listeners:
            await listener.reached(seqs[-1])
            listener.check("namespace", seqs)
            assert not listener.gaps
            assert listener.codes == [1012]
        await stop_all(listeners)


async def test_a_gateway_that_is_killed_loses_nobody_anything(bus: Bus, start_gate: StartGate) -> None:
    gates = [start_gate(), start_gate()]
    async with Balancer() as balancer:
        balancer.ports = [gate.port for gate in gates]
        listeners = [Listener(balancer.url) for _ in range(8)]
        for listener in listeners:
            await listener.ready()
        publishing = asyncio.create_task(publish(bus, 1000))
        await listeners[0].reached(200)
        gates[0].kill()
        await listeners[0].reached(600)
        balancer.cut()
        seqs = await publishing
        for listener in listeners:
            await listener.reached(seqs[-1])
            listener.check("namespace", seqs)
            assert not listener.gaps
        await stop_all(listeners)


async def test_clients_that_die_and_clients_that_are_slow_cost_the_others_nothing(
    bus: Bus, start_gate: StartGate
) -> None:
    gates = [start_gate(max_frames=8, stall_seconds=600.0, patience_seconds=600.0) for _ in range(2)]
    tallies: dict[RawSocket, Tally] = {}
    dying = [await open_raw(gate.url, tallies) for gate in gates for _ in range(10)]
    slow = [await open_raw(gate.url, tallies) for gate in gates for _ in range(3)]
    fast = [Listener(gate.url) for gate in gates for _ in range(3)]
    for listener in fast:
        await listener.ready()
    for socket in slow:
        socket.stop_reading()
    publishing = asyncio.create_task(publish(bus, 5_000, at_once=50))
    for number, socket in enumerate(dying, 1):
        await fast[number % len(fast)].reached(number * 50)
        socket.abort()
    seqs = await publishing
    for listener in fast:
        await listener.reached(seqs[-1])
        assert not listener.lost("namespace", seqs)
        listener.check("namespace", seqs)
    for socket in slow:
        socket.transport.resume_reading()
    last = await publish(bus, 25)
    for socket in slow:
        tally = tallies[socket]
        await eventually(lambda tally=tally: tally.cursor.get("namespace", 0) >= last[-1])  # type: ignore[misc]
        assert tally.gaps, "it read nothing while megabytes came: there must be a gap"
        tally.check("namespace", seqs + last)
        socket.close()
    await stop_all(fast)


async def open_raw(url: str, tallies: dict[RawSocket, Tally]) -> RawSocket:
    """A socket that subscribes to everything, with a small receive buffer (smaller than a segment, it would crawl)."""
    tally = Tally()
    socket = await RawSocket.connect(url, lambda _socket, text, _now: tally.add(text), receive_bytes=262_144)
    tallies[socket] = tally
    socket.send('{"op":"subscribe","topic":"namespace"}')
    await eventually(lambda: tally.of_type("subscribed"))
    return socket


async def test_a_client_that_never_reads_costs_bounded_memory_and_is_sent_away(bus: Bus, start_gate: StartGate) -> None:
    gate = start_gate(max_bytes=200_000, stall_seconds=2.0, patience_seconds=3.0, ring=500, backlog=100)
    process = psutil.Process(gate.pid)
    witness = Listener(gate.url)
    await witness.ready()
    await witness.reached((await publish(bus, 2_000, at_once=100))[-1])  # its ring is full: it grows no more
    tallies: dict[RawSocket, Tally] = {}
    stuck = [await open_raw(gate.url, tallies) for _ in range(20)]
    before = process.memory_info().rss
    for socket in stuck:
        socket.stop_reading()
    seqs = await publish(bus, 8_000, at_once=100)
    await witness.reached(seqs[-1])
    grown = process.memory_info().rss - before
    assert grown < 20 * (200_000 + 150_000) + 10_000_000, f"{grown / 1e6:.1f} MB for {len(stuck)} clients"
    await eventually(lambda: count_connections(process) == 1, what="only the witness is left")
    for socket in stuck:
        socket.transport.resume_reading()
        await soon(socket.closed)
        assert socket.code in (4008, 1006)
    assert not witness.lost("namespace", seqs)
    await witness.stop()


async def test_a_reader_of_server_sent_events_that_never_reads_is_cut_off(bus: Bus, start_gate: StartGate) -> None:
    gate = start_gate(max_bytes=200_000, stall_seconds=2.0, patience_seconds=3.0, ring=500, backlog=100)
    process = psutil.Process(gate.pid)
    witness = Listener(gate.url)
    await witness.ready()
    await witness.reached((await publish(bus, 2_000, at_once=100))[-1])
    before = process.memory_info().rss
    stuck = [await soon(open_events(gate.port, "namespace")) for _ in range(20)]
    seqs = await publish(bus, 8_000, at_once=100)
    await witness.reached(seqs[-1])
    grown = process.memory_info().rss - before
    assert grown < 20 * (200_000 + 150_000) + 10_000_000, f"{grown / 1e6:.1f} MB for {len(stuck)} readers"
    await eventually(lambda: count_connections(process) == 1, what="only the witness is left")
    for reader in stuck:
        reader.close()
    assert not witness.lost("namespace", seqs)
    await witness.stop()


def count_connections(process: psutil.Process) -> int:
    """Sockets of clients that the gateway still has, those to NATS apart."""
    mine = {one.laddr.port for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN}
    return sum(
        1
        for one in process.net_connections("tcp")
        if one.status != psutil.CONN_LISTEN and one.laddr.port in mine and one.fd != -1
    )


async def test_nats_may_go_and_come_back(tmp_path: Path) -> None:
    namespace = "shop"
    with (
        NatsServer.start(tmp_path, sync_interval="always") as nats,
        GateProcess.start(nats.url, namespace, window_seconds=0.02) as gate,
    ):
        bus = await connect(BusOptions(url=nats.url, namespace=namespace))
        await bus.admin.apply_namespace()
        listeners = [Listener(gate.url), Listener(gate.url, "topic:news")]
        await eventually(lambda: all(listener.of_type("subscribed") for listener in listeners))
        seqs = await publish(bus, 200)
        nats.kill()
        await eventually(lambda: not bus.link.connected)
        nats.restart()
        await eventually(lambda: bus.link.connected)
        seqs += await publish(bus, 200)
        await listeners[0].reached(seqs[-1])
        listeners[0].check("namespace", seqs)
        gap = await eventually(lambda: listeners[1].of_type("gap"))
        assert gap[0]["reason"] == "disconnected"
        await stop_all(listeners)
        await bus.link.close()


class EventSource(Tally):
    """Server-sent events, read by lines; reconnects by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.last_id = ""
        self.kinds: list[str] = []

    async def read(self, url: str, *, until: int | None = None) -> None:
        """Read until a sequence was told, or the stream ends."""
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        async with (
            httpx.AsyncClient(timeout=60.0, trust_env=False) as client,
            client.stream("GET", url, headers=headers) as response,
        ):
            assert response.headers["content-type"] == "text/event-stream"
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last_id = value
                elif name == "event":
                    self.kinds.append(value)
                elif name == "data":
                    frame = self.add(value)
                    assert frame["type"] == self.kinds[-1]
                    if until is not None and self.cursor.get("namespace", 0) >= until:
                        return


async def test_server_sent_events_resume_by_last_event_id_at_another_gateway(bus: Bus, start_gate: StartGate) -> None:
    first, second = start_gate(), start_gate()
    path = "sse?topic=namespace&topic=event:doc.*&topic=topic:news"
    source = EventSource()
    reading = asyncio.create_task(source.read(f"http://127.0.0.1:{first.port}/{path}"))
    await eventually(lambda: len(source.of_type("subscribed")) == 3)
    await bus.events.publish("doc.created", b'{"n":1}', event_id="1")
    seqs = await publish(bus, 500)
    await eventually(lambda: source.cursor.get("namespace", 0) >= 100)
    await soon(first.end())
    await soon(reading)
    assert source.frames[-1] == {"type": "end", "code": 1012, "detail": "the gateway restarts"}
    seqs += await publish(bus, 500)
    await bus.events.publish("doc.changed", b'{"n":2}', event_id="2")
    await soon(source.read(f"http://127.0.0.1:{second.port}/{path}", until=seqs[-1]))
    source.check("namespace", seqs)
    source.check("event:doc.*", [1, 2] if len(source.seen["event:doc.*"]) == 2 else [1])
    assert source.last_id.count(",") == 2
    assert source.last_id.endswith(",-")


async def open_junk(url: str) -> tuple[RawSocket, Tally]:
    answers = Tally()
    return await RawSocket.connect(url, lambda _socket, text, _now: answers.add(text)), answers


async def test_frames_that_no_client_would_send_do_no_harm(bus: Bus, start_gate: StartGate) -> None:
    gate = start_gate()
    witness = Listener(gate.url)
    await witness.ready()
    for junk in ("", "{", "[" * 5000, "x" * 100_000, '{"op":"subscribe","topic":"\\u0000"}', "null"):
        socket, answers = await open_junk(gate.url)
        for _ in range(12):
            socket.send(junk)
        await eventually(lambda to=answers: to.of_type("error"))  # type: ignore[misc]
        socket.send(msgspec.json.encode({"op": "ping"}).decode())
        await eventually(lambda one=socket, to=answers: to.of_type("pong") or one.code == 4400)  # type: ignore[misc]
        socket.close()
    seqs = await publish(bus, 50)
    await witness.reached(seqs[-1])
    witness.check("namespace", seqs)
    await witness.stop()
