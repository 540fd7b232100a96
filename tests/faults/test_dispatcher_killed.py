"""Dispatchers that die by SIGKILL at random moments: every event reaches its receiver, under one id."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from faults.harness import HANG_SECONDS, LEASE_SECONDS, ROUNDS, keeping, pause, random_moment
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.ledger.verify import verify
from jetmill.protocol.identity import id_from_key
from jetmill.protocol.record import JobSettings
from support.dispatch import make_webhook
from support.dispatcher import DispatcherProcess
from support.nats import NatsServer
from support.receiver import Received, Receiver, reply
from support.wait import eventually

KILLS = max(10, ROUNDS // 2)
EVENTS = 20
"""Published in each round."""


async def _declare(bus: Bus, name: str, url: str) -> None:
    settings = JobSettings(
        job=f"wh--{name}",
        uid=f"uid-of-{name}",
        concurrency=8,
        executor="async",
        timeout_seconds=60.0,
        lease_seconds=LEASE_SECONDS,
        max_retries=100,
        webhook=make_webhook(url, secret=None, delays=[0.2] * 100, timeout_seconds=60.0),
    )
    await bus.admin.apply_job(settings)


async def _publish(bus: Bus, number: int) -> str:
    event_id = f"{number}-{secrets.token_hex(4)}"
    event = {"specversion": "1.0", "id": event_id, "source": "/shop", "type": "order.paid", "data": number}
    await bus.events.publish("order.paid", msgspec.json.encode(event), event_id=event_id)
    return event_id


@pytest.mark.timeout(HANG_SECONDS + 20 * KILLS)
async def test_every_event_is_delivered_under_one_id_however_often_dispatchers_die(
    server: NatsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        await pause(random_moment.uniform(0, 0.05))
        await reply(500 if random_moment.random() < 0.2 else 200)(request, writer)

    environ = {
        "JETMILL_NATS_URL": server.url,
        "JETMILL_DISPATCH_SCHEMES": "http",
        "JETMILL_DISPATCH_PORTS": "*",
        "JETMILL_DISPATCH_ALLOW": "127.0.0.0/8",
    }
    bus = await connect(BusOptions(url=server.url, namespace="shop"))
    await bus.admin.apply_namespace()
    published: list[str] = []
    async with Receiver.serve(answer) as receiver, keeping(bus):
        await _declare(bus, "orders", receiver.url)
        await _declare(bus, "copies", receiver.url + "/copies")
        with ExitStack() as stack:

            def start() -> DispatcherProcess:
                return stack.enter_context(DispatcherProcess.start(tmp_path, environ))

            processes = [start(), start()]
            for process in processes:
                await process.says("worker_started")
            for round_ in range(KILLS):
                before = len(receiver.requests)
                published += [await _publish(bus, round_ * EVENTS + number) for number in range(EVENTS)]
                await receiver.received(before + 1, seconds=120)  # what is killed is at work, and not about to begin
                await pause(random_moment.uniform(0, 0.2))
                processes.pop(0).kill()
                processes.append(start())
            wanted = {
                id_from_key("webhook", f"uid-of-{name}", "/shop", event_id)
                for event_id in published
                for name in ("orders", "copies")
            }

            async def all_done() -> bool:
                depths = [await bus.queue.depth(f"wh--{name}") for name in ("orders", "copies")]
                return not any(one.ready or one.in_flight or one.delayed for one in depths) and wanted <= {
                    request.id for request in receiver.requests
                }

            await eventually(all_done, seconds=300, every_seconds=0.2, what="every delivery to be done with")
        assert {request.id for request in receiver.requests} == wanted
        bodies = Counter((request.id, request.body) for request in receiver.requests)
        assert len(bodies) == len(wanted), "the same id came with another body"
        report = await verify(bus)
        assert not report.violations
        repeated = len(receiver.requests) - len(wanted)
        with capsys.disabled():
            said = (
                f"{KILLS} kills, {len(published)} events, {len(wanted)} deliveries, {repeated} requests more than that"
            )
            print(f"\n{said}")  # noqa: T201 (the figures)
        ends: dict[str, str] = {}
        async for entries in bus.ledger.follow(until=await bus.ledger.last_seq()):
            ends |= {entry.id: entry.record.state for entry in entries if entry.record.job.startswith("wh--")}
        assert {ends[one] for one in wanted} == {"succeeded"}
    await bus.link.close()
