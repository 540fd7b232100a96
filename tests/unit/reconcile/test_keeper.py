"""A keeper for each namespace that has Jobs."""

from __future__ import annotations

import asyncio

from jetmill.bus.memory import MemoryTrunk
from jetmill_operator.reconcile.keeper import Keepers


async def test_keepers_come_and_go_with_the_namespaces_that_have_jobs() -> None:
    trunk = MemoryTrunk("keepers")
    opened: list[str] = []
    wanted = {"shop", "lab"}

    def open_bus(namespace: str):
        opened.append(namespace)
        return trunk.open(namespace)

    keepers = Keepers(open_bus, lambda: wanted)
    keepers.look()
    keepers.look()
    assert opened == ["lab", "shop"]
    wanted.discard("lab")
    keepers.look()
    assert sorted(keepers._tasks) == ["shop"]
    running = asyncio.create_task(keepers.run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert keepers._tasks == {}
    await trunk.close()
