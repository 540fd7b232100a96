"""Snapshots of many jobs, and what follows: nothing is lost between the two, and nothing is told twice."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import msgspec
import pytest

from factories import make_error, make_job_id
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.ledger.scan import scan
from jetmill.protocol.record import Entry
from jetmill.protocol.state import State
from support.gateway import RunningGateway, serve
from support.nats import NatsServer
from support.screen import Screen, watch
from support.stream import append, append_to
from support.wait import eventually

pytestmark = pytest.mark.integration
MOST = 500


@pytest.fixture
async def own(nats: NatsServer) -> AsyncIterator[Bus]:
    """A namespace for one test."""
    bus = await connect(BusOptions(url=nats.url, namespace=f"s-{secrets.token_hex(6)}"))
    await bus.admin.apply_namespace()
    yield bus
    await bus.link.close()


@pytest.fixture
async def running(nats: NatsServer, own: Bus) -> AsyncIterator[RunningGateway]:
    async with serve(nats.url, None, namespaces=(own.subjects.namespace,)) as running:
        projection = running.parts.projection
        assert projection is not None
        await eventually(lambda: projection.lag(own.subjects.namespace).complete)
        yield running


async def read_messages(client: httpx.AsyncClient, until: str, **headers: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Server-sent events up to the first of a type: of each type the last cursor and frame."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    query = {"topic": "namespace", "snapshot": "true"}
    async with client.stream("GET", "/api/v1/stream/sse", params=query, headers=headers) as response:
        cursor = kind = ""
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            cursor, kind = (value if name == "id" else cursor), (value if name == "event" else kind)
            if name == "data":
                found[kind] = (cursor, msgspec.json.decode(value))
                if kind == until:
                    break
    return found


async def read_ledger(bus: Bus) -> list[Entry]:
    entries: list[Entry] = []
    async for batch in scan(bus.ledger, start=1, until=await bus.ledger.last_seq()):
        assert isinstance(batch, list)
        entries += batch
    return entries


def find_standing(entries: list[Entry], seq: int) -> dict[str, int]:
    """Each job's last sequence, as things stood at a sequence."""
    return {entry.id: entry.seq for entry in entries if entry.seq <= seq}


async def churn(bus: Bus, rounds: int) -> None:
    """Jobs that begin, run and end, some of them twice."""
    for number in range(rounds):
        job_id = make_job_id()
        seq = await append_to(bus, job_id, State.QUEUED, expected=0, job=f"job-{number % 3}")
        seq = await append_to(bus, job_id, State.RUNNING, expected=seq, job=f"job-{number % 3}")
        if number % 4:
            state, more = (State.SUCCEEDED, {}) if number % 2 else (State.FAILED, {"error": make_error()})
            await append_to(bus, job_id, state, expected=seq, job=f"job-{number % 3}", **more)


async def test_who_begins_amid_changes_gets_each_job_as_it_stood_and_then_each_change_once(
    running: RunningGateway, own: Bus
) -> None:
    screens: list[Screen] = []
    churning = asyncio.create_task(churn(own, 150))
    async with AsyncExitStack() as stack:
        while not churning.done():
            screen = await stack.enter_async_context(watch(running))
            assert (await screen.ask("namespace", snapshot=True))["type"] == "subscribed"
            await eventually(lambda screen=screen: screen.of_type("snapshot"))  # type: ignore[misc]
            screens.append(screen)
        entries = await read_ledger(own)
        for screen in screens:
            await eventually(lambda screen=screen: screen.cursor["namespace"] >= entries[-1].seq)  # type: ignore[misc]
            [snapshot] = screen.of_type("snapshot")
            told = {item["id"]: item["seq"] for item in snapshot["items"]}
            stood = find_standing(entries, snapshot["seq"])
            moved = {entry.id for entry in entries if entry.seq > snapshot["seq"]}
            assert told.items() <= stood.items()
            assert stood.keys() - told.keys() <= moved, "what is left out is told by what follows"
            assert snapshot["total"] == len(stood)
            screen.check("namespace", [entry.seq for entry in entries if entry.seq > snapshot["seq"]])
            assert not screen.of_type("gap")
    assert len({screen.of_type("snapshot")[0]["seq"] for screen in screens}) > 1, "all began at one moment"


@pytest.mark.parametrize("topic", ["jobs:job-1", "state:failed"])
async def test_a_snapshot_holds_its_topics_jobs_as_the_stream_would_tell_them(
    running: RunningGateway, own: Bus, topic: str
) -> None:
    await churn(own, 24)
    entries = await read_ledger(own)
    last = {entry.id: entry for entry in entries}
    wanted = {
        entry.id: entry.seq
        for entry in last.values()
        if topic in (f"jobs:{entry.record.job}", f"state:{entry.record.state}")
    }
    await eventually(lambda: seq_of(running, own) >= entries[-1].seq)
    async with watch(running) as screen:
        await screen.ask(topic, snapshot=True)
        [snapshot] = await eventually(lambda: screen.of_type("snapshot"))
        assert {item["id"]: item["seq"] for item in snapshot["items"]} == wanted
        seqs = [item["seq"] for item in snapshot["items"]]
        assert seqs == sorted(seqs, reverse=True), "the newest change first"
        for item in snapshot["items"]:
            record = last[item["id"]].record
            assert (item["state"], item["attempt"]) == (record.state, record.attempt)
            assert (item.get("error") or {}).get("type") == (record.error and record.error.type)
            assert item["time"].endswith("Z")


def seq_of(running: RunningGateway, bus: Bus) -> int:
    assert running.parts.projection is not None
    return running.parts.projection.seq(bus.subjects.namespace)


async def test_a_snapshot_of_many_is_the_newest_of_them_and_says_how_many_there_are(
    running: RunningGateway, own: Bus
) -> None:
    seqs = await append(own, MOST + 100)
    await eventually(lambda: seq_of(running, own) >= seqs[-1])
    async with watch(running) as screen:
        await screen.ask("namespace", snapshot=True)
        [snapshot] = await eventually(lambda: screen.of_type("snapshot"))
        assert [item["seq"] for item in snapshot["items"]] == sorted(seqs, reverse=True)[:MOST]
        assert (snapshot["total"], snapshot["seq"]) == (MOST + 100, seqs[-1])


async def test_server_sent_events_begin_with_it_too_and_resume_behind_it(running: RunningGateway, own: Bus) -> None:
    [first] = await append(own)
    await eventually(lambda: seq_of(running, own) >= first)
    async with running.client() as client:
        begun = await read_messages(client, "snapshot")
        assert begun["subscribed"][0] == "-", "there is nothing to resume from before it came"
        cursor, frame = begun["snapshot"]
        assert (cursor, [item["seq"] for item in frame["items"]]) == (str(first), [first])
        [second] = await append(own)
        again = await read_messages(client, "events", **{"Last-Event-ID": cursor})
        assert "snapshot" not in again
        assert [item["seq"] for item in again["events"][1]["items"]] == [second]
