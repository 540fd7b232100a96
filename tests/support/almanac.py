"""A ScheduledJob, the Job that it enqueues, an operator's reconciler and a worker: in memory, on one clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from factories import JOB as JOB_NAME
from jetmill.bus.memory import MemoryClock, MemoryWorld
from jetmill.bus.ports import Bus
from jetmill.ledger.claim import Claim
from jetmill.protocol.plan import Plan, make_slot_id
from jetmill.protocol.record import Entry
from jetmill_operator.calendar.zone import to_instant, to_moment
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import EVENT, JOB, SCHEDULED_JOB, Body, Key
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.event import Recorder
from jetmill_operator.reconcile.index import JobIndex
from jetmill_operator.reconcile.metric import Metrics
from jetmill_operator.reconcile.moment import Clock
from jetmill_operator.reconcile.scheduledjob import ScheduledJobReconciler
from jetmill_operator.reconcile.status import StatusWriter
from support.bench import Hand, MemoryBench

NOON = "2026-03-02T12:00:00Z"
NAMESPACE = "shop"
KEY = Key(SCHEDULED_JOB.name, NAMESPACE, "nightly")


class OneWorld:
    """The port `Trunk` over one world."""

    def __init__(self, world: MemoryWorld) -> None:
        self._world = world
        self.connected = True
        self.connected_seconds = 1e6

    def open(self, _namespace: str) -> Bus:
        return self._world.connect()

    async def close(self) -> None:
        return None


class Almanac:
    """Time passes when it is told to, and what wants to be looked at is looked at on the way."""

    def __init__(self, now: str = NOON) -> None:
        self.clock = MemoryClock(frozen=True, start=to_instant(datetime.fromisoformat(now)))
        self.world = MemoryWorld(NAMESPACE, clock=self.clock)
        self.bench = MemoryBench(self.world)
        clock = Clock(monotonic=lambda: self.clock.now() / 1e6, now=self.moment)
        self.cluster = LocalCluster(now=self.moment)
        self.buses = Buses(OneWorld(self.world), clock=clock)
        self.index = JobIndex()
        self.metrics = Metrics()
        recorder = Recorder(self.cluster, clock=clock)
        self.reconciler = ScheduledJobReconciler(
            self.cluster,
            self.buses,
            self.index,
            status=StatusWriter(self.cluster, recorder, clock=clock),
            recorder=recorder,
            metrics=self.metrics,
            identity="test",
            clock=clock,
        )
        self.wait: float | None = None
        """After how long it wants to be looked at again."""

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now() / 1e6, UTC)

    def count(self, what: str) -> float:
        """How many slots were planned, withdrawn or missed, as Prometheus is told."""
        found = [sample for family in self.metrics.collect() for sample in family.samples]
        return sum(
            sample.value
            for sample in found
            if sample.name == "jetmill_schedule_slots_total" and sample.labels["what"] == what
        )

    @property
    def bus(self) -> Bus:
        return self.bench.bus

    async def prepare(self, **settings: Any) -> None:
        """The Job is there, with its queue."""
        await self.bench.prepare(**settings)
        head = {"name": JOB_NAME, "namespace": NAMESPACE}
        body: Body = {"apiVersion": JOB.api_version, "kind": "Job", "metadata": head, "spec": {}}
        self.index.put(NAMESPACE, JOB_NAME, await self.cluster.apply(JOB, body, manager="kubectl"))

    async def declare(self, **spec: Any) -> None:
        """`kubectl apply`, and the operator looks."""
        if not {"schedule", "every"} & spec.keys():
            spec["every"] = "60s"
        head = {"name": KEY.name, "namespace": NAMESPACE}
        spec = {"jobRef": {"name": JOB_NAME}, **spec}
        body: Body = {"apiVersion": SCHEDULED_JOB.api_version, "kind": SCHEDULED_JOB.name, "metadata": head}
        await self.cluster.apply(SCHEDULED_JOB, {**body, "spec": spec}, manager="kubectl")
        await self.look()

    async def look(self) -> None:
        for _ in range(20):
            again = await self.reconciler.reconcile(KEY)
            self.wait = None if again is None else again.seconds
            if self.wait is None or self.wait > 0:
                return
        raise AssertionError("it looks again and again")

    async def pass_time(self, seconds: float, *, operator: bool = True) -> None:
        """Let time pass; the operator looks whenever it wanted to, if there is one."""
        left = seconds
        while operator and self.wait is not None and self.wait <= left:
            left -= self.wait
            self.bench.pass_time(self.wait)
            await self.look()
        self.bench.pass_time(left)
        if operator and self.wait is not None:
            self.wait -= left
        await asyncio.sleep(0)

    async def hand(self) -> Hand:
        hand = await self.bench.hand()
        self.bench.pass_time(30)
        return hand

    async def start_due(self, hand: Hand) -> list[Claim]:
        """Let a worker start all that is ready."""
        claims = []
        await asyncio.sleep(0)
        while hand.has_delivery or (await self.bus.queue.depth(JOB_NAME)).ready:
            claim = await hand.claim()
            if claim is not None:
                claims.append(claim)
        return claims

    async def run_due(self, hand: Hand) -> list[str]:
        """Let a worker run all that is ready; the times of their slots."""
        claims = await self.start_due(hand)
        for claim in claims:
            await hand.settle(claim)
        return [self.show(claim.call.slot or 0) for claim in claims]

    # What there is

    async def body(self) -> Body | None:
        return await self.cluster.get(SCHEDULED_JOB, NAMESPACE, KEY.name)

    async def status(self) -> dict[str, Any]:
        body = await self.body()
        assert body is not None
        status: dict[str, Any] = body.get("status") or {}
        return status

    async def conditions(self) -> dict[str, str]:
        found = (await self.status()).get("conditions") or []
        return {one["type"]: f"{one['status']} {one['reason']}" for one in found}

    async def message(self, kind: str = "Ready") -> str:
        return next(str(one["message"]) for one in (await self.status())["conditions"] if one["type"] == kind)

    async def plan(self) -> Plan:
        [stored] = await self.bus.ledger.plans()
        return stored.plan

    async def slot(self, time: str) -> Entry | None:
        """The last record of the slot at a time of the day."""
        [stored] = await self.bus.ledger.plans()
        return await self.bus.ledger.read(make_slot_id(stored.uid, self.at(time)))

    async def state(self, time: str) -> str:
        entry = await self.slot(time)
        return "none" if entry is None else str(entry.record.reason or entry.record.state)

    def at(self, time: str) -> int:
        """µs of a time of this day, as 12:05 or 12:05:30."""
        return to_instant(datetime.fromisoformat(f"{self.moment():%Y-%m-%d}T{time}+00:00"))

    @staticmethod
    def show(slot: int) -> str:
        return f"{to_moment(slot):%H:%M:%S}".removesuffix(":00")

    async def planned(self) -> list[str]:
        """The slots to come that are planned."""
        return [self.show(slot.time) for slot in (await self.plan()).slots if slot.time > self.clock.now()]

    async def events(self) -> list[str]:
        return [f"{event['type']} {event['reason']}" for event in await self.cluster.list(EVENT)]
