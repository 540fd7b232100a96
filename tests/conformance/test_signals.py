"""The port `Signals`: what every adapter promises of pushes that may be lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conformance.place import Place
from jetmill.bus.ports import Bus
from jetmill.errors import InvalidNameError
from support.wait import eventually

pytestmark = pytest.mark.conformance


async def test_everyone_who_listens_hears_of_a_cancelled_job(bus: Bus, place: Place) -> None:
    here: list[str] = []
    there: list[str] = []
    other = await place.connect()
    bus.signals.on_cancel(here.append)
    other.signals.on_cancel(there.append)
    await place.settle(other)
    bus.signals.cancel("job-1")
    bus.signals.cancel("job-2")
    await eventually(lambda: here == there == ["job-1", "job-2"])


async def test_who_stops_listening_hears_no_more(bus: Bus, place: Place) -> None:
    stopped: list[str] = []
    heard: list[str] = []
    stop = bus.signals.on_cancel(stopped.append)
    bus.signals.on_cancel(heard.append)
    await place.settle(bus)
    stop()
    stop()
    bus.signals.cancel("job-1")
    await eventually(lambda: heard == ["job-1"])
    assert stopped == []


async def test_a_wake_names_its_job(bus: Bus, place: Place) -> None:
    heard: list[str] = []
    other = await place.connect()
    stop = other.signals.on_wake(heard.append)
    await place.settle(other)
    bus.signals.wake("send-email")
    bus.signals.wake("daily-report")
    await eventually(lambda: heard == ["send-email", "daily-report"])
    stop()


async def test_who_waits_for_one_job_hears_of_no_other(bus: Bus, place: Place) -> None:
    heard: list[str] = []
    everything: list[str] = []
    bus.signals.on_wake(heard.append, job="daily-report")
    bus.signals.on_wake(everything.append)
    await place.settle(bus)
    for job in ("send-email", "daily-report", "daily-report-2"):
        bus.signals.wake(job)
    await eventually(lambda: len(everything) == 3)
    assert heard == ["daily-report"]


async def test_cancels_and_wakes_are_apart(bus: Bus, place: Place) -> None:
    cancels: list[str] = []
    wakes: list[str] = []
    bus.signals.on_cancel(cancels.append)
    bus.signals.on_wake(wakes.append)
    await place.settle(bus)
    bus.signals.cancel("job-1")
    bus.signals.wake("send-email")
    await eventually(lambda: bool(cancels and wakes))
    assert (cancels, wakes) == (["job-1"], ["send-email"])


def listen(bus: Bus, worker: str) -> tuple[list[str], Callable[[], None]]:
    """What a worker is told from now on, and the way to stop."""
    told: list[str] = []
    stop = bus.signals.on_drain(worker, drain=lambda: told.append("drain"), undrain=lambda: told.append("undrain"))
    return told, stop


async def test_only_the_worker_that_is_meant_hears_that_it_shall_drain_and_go_on(bus: Bus, place: Place) -> None:
    other = await place.connect()
    one, _ = listen(other, "worker-1")
    two, _ = listen(other, "worker-2")
    await place.settle(other)
    bus.signals.drain("worker-1")
    bus.signals.drain("worker-2")
    bus.signals.undrain("worker-1")
    bus.signals.drain("worker-1")
    await eventually(lambda: (one, two) == (["drain", "undrain", "drain"], ["drain"]))


async def test_a_worker_that_stops_listening_is_not_told(bus: Bus, place: Place) -> None:
    stopped, stop = listen(bus, "worker-1")
    heard, _ = listen(bus, "worker-1")
    await place.settle(bus)
    stop()
    stop()
    bus.signals.drain("worker-1")
    bus.signals.undrain("worker-1")
    await eventually(lambda: heard == ["drain", "undrain"])
    assert stopped == []


@pytest.mark.parametrize("worker", ["*", "a.b", "", "a b", "a\r\nPUB x 0", "x" * 64])
async def test_what_can_be_no_workers_id_is_told_nothing(bus: Bus, worker: str) -> None:
    """Ids come out of presences, which any worker writes."""
    for tell in (bus.signals.drain, bus.signals.undrain):
        with pytest.raises(InvalidNameError):
            tell(worker)
    with pytest.raises(InvalidNameError):
        listen(bus, worker)


async def test_a_push_that_nobody_hears_is_no_error(bus: Bus) -> None:
    bus.signals.cancel("job-1")
    bus.signals.wake("send-email")
    bus.signals.drain("worker-1")
    assert await bus.ledger.last_seq() == 0
