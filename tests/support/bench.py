"""A bench for the steps of the protocol: one Job, workers that take, claim, settle and die, on any bus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from factories import JOB, make_error, make_presence, make_settings
from jetmill.bus.memory import MemoryWorld
from jetmill.bus.ports import Bus, Delivery
from jetmill.ledger.claim import Claim, Claimer
from jetmill.ledger.keeper import Keeper
from jetmill.ledger.settle import Settled
from jetmill.ledger.submit import Submission, Submitted, submit
from jetmill.ledger.verify import verify
from jetmill.protocol.outcome import Outcome, Retry, Succeeded
from jetmill.protocol.record import Entry, Record
from support.taker import Taker

LEASE_SECONDS = 30.0
SUCCESS = Succeeded(b"42")
RETRY = Retry(delay_seconds=10.0, error=make_error())


class Hand:
    """One worker process with a connection of its own."""

    def __init__(self, bus: Bus, worker: str, *, lease_seconds: float) -> None:
        self.bus = bus
        self.worker = worker
        self.claimer = Claimer(
            bus, worker=worker, lease_seconds_of=lambda _: lease_seconds, presence_ttl_seconds=lambda: lease_seconds
        )
        self.taker = Taker(bus)
        self.max_retries = 3

    def limit(self, record: Record) -> int:
        call = record.call
        return self.max_retries if call is None or call.max_retries is None else call.max_retries

    @property
    def has_delivery(self) -> bool:
        """One lies ready for `take`."""
        return not self.taker._waiting.empty()

    async def take(self) -> Delivery:
        self.taker.pull.want(1)
        return await self.taker.next()

    async def claim(self, delivery: Delivery | None = None) -> Claim | None:
        return await self.claimer.claim(delivery or await self.take(), max_retries=self.limit)

    async def start(self) -> Claim:
        claim = await self.claim()
        assert claim is not None
        return claim

    async def settle(self, claim: Claim, outcome: Outcome = SUCCESS) -> Settled:
        return await self.claimer.settle(claim, outcome)


class Bench:
    """A namespace with one Job, a canceller's and producer's connection (`bus`), and hands."""

    def __init__(self, connect: Callable[[], Awaitable[Bus]], bus: Bus, *, lease_seconds: float) -> None:
        self._connect = connect
        self.bus = bus
        self.lease_seconds = lease_seconds

    async def prepare(self, **settings: Any) -> None:
        await self.bus.admin.apply_namespace()
        await self.bus.admin.apply_job(make_settings(lease_seconds=self.lease_seconds, **settings))

    async def hand(self, worker: str = "worker-1", *, ttl_seconds: float = 1e6) -> Hand:
        """A worker that lives."""
        bus = await self._connect()
        await bus.presence.put(make_presence(worker), ttl_seconds=ttl_seconds)
        return Hand(bus, worker, lease_seconds=self.lease_seconds)

    async def submit(self, **fields: Any) -> Submitted:
        return await submit(
            self.bus, Submission(**{"job": JOB, "payload": b'{"to":"ada"}', **fields}), by="client:test"
        )

    async def last(self, job_id: str) -> Entry:
        entry = await self.bus.ledger.read(job_id)
        assert entry is not None
        return entry

    async def states(self, job_id: str) -> list[str]:
        return [entry.record.state.value for entry in await self.bus.ledger.read_chain(job_id)]

    async def is_hinted(self, job_id: str) -> bool:
        return job_id in await self.bus.queue.hinted(JOB)

    def keeper(self) -> Keeper:
        return Keeper(self.bus)

    async def prove(self) -> None:
        """No invariant is broken."""
        report = await verify(self.bus)
        assert report.clean, report.violations


class MemoryBench(Bench):
    """A bench in memory: the clock stands until it is moved, faults can be raised."""

    def __init__(self, world: MemoryWorld) -> None:
        async def connect() -> Bus:
            return world.connect()

        super().__init__(connect, world.connect(), lease_seconds=LEASE_SECONDS)
        self.world = world
        self.faults = world.faults

    def pass_time(self, seconds: float) -> None:
        self.world.clock.move(seconds)

    async def kill(self, hand: Hand) -> None:
        """SIGKILL, and the time until it shows: presence and deliveries lapse."""
        hand.bus.link.drop()  # type: ignore[attr-defined]
        self.faults.lapse_presence(hand.worker)
        self.faults.lapse(JOB)
