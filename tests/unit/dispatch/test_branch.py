"""What runs in which namespace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from jetmill.bus.memory import MemoryTrunk, forget_worlds
from jetmill.errors import BusError
from jetmill_operator.dispatch.branch import Branches
from support.wait import eventually, soon


@dataclass
class Bell:
    """A work that counts its beginnings, fails as often as it is told, and settles when it ends."""

    failures: int = 0
    began: int = 0
    settled: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        self.began += 1
        if self.began <= self.failures:
            raise BusError("not now")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.settled.set()


@dataclass
class World:
    namespaces: set[str]
    bells: dict[str, Bell] = field(default_factory=dict)
    unreachable: bool = False

    async def find(self) -> set[str]:
        if self.unreachable:
            raise BusError("the cluster cannot be asked")
        return self.namespaces


@asynccontextmanager
async def working(world: World, *, failures: int = 0) -> AsyncIterator[Branches]:
    def hire(bus):
        world.bells[bus.subjects.namespace] = Bell(failures)
        return {"bell": world.bells[bus.subjects.namespace]}

    trunk = MemoryTrunk("branches")
    branches = Branches(trunk.open, world.find, hire, pause_seconds=0.001)
    running = asyncio.create_task(branches.run(look_seconds=0.001))
    try:
        yield branches
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await trunk.close()
        forget_worlds()


async def test_a_namespace_that_comes_is_served_and_one_that_goes_is_left() -> None:
    world = World({"shop"})
    async with working(world) as branches:
        await eventually(lambda: branches.namespaces == ["shop"])
        world.namespaces = {"office"}
        await eventually(lambda: branches.namespaces == ["office"])
        assert world.bells["shop"].settled.is_set()
        assert not world.bells["office"].settled.is_set()


async def test_what_cannot_be_looked_up_changes_nothing() -> None:
    world = World({"shop"})
    async with working(world) as branches:
        await eventually(lambda: branches.namespaces == ["shop"])
        world.unreachable, world.namespaces = True, set()
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(50)))
        assert branches.namespaces == ["shop"]


async def test_a_work_that_fails_is_begun_again() -> None:
    world = World({"shop"})
    async with working(world, failures=3):
        await eventually(lambda: world.bells and world.bells["shop"].began == 4)


async def test_every_work_has_settled_once_the_end_is_over() -> None:
    world = World({"shop", "office"})
    async with working(world) as branches:
        await eventually(lambda: len(branches.namespaces) == 2 and all(bell.began for bell in world.bells.values()))
    await soon(world.bells["shop"].settled.wait())
    await soon(world.bells["office"].settled.wait())
