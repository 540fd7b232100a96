"""A sign of life that breaks by a defect: nobody renews the leases any more, so the worker has to end, and says why."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import NoReturn

import pytest
from structlog.testing import capture_logs

from integration.worker.conftest import Field
from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.memory import MemoryWorld
from jetmill.bus.ports import Bus, Connect
from jetmill.protocol.record import Presence
from jetmill.worker.heartbeat import Heartbeat, Vitals
from support.wait import soon


class DefectError(Exception):
    """What no adapter raises."""


def make_vitals(stalled: asyncio.Event) -> Vitals:
    loop = asyncio.get_running_loop()

    def stall() -> None:
        loop.call_soon_threadsafe(stalled.set)

    return Vitals(
        presence=lambda: Presence(worker="w", jobs=["work"], slots=1, busy=0),
        tokens=list,
        interval_seconds=lambda: 0.01,
        ttl_seconds=lambda: 30.0,
        late_seconds=lambda: 0.0,
        stalled=stall,
    )


def break_down() -> NoReturn:
    raise DefectError("a defect")


async def check(bus: Bus, connect_again: Connect, vitals: Vitals, stalled: asyncio.Event) -> None:
    heartbeat = Heartbeat(bus, connect_again, vitals)
    with capture_logs() as lines:
        await soon(heartbeat.start())
        await soon(stalled.wait())
        await soon(heartbeat.stop())
    said = [line for line in lines if line["event"] == "heartbeat_failed"]
    assert len(said) == 1
    assert isinstance(said[0]["exc_info"], DefectError)


@pytest.mark.parametrize("part", ["tokens", "interval_seconds", "late_seconds"])
async def test_a_defect_in_its_thread_is_said_and_ends_the_worker(field: Field, part: str) -> None:
    stalled = asyncio.Event()
    vitals = replace(make_vitals(stalled), **{part: break_down})
    await check(field.bus, partial(connect, BusOptions(field.url, namespace=field.namespace)), vitals, stalled)


async def test_a_connection_that_breaks_by_a_defect_is_said_as_well(field: Field) -> None:
    async def connect_again() -> Bus:
        break_down()

    stalled = asyncio.Event()
    await check(field.bus, connect_again, make_vitals(stalled), stalled)


async def test_in_memory_where_it_is_a_task_it_is_the_same() -> None:
    stalled = asyncio.Event()
    bus = MemoryWorld().connect()
    await bus.admin.apply_namespace()

    async def connect_again() -> Bus:
        raise AssertionError("a task uses the worker's own connection")

    await check(bus, connect_again, replace(make_vitals(stalled), tokens=break_down), stalled)
