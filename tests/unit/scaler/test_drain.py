"""Scaling in, on the bus: who is told what, and who may be taken away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from factories import make_presence
from jetmill.bus.memory import MemoryWorld
from jetmill.bus.ports import Bus
from jetmill_operator.policy.victim import DrainPlan, WorkerSeen, plan_drains
from jetmill_operator.scaler.drain import apply_drains, is_drained
from support.wait import eventually


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    bus = MemoryWorld("default").connect()
    await bus.admin.apply_namespace()
    yield bus
    await bus.link.close()


async def put(bus: Bus, worker: str, **fields: Any) -> None:
    await bus.presence.put(make_presence(worker, **fields), ttl_seconds=30)


@pytest.mark.parametrize(
    ("draining", "busy", "drained"), [(True, 0, True), (True, 1, False), (False, 0, False), (False, 1, False)]
)
async def test_drained_is_who_takes_nothing_and_has_nothing(bus: Bus, draining, busy, drained) -> None:
    await put(bus, "worker-1", draining=draining, busy=busy)
    assert await is_drained(bus, "worker-1") is drained


async def test_who_is_not_there_is_not_drained(bus: Bus) -> None:
    assert not await is_drained(bus, "worker-1")


async def test_a_victim_is_asked_about_once_more(bus: Bus) -> None:
    """The plan may rest on an old presence: one resumed meanwhile, one is back at work, one has gone."""
    await put(bus, "drained", draining=True)
    await put(bus, "resumed", draining=False)
    await put(bus, "busy", draining=True, busy=1)
    assert await apply_drains(bus, DrainPlan(victims=("drained", "resumed", "busy", "gone"))) == ["drained"]


async def test_everybody_is_told_what_the_plan_says(bus: Bus) -> None:
    told: list[tuple[str, str]] = []
    for worker in ("one", "two", "three"):
        bus.signals.on_drain(
            worker,
            drain=lambda worker=worker: told.append((worker, "drain")),  # type: ignore[misc]
            undrain=lambda worker=worker: told.append((worker, "undrain")),  # type: ignore[misc]
        )
    assert await apply_drains(bus, DrainPlan(ask=("one", "*"), undo=("two", "a b"))) == []
    await eventually(lambda: sorted(told) == [("one", "drain"), ("two", "undrain")])


async def test_while_the_bus_is_away_nobody_is_a_victim(bus: Bus) -> None:
    await put(bus, "worker-1", draining=True)
    await bus.link.close()
    assert await apply_drains(bus, DrainPlan(ask=("worker-1",), victims=("worker-1",))) == []


def test_a_plan_takes_only_those_that_were_asked_and_have_nothing_left() -> None:
    workers = [
        WorkerSeen("asked-idle", idle_since=5.0, draining=True),
        WorkerSeen("asked-busy", busy=2, draining=True),
        WorkerSeen("idle", idle_since=1.0),
        WorkerSeen("busy", busy=1),
    ]
    asked = {"asked-idle", "asked-busy"}
    assert plan_drains(workers, 2, asked=asked) == DrainPlan(("asked-idle", "asked-busy"), (), ("asked-idle",))
    assert plan_drains(workers, 3, asked=asked).ask == ("asked-idle", "asked-busy", "idle")
    assert plan_drains(workers, 2, asked=()).victims == ()


def test_when_more_are_wanted_again_those_that_were_asked_go_on() -> None:
    workers = [WorkerSeen("a", draining=True), WorkerSeen("b", busy=1, draining=True), WorkerSeen("c")]
    assert plan_drains(workers, 0, asked={"a", "b", "gone"}) == DrainPlan((), ("a", "b"), ())
    assert plan_drains(workers, 1, asked={"a", "b"}) == DrainPlan(("a",), ("b",), ("a",))
