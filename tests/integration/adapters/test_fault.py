"""The server is killed under a Bus at work: what was answered stands, what was begun goes on, nothing hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from factories import JOB, make_data, make_hint, make_job_id, make_settings
from jetmill.bus.ports import Bus, Delivery
from jetmill.errors import BusError, NoAnswerError, RefusedError
from jetmill.protocol.state import State
from support.nats import NatsCluster, NatsServer
from support.wait import eventually, soon

pytestmark = pytest.mark.integration


async def answers(bus: Bus) -> bool:
    """Whether JetStream answers again."""
    try:
        await bus.ledger.last_seq()
        await bus.queue.last_seq(JOB)
    except BusError:
        return False
    return True


async def kill_and_restart(server: NatsServer, bus: Bus) -> None:
    server.kill()
    await eventually(lambda: not bus.link.connected)
    await asyncio.to_thread(server.restart)
    await eventually(lambda: answers(bus))


class Producer:
    """Chains of two records by compare-and-set, each settled whatever happens: as the protocol does it."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.accepted: dict[str, tuple[int, int]] = {}
        self.unanswered = 0
        self.stopping = False

    async def run(self) -> None:
        while not self.stopping:
            job_id = make_job_id()
            first = await self._append(job_id, make_data(), expected=0)
            second = await self._append(job_id, make_data(State.RUNNING), expected=first)
            await self._put_hint(job_id, second)
            self.accepted[job_id] = (first, second)

    async def _append(self, job_id: str, data: bytes, *, expected: int) -> int:
        while True:
            try:
                return await self.bus.ledger.append(job_id, data, expected=expected)
            except (RefusedError, NoAnswerError) as error:
                self.unanswered += isinstance(error, NoAnswerError)
                last = await self._read(job_id)
                if last > expected:  # nobody else writes to this chain: it is ours
                    return last
            except BusError:  # not JetStream yet
                await eventually(lambda: answers(self.bus))

    async def _read(self, job_id: str) -> int:
        while True:
            try:
                entry = await self.bus.ledger.read(job_id)
            except BusError:
                await eventually(lambda: answers(self.bus))
            else:
                return 0 if entry is None else entry.seq

    async def _put_hint(self, job_id: str, seq: int) -> None:
        while True:
            try:
                await self.bus.queue.publish(make_hint(id=job_id, seq=seq))
            except BusError:
                await eventually(lambda: answers(self.bus))
            else:
                return


async def test_appends_under_way_at_a_kill_are_settled_and_followed_without_gap_or_repeat(
    own_server: NatsServer, own_bus: Bus, open_bus: Any
) -> None:
    await own_bus.admin.apply_job(make_settings())
    reader = await open_bus(own_server, namespace=own_bus.subjects.namespace)
    seen: list[int] = []

    async def follow() -> None:
        async for entries in reader.ledger.follow():
            seen.extend(entry.seq for entry in entries)

    following = asyncio.create_task(follow())
    producer = Producer(own_bus)
    runs = [asyncio.create_task(producer.run()) for _ in range(30)]
    for goal in (50, 150, 250):
        await eventually(lambda goal=goal: len(producer.accepted) >= goal, seconds=180)  # type: ignore[misc]
        await kill_and_restart(own_server, own_bus)
    producer.stopping = True
    await soon(asyncio.gather(*runs))
    assert producer.unanswered > 0
    for job_id, sequences in producer.accepted.items():
        chain = await own_bus.ledger.read_chain(job_id)
        assert tuple(entry.seq for entry in chain) == sequences
    stored = {seq for sequences in producer.accepted.values() for seq in sequences}
    await eventually(lambda: stored <= set(seen))
    assert seen == sorted(set(seen))
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_pulls_watches_and_signals_go_on_after_a_kill(own_server: NatsServer, own_bus: Bus) -> None:
    await own_bus.admin.apply_job(make_settings())
    taken: list[Delivery] = []
    own_bus.queue.pull(JOB, "normal", taken.append).want(10)
    changed: list[str] = []
    await own_bus.admin.watch_settings(lambda job, _: changed.append(job))
    cancelled: list[str] = []
    own_bus.signals.on_cancel(cancelled.append)
    for turn in range(2):
        await kill_and_restart(own_server, own_bus)
        await own_bus.queue.publish(make_hint())
        await eventually(lambda turn=turn: len(taken) == turn + 1)  # type: ignore[misc]
        taken[-1].ack()
        await own_bus.admin.apply_job(make_settings(f"new-{turn}"))
        await eventually(lambda turn=turn: changed[-1] == f"new-{turn}")  # type: ignore[misc]
        own_bus.signals.cancel(f"job-{turn}")
        await eventually(lambda turn=turn: cancelled == [f"job-{n}" for n in range(turn + 1)])  # type: ignore[misc]
    assert changed == [JOB, "new-0", "new-1"]


async def test_a_delayed_hint_that_fell_due_while_the_server_was_down_comes_when_it_is_back(
    own_server: NatsServer, own_bus: Bus
) -> None:
    await own_bus.admin.apply_job(make_settings())
    due = own_bus.link.now() + 500_000
    hint = make_hint(due=due, seq=7)
    await own_bus.queue.publish(hint)
    await own_bus.queue.depth(JOB)
    own_server.stop()
    await eventually(lambda: own_bus.link.now() > due)
    await asyncio.to_thread(own_server.restart)
    taken: list[Delivery] = []
    own_bus.queue.pull(JOB, "normal", taken.append).want(2)
    await eventually(lambda: taken)
    assert [(delivery.id, delivery.seq) for delivery in taken] == [(hint.id, 7)]
    assert taken[0].time >= due


async def test_a_bounded_follow_ends_although_the_server_was_killed_in_it(own_server: NatsServer, own_bus: Bus) -> None:
    await own_bus.admin.apply_job(make_settings())
    sequences = list(
        await asyncio.gather(*(own_bus.ledger.append(make_job_id(), make_data(), expected=0) for _ in range(5000)))
    )
    lists = aiter(own_bus.ledger.follow(until=max(sequences)))
    seen = [entry.seq for entry in await anext(lists)]
    await kill_and_restart(own_server, own_bus)
    async with asyncio.timeout(60):
        async for entries in lists:
            seen.extend(entry.seq for entry in entries)
    assert seen == sorted(sequences)


async def test_closing_a_bus_ends_what_was_begun_on_it(own_server: NatsServer, open_bus: Any) -> None:
    bus: Bus = await open_bus(own_server)
    await bus.admin.apply_namespace()
    await bus.admin.apply_job(make_settings())
    job_id = make_job_id()

    async def drain(lists: AsyncIterator[list[Any]]) -> None:
        async for _ in lists:
            pass

    before = asyncio.all_tasks()
    readers = [
        asyncio.create_task(drain(lists))
        for lists in (
            bus.ledger.follow(),
            bus.ledger.follow(job_id=job_id),
            bus.ledger.follow(until=1000),
            bus.events.traces(job_id, kind="log", live=True),
        )
    ]
    await bus.admin.watch_settings(lambda _job, _settings: None)
    bus.queue.pull(JOB, "high", lambda _: None).want(5)
    appended = bus.ledger.append(job_id, make_data(), expected=0)
    await bus.link.close()
    assert await appended >= 1
    await soon(asyncio.gather(*readers))
    await eventually(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})


@pytest.mark.slow
async def test_a_cluster_that_loses_a_leader_loses_nothing_else(tmp_path: Any, open_bus: Any) -> None:
    with NatsCluster.start(tmp_path) as cluster:
        bus: Bus = await open_bus(cluster)
        await bus.admin.apply_namespace(replicas=3)
        await bus.admin.apply_job(make_settings(), replicas=3)
        producer = Producer(bus)
        runs = [asyncio.create_task(producer.run()) for _ in range(10)]
        await eventually(lambda: len(producer.accepted) >= 100, seconds=180)
        cluster.stream_leader(bus.subjects.ledger_stream).kill()
        reached = len(producer.accepted)
        await eventually(lambda: len(producer.accepted) >= reached + 100, seconds=120)
        producer.stopping = True
        await soon(asyncio.gather(*runs), seconds=120)
        for job_id, sequences in producer.accepted.items():
            assert tuple(entry.seq for entry in await bus.ledger.read_chain(job_id)) == sequences
