"""Leadership on a cluster in memory, on a loop whose time passes by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jetmill_operator.cluster.errors import NotLeaderError, UnavailableError
from jetmill_operator.cluster.fence import FencedCluster
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import LEASE, OPERATOR, SECRET, Body, Kind
from jetmill_operator.reconcile.lease import Lease, Times
from support.virtual import VirtualLoop

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def on_virtual_time(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(asyncio.wait_for(test(), 100_000))


class Road(LocalCluster):
    """The way of one candidate to a shared cluster: it can be cut, and lose answers."""

    def __init__(self, shared: LocalCluster) -> None:
        super().__init__()
        self._shared = shared
        self.cut = False
        self.loses_answers = False
        self.patches = 0

    async def get(self, kind: Kind, namespace: str, name: str) -> Body | None:
        self._pass()
        return await self._shared.get(kind, namespace, name)

    async def create(self, kind: Kind, body: Body, *, manager: str = OPERATOR) -> Body:
        self._pass()
        return await self._shared.create(kind, body, manager=manager)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Body, *, manager: str = OPERATOR) -> Body:
        self._pass()
        self.patches += 1
        answer = await self._shared.patch(kind, namespace, name, patch, manager=manager)
        if self.loses_answers:
            self.loses_answers = False
            raise UnavailableError("no answer")
        return answer

    def _pass(self) -> None:
        if self.cut:
            raise UnavailableError("no connection")


class Candidate:
    """A lease, its road, and how long its clock runs ahead of the loop's: a sleep of the machine."""

    def __init__(self, cluster: LocalCluster, identity: str, *, times: Times | None = None) -> None:
        self.road = Road(cluster)
        self.slept = 0.0
        self.lease = Lease(
            self.road,
            namespace="jetmill",
            name="jetmill-operator",
            identity=identity,
            times=times or Times(),
            clock=lambda: seconds() + self.slept,
            now=lambda: NOON + timedelta(seconds=seconds()),
        )
        self.holding: asyncio.Task[None] | None = None

    async def lead(self) -> None:
        await self.lease.acquire()
        self.holding = asyncio.create_task(self.lease.hold())

    async def end(self) -> None:
        if self.holding is not None:
            self.holding.cancel()
            with contextlib.suppress(asyncio.CancelledError, NotLeaderError):
                await self.holding


def seconds() -> float:
    return asyncio.get_running_loop().time()


async def record(cluster: LocalCluster) -> Body:
    body = await cluster.get(LEASE, "jetmill", "jetmill-operator")
    assert body is not None
    spec: Body = body["spec"]
    return spec


def test_the_first_candidate_makes_the_lease_and_keeps_it() -> None:
    async def scene() -> None:
        cluster = LocalCluster()
        one = Candidate(cluster, "one")
        await one.lead()
        assert await record(cluster) == {
            "holderIdentity": "one",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-06-01T12:00:00.000000Z",
            "renewTime": "2026-06-01T12:00:00.000000Z",
            "leaseTransitions": 0,
        }
        await asyncio.sleep(100)
        assert one.lease.leading
        assert one.road.patches == pytest.approx(50, abs=1)
        await one.end()

    on_virtual_time(scene)


def test_a_second_candidate_waits_as_long_as_the_first_one_renews() -> None:
    async def scene() -> None:
        cluster = LocalCluster()
        one, two = Candidate(cluster, "one"), Candidate(cluster, "two")
        await one.lead()
        waiting = asyncio.create_task(two.lead())
        await asyncio.sleep(300)
        assert one.lease.leading
        assert not two.lease.leading
        assert not waiting.done()
        waiting.cancel()
        await one.end()

    on_virtual_time(scene)


def test_a_dead_leader_is_followed_after_the_lease_has_run_out_and_never_before_its_deadline() -> None:
    async def scene() -> None:
        cluster = LocalCluster()
        one, two = Candidate(cluster, "one"), Candidate(cluster, "two")
        await one.lead()
        waiting = asyncio.create_task(two.lead())
        await asyncio.sleep(20)
        await one.end()  # it renews no more, but still believes
        died = seconds()
        while one.lease.leading:
            assert not two.lease.leading
            await asyncio.sleep(0.1)
        await waiting
        assert 13 <= seconds() - died <= 19  # seen up to 2 s after the renewal, taken up to 2 s after it ran out
        assert (await record(cluster))["leaseTransitions"] == 1
        await two.end()

    on_virtual_time(scene)


def test_a_released_lease_is_taken_at_the_next_look() -> None:
    async def scene() -> None:
        cluster = LocalCluster()
        one, two = Candidate(cluster, "one"), Candidate(cluster, "two")
        await one.lead()
        waiting = asyncio.create_task(two.lead())
        await asyncio.sleep(20)
        await one.end()
        await one.lease.release()
        released = seconds()
        assert not one.lease.leading
        await waiting
        assert seconds() - released <= 2
        await one.lease.release()
        assert (await record(cluster))["holderIdentity"] == "two"
        await two.end()

    on_virtual_time(scene)


def test_a_lease_is_released_though_a_renewal_was_under_way() -> None:
    async def scene() -> None:
        cluster = LocalCluster()
        one = Candidate(cluster, "one")
        await one.lead()
        await one.end()
        renewed = {"spec": {"renewTime": "2026-06-01T12:00:01.000000Z"}}
        await cluster.patch(LEASE, "jetmill", "jetmill-operator", renewed)
        await one.lease.release()
        assert (await record(cluster))["holderIdentity"] == ""

    on_virtual_time(scene)


def test_a_leader_that_cannot_renew_gives_up_at_its_deadline() -> None:
    async def scene() -> None:
        cluster = LocalCluster()
        one = Candidate(cluster, "one")
        await one.lead()
        await asyncio.sleep(20)
        one.road.cut = True
        cut = seconds()
        assert one.holding is not None
        with pytest.raises(NotLeaderError):
            await one.holding
        assert 8 <= seconds() - cut <= 10
        with pytest.raises(NotLeaderError):
            one.lease.require()

    on_virtual_time(scene)


def test_a_short_cut_costs_nothing() -> None:
    async def scene() -> None:
        one = Candidate(LocalCluster(), "one")
        await one.lead()
        for _ in range(5):
            await asyncio.sleep(20)
            one.road.cut = True
            await asyncio.sleep(6)
            one.road.cut = False
        await asyncio.sleep(20)
        assert one.lease.leading
        await one.end()

    on_virtual_time(scene)


def test_a_renewal_whose_answer_is_lost_is_known_as_our_own() -> None:
    async def scene() -> None:
        one = Candidate(LocalCluster(), "one")
        await one.lead()
        one.road.loses_answers = True
        await asyncio.sleep(30)
        assert one.lease.leading
        await one.end()

    on_virtual_time(scene)


def test_a_foreign_edit_of_the_lease_is_no_loss() -> None:
    async def scene() -> None:
        cluster = LocalCluster()
        one = Candidate(cluster, "one")
        await one.lead()
        note = {"metadata": {"annotations": {"note": "seen"}}}
        await cluster.patch(LEASE, "jetmill", "jetmill-operator", note, manager="kubectl")
        await asyncio.sleep(30)
        assert one.lease.leading
        await one.end()

    on_virtual_time(scene)


def test_a_leader_whose_lease_was_taken_gives_up_at_once() -> None:
    async def scene() -> None:
        cluster = LocalCluster()
        one = Candidate(cluster, "one")
        await one.lead()
        theft = {"spec": {"holderIdentity": "thief"}}
        await cluster.patch(LEASE, "jetmill", "jetmill-operator", theft, manager="thief")
        assert one.holding is not None
        with pytest.raises(NotLeaderError, match="thief"):
            await one.holding
        assert seconds() <= 3
        assert not one.lease.leading

    on_virtual_time(scene)


def test_after_a_long_sleep_nothing_is_written() -> None:
    """SIGSTOP, or a frozen machine: the deadline has passed when it wakes, before anything else happens."""

    async def scene() -> None:
        cluster = LocalCluster()
        one = Candidate(cluster, "one")
        fenced = FencedCluster(cluster, one.lease)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "one", "namespace": "shop"}}
        await one.lead()
        await fenced.apply(SECRET, secret, manager=OPERATOR)
        one.slept = 60
        for write in (
            fenced.create(SECRET, secret),
            fenced.apply(SECRET, secret, manager=OPERATOR),
            fenced.patch(SECRET, "shop", "one", {"metadata": {"labels": {"a": "1"}}}),
            fenced.delete(SECRET, "shop", "one"),
        ):
            with pytest.raises(NotLeaderError):
                await write
        body = await fenced.get(SECRET, "shop", "one")
        assert body is not None
        assert "labels" not in body["metadata"]
        assert len(await fenced.list(SECRET)) == 1
        assert await fenced.owners(SECRET, "shop", "one", ".metadata") == frozenset()
        await one.end()

    on_virtual_time(scene)


def test_nobody_writes_before_the_lease_is_there() -> None:
    async def scene() -> None:
        one = Candidate(LocalCluster(), "one")
        assert not one.lease.leading
        with pytest.raises(NotLeaderError, match="one does not hold"):
            one.lease.require()

    on_virtual_time(scene)


def test_a_predecessor_of_the_same_name_is_waited_for() -> None:
    async def scene() -> None:
        cluster = LocalCluster()
        one, again = Candidate(cluster, "one"), Candidate(cluster, "one")
        await one.lead()
        await one.end()
        begun = seconds()
        await again.lead()
        assert not one.lease.leading
        assert seconds() - begun >= 15
        await again.end()

    on_virtual_time(scene)


def test_of_many_candidates_one_leads() -> None:
    async def scene() -> None:
        cluster = LocalCluster()
        many = [Candidate(cluster, f"candidate-{number}") for number in range(5)]
        waiting = [asyncio.create_task(candidate.lead()) for candidate in many]
        for _ in range(5):
            await asyncio.sleep(30)
            leaders = [candidate for candidate in many if candidate.lease.leading]
            assert len(leaders) == 1
            await leaders[0].end()
            await leaders[0].lease.release()
            many.remove(leaders[0])
        await asyncio.gather(*waiting)

    on_virtual_time(scene)
