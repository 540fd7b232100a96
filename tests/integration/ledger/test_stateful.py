"""The same machine as in memory, on a real nats-server: time passes by itself, and what goes wrong is real."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from factories import JOB, make_presence
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.protocol.hint import Hint
from support.bench import Bench, Hand
from support.machine import IDS, LedgerMachine, steps
from support.nats import NatsServer
from support.wait import eventually

EXAMPLES, STEPS = 5, 40
LEASE_SECONDS = 0.3
PATIENCE_SECONDS = 0.04


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with NatsServer.start(tmp_path_factory.mktemp("stateful")) as server:
        yield server


class ServerMachine(LedgerMachine):
    """Workers vanish with their connections, leases of half a second lapse, hints are doubled and removed."""

    server: NatsServer

    def open(self) -> None:
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.buses: list[Bus] = []
        self.namespace = f"t-{secrets.token_hex(6)}"
        self.run(self._open())

    async def _open(self) -> None:
        self.bench = Bench(self._connect, await self._connect(), lease_seconds=LEASE_SECONDS)

    async def _connect(self) -> Bus:
        bus = await connect(BusOptions(self.server.url, namespace=self.namespace))
        self.buses.append(bus)
        return bus

    def pass_time(self, seconds: float) -> None:
        self.run(asyncio.sleep(min(seconds, LEASE_SECONDS)))

    def gone(self, hand: Hand) -> None:
        self.run(self._gone(hand))

    async def _gone(self, hand: Hand) -> None:
        await hand.bus.presence.remove(hand.worker)
        await hand.bus.link.close()

    def close(self) -> None:
        self.run(self._close())
        asyncio.set_event_loop(None)
        self.loop.close()

    async def _close(self) -> None:
        for bus in self.buses:
            await bus.link.close()

    async def deliver(self, hand: Hand) -> Any:
        if hand.taker.pull.outstanding == 0 and not hand.has_delivery:
            hand.taker.pull.want(1)
        try:
            return await eventually(lambda: hand.has_delivery and hand.taker.next(), seconds=PATIENCE_SECONDS)
        except AssertionError:
            return None

    @precondition(lambda self: self.model.keeper)
    @rule(job_id=st.sampled_from(IDS))
    def lose_hint(self, job_id: str) -> None:
        self.run(self.bench.bus.queue.purge(JOB, job_id, up_to=1 << 40))

    @rule(job_id=st.sampled_from(IDS), stale=st.booleans())
    def ghost(self, job_id: str, *, stale: bool) -> None:
        """A hint that was never needed: without a sequence, or with an old one."""
        seq = 1 if stale else None
        self.run(self._put(Hint(id=job_id, job=JOB, band="normal", body=b"{}", seq=seq)))

    async def _put(self, hint: Hint) -> None:
        await self.bench.bus.queue.publish(hint)

    @rule(index=st.integers(0, 9))
    def stall(self, index: int) -> None:
        """A worker's presence goes and comes back: meanwhile its claims may be taken over."""
        hand = self.hands[index % len(self.hands)]
        self.model.absent.add(hand.worker)
        self.run(hand.bus.presence.remove(hand.worker))
        self.pass_time(LEASE_SECONDS)
        other = self.hands[(index + 1) % len(self.hands)]
        claim = self.run(self._claim(other))
        if claim is not None:
            self.held.append((other, claim))
        self.run(hand.bus.presence.put(make_presence(hand.worker), ttl_seconds=600))


def test_nothing_that_happens_breaks_the_protocol_on_a_real_server(server: NatsServer) -> None:
    before = steps["count"]
    machine = type("Machine", (ServerMachine,), {"server": server})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
            report_multiple_bugs=False,
        ),
    )
    assert steps["count"] - before >= EXAMPLES * STEPS / 2
